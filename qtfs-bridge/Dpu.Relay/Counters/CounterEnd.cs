using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Flow;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Counters;

/// <summary>
/// A counter of eventfd(2), and a socket on which the other end's total is told (<see cref="CounterState"/>). Used by its loop's thread, but where
/// it is said. Waits with epoll(7) for each write and each read of the counter; the value is looked at in /proc, which takes nothing from it.
/// </summary>
internal sealed unsafe class CounterEnd : ILoopSource
{
    // Of a semaphore that is to be lowered, until others have their turn.
    private const int Budget = 4096;
    private const uint CounterSide = 0;
    private const uint SocketSide = 1;

    private readonly SafeFileHandle _counter;
    private readonly SafeFileHandle _socket;
    private readonly SafeFileHandle _look;
    private readonly CounterWatch _watch;
    private readonly bool _semaphore;
    private CounterState _state;
    private RelayLoop? _loop;
    private uint _slot;
    private bool _writable = true;
    private bool _closing;
    private bool _wasHeld;
    private long _writingSince;
    private volatile bool _stuck;

    private CounterEnd(SafeFileHandle counter, SafeFileHandle socket, SafeFileHandle look, CounterWatch watch, EventCounter.Facts facts, bool isTwin)
    {
        (_counter, _socket, _look, _watch, _semaphore, Id, IsTwin) = (counter, socket, look, watch, facts.Semaphore, facts.Id, isTwin);
        _state = new CounterState(_semaphore);
    }

    /// <summary>The kernel's number of the counter, by which programs are found that have it; -1 where it says none.</summary>
    public long Id { get; }

    /// <summary>Whether this process has made it, for a program that may not have taken it yet.</summary>
    public bool IsTwin { get; }

    /// <summary>The watch's: since when no program has been seen to have it; null while one has.</summary>
    public long? UnheldSince { get; set; }

    /// <summary>The watch's: where it was seen last.</summary>
    public (int Process, int Descriptor) LastHolder { get; set; }

    /// <summary>The watch's: whether a program was seen to have it.</summary>
    public bool WasHeld
    {
        get => _wasHeld;
        set => _wasHeld |= value;
    }

    /// <summary>Makes one of a counter, which is its own from now on, as the socket is; null where there are no descriptors left.</summary>
    public static CounterEnd? TryMake(SafeFileHandle counter, SafeFileHandle socket, CounterWatch watch, bool isTwin)
    {
        EventCounter.Facts facts = EventCounter.Look((int)counter.DangerousGetHandle());
        SafeFileHandle? look = Descriptor.TryOpen(EventCounter.PathOf((int)counter.DangerousGetHandle()), fcntl.O_RDONLY, out _);
        if (look is not null)
        {
            return new CounterEnd(counter, socket, look, watch, facts, isTwin);
        }

        counter.Dispose();
        socket.Dispose();
        return null;
    }

    /// <inheritdoc/>
    public void Enter(RelayLoop loop, uint slot)
    {
        (_loop, _slot) = (loop, slot);
        if (loop.Watch((int)_counter.DangerousGetHandle(), epoll.EPOLLIN | epoll.EPOLLOUT | epoll.EPOLLET, slot, CounterSide) < 0
            || loop.Watch((int)_socket.DangerousGetHandle(), epoll.EPOLLIN | epoll.EPOLLOUT | epoll.EPOLLRDHUP | epoll.EPOLLET, slot, SocketSide) < 0)
        {
            loop.Remove(this, slot);
        }
    }

    /// <inheritdoc/>
    public void Ready(uint events, uint side) => _writable |= side == SocketSide && (events & epoll.EPOLLOUT) != 0;

    /// <inheritdoc/>
    public bool Work(byte* scratch)
    {
        if (_stuck)
        {
            _loop!.Remove(this, _slot);
            return false;
        }

        if (!Observe(Value(scratch)) || !Hear(scratch))
        {
            _loop!.Remove(this, _slot);
            return false;
        }

        bool more = Apply();
        if (_state.IsNews && _writable)
        {
            Tell();
        }

        if (_closing && !_state.IsNews)
        {
            _loop!.Remove(this, _slot);
            return false;
        }

        return more;
    }

    /// <inheritdoc/>
    public void Leave()
    {
        _watch.Remove(this);
        _look.Dispose();
        _socket.Dispose();
        _counter.Dispose();
    }

    /// <summary>No program has it any more: it ends when all is told. From any thread.</summary>
    public void Close() => _loop?.Post(() =>
    {
        _closing = true;
        _loop.Schedule(this, _slot);
    });

    /// <summary>
    /// Frees a thread that hangs in write(2): whether that waits is told by the open file description, which programs have too, and one of them has
    /// filled the counter at that very moment. From any thread. True where there was one.
    /// </summary>
    public bool Unblock(long now, long limit)
    {
        long since = Volatile.Read(ref _writingSince);
        if (since == 0 || now - since < limit)
        {
            return false;
        }

        _stuck = true;
        _ = Take(out _);
        return true;
    }

    private bool Observe(ulong value)
    {
        if (_state.Observe(value))
        {
            return true;
        }

        _watch.TooMuch();
        return false;
    }

    // False where it is over.
    private bool Hear(byte* scratch)
    {
        while (true)
        {
            // SAFETY: the loop's memory, far longer than what is told.
            int read = (int)LibC.Result(sys_socket.recv((int)_socket.DangerousGetHandle(), scratch, CounterState.Size + 1, msg_flags.MSG_DONTWAIT));
            switch (read)
            {
                case -errno.EAGAIN:
                    return true;
                case -errno.EINTR:
                    continue;
                case > 0 when _state.TryHear(new ReadOnlySpan<byte>(scratch, read)):
                    continue;
                default:
                    return false;
            }
        }
    }

    // Makes the counter what both ends say; true where there is more to do.
    private bool Apply()
    {
        if (_state.Pending < _state.Shown)
        {
            if (_semaphore)
            {
                return Lower();
            }

            ulong value = Take(out ulong taken) ? taken : 0;
            _ = Observe(value);
            _state.Set(0);
        }

        if (_state.Pending > _state.Shown)
        {
            Add(_state.Pending - _state.Shown);
            _state.Set(_state.Pending);
        }

        return false;
    }

    private bool Lower()
    {
        for (int turn = 0; _state.Pending < _state.Shown; turn++)
        {
            if (turn == Budget)
            {
                return true;
            }

            if (!Take(out _))
            {
                _ = Observe(0);
                return _state.Pending > _state.Shown;
            }

            _state.Set(_state.Shown - 1);
        }

        return false;
    }

    private void Add(ulong count)
    {
        Volatile.Write(ref _writingSince, _watch.Now);

        // SAFETY: eight bytes on the stack.
        _ = LibC.write((int)_counter.DangerousGetHandle(), &count, sizeof(ulong));
        Volatile.Write(ref _writingSince, 0);
    }

    // Never waits.
    private bool Take(out ulong value)
    {
        ulong taken = 0;
        var piece = new iovec { iov_base = &taken, iov_len = sizeof(ulong) };

        // SAFETY: eight bytes on the stack.
        bool took = LibC.preadv2((int)_counter.DangerousGetHandle(), &piece, 1, -1, uio.RWF_NOWAIT) == sizeof(ulong);
        value = taken;
        return took;
    }

    private ulong Value(byte* scratch)
    {
        // SAFETY: the loop's memory. The file is made anew for each read from its start.
        long read = LibC.Result(LibC.pread((int)_look.DangerousGetHandle(), scratch, 512, 0));
        return read <= 0 ? _state.Shown : EventCounter.Parse(new ReadOnlySpan<byte>(scratch, (int)read)).Count;
    }

    private void Tell()
    {
        byte* told = stackalloc byte[CounterState.Size];
        CounterState before = _state;
        _state.Tell(new Span<byte>(told, CounterState.Size));

        // SAFETY: on this stack.
        long sent = LibC.Result(sys_socket.send((int)_socket.DangerousGetHandle(), told, CounterState.Size, msg_flags.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT));
        if (sent < 0)
        {
            // The next is as good as this one.
            _state = before;
            _writable = false;
        }
    }
}
