using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Processes;

/// <summary>What is known of a stream, in memory that outlives the daemon.</summary>
[Flags]
internal enum ProcessStreamState : uint
{
    None = 0,

    /// <summary>There is such a stream.</summary>
    Used = 1,

    /// <summary>Bytes go from here to the other end.</summary>
    Sends = 2,

    /// <summary>The local end has said that no more comes; or of what is received, the other end.</summary>
    AtEnd = 4,

    /// <summary>Nobody takes what goes through it any more.</summary>
    Broken = 8,

    /// <summary>All is done, and the local end is closed.</summary>
    Over = 16,

    /// <summary>Bytes went between the pipe and a file that knows no splice(2): after a kill some may be there twice, or be missing.</summary>
    Unsure = 32,

    /// <summary>Its local end is a terminal.</summary>
    Terminal = 64,
}

/// <summary>
/// One direction of what a process reads or writes: a local file (the process's pipe at the host; at the DPU what the stub's parent has given), and a
/// <see cref="JournaledPipe"/> for what is on its way. Bytes leave the pipe of the sender when they are in that of the receiver. Its channel's thread's.
/// </summary>
internal sealed unsafe partial class ProcessStream : IDisposable
{
    private const uint ReadEvents = epoll.EPOLLIN | epoll.EPOLLRDHUP | epoll.EPOLLET;
    private const uint WriteEvents = epoll.EPOLLOUT | epoll.EPOLLET;

    private readonly uint* _state;
    private readonly int _local;
    private bool _isReady = true;
    private bool _mayEnd;
    private bool _isPolled;
    private Lock? _turn;
    private Flow.RelayLoop? _loop;

    // Of what is sent: behind the last byte that this connection has had, and that it may have.
    private ulong _sent;
    private ulong _limit;
    private bool _isSynchronized;

    // Of what is received: what this connection was told last.
    private ulong _told;
    private ProcessAckFlags _toldFlags;
    private bool _owesAck;
    private bool _isFull;
    private bool _endSent;

    /// <param name="index">Its number in frames.</param>
    /// <param name="number">The descriptor's in the process.</param>
    /// <param name="local">The local end; its own from now on. Null where that is closed already.</param>
    /// <param name="pipe">What is on its way; its own from now on.</param>
    /// <param name="state">Four bytes that outlive the daemon.</param>
    public ProcessStream(int index, int number, SafeFileHandle? local, JournaledPipe pipe, uint* state)
    {
        Index = index;
        Number = number;
        Local = local;
        Pipe = pipe;
        _state = state;
        _local = local is null ? -1 : (int)local.DangerousGetHandle();
        if (local is null)
        {
            Set(Sends ? ProcessStreamState.AtEnd : ProcessStreamState.Broken);
        }

        // SAFETY: the caller's four bytes; so in all of this class.
        WasUnsure = (State & ProcessStreamState.Unsure) != 0;
        *_state &= ~(uint)ProcessStreamState.Unsure;
    }

    public int Index { get; }

    public int Number { get; }

    public SafeFileHandle? Local { get; private set; }

    public JournaledPipe Pipe { get; }

    /// <summary>Whether a killed daemon may have given some bytes twice, or lost some.</summary>
    public bool WasUnsure { get; }

    public bool Sends => (State & ProcessStreamState.Sends) != 0;

    public bool IsOver => (State & ProcessStreamState.Over) != 0;

    /// <summary>Whether nobody takes what goes through it.</summary>
    public bool IsBroken => (State & ProcessStreamState.Broken) != 0;

    /// <summary>Bytes that have gone through it.</summary>
    public ulong Moved => Sends ? Pipe.First : Pipe.End;

    /// <summary>Behind the last byte that the local end has now, of what is sent.</summary>
    public ulong Available
    {
        get
        {
            int count = 0;

            // SAFETY: an int on the stack. What knows no such number (a file) is read as it comes.
            return Pipe.End + (_local < 0 || (State & (ProcessStreamState.AtEnd | ProcessStreamState.Broken)) != 0 || LibC.ioctl(_local, ioctl_h.FIONREAD, &count) < 0 ? 0ul : (ulong)count);
        }
    }

    /// <summary>Behind the last byte that was sent on this connection.</summary>
    public ulong Sent => _sent;

    private ProcessStreamState State => (ProcessStreamState)(*_state);

    /// <summary>Has the loop wait for the local end.</summary>
    public void Watch(Flow.RelayLoop loop, uint slot)
    {
        _loop = loop;
        if (_local >= 0 && !IsOver)
        {
            // A file is always ready, and epoll(7) has nothing to tell of it (EPERM).
            _isPolled = loop.Watch(_local, Sends ? ReadEvents : WriteEvents, slot, (uint)Index) >= 0;
            _turn = _isPolled ? null : FileTurns.Of(_local);
        }
    }

    /// <summary>The local end has something to say.</summary>
    public void Ready(uint events)
    {
        _isReady = true;
        _mayEnd |= (events & (epoll.EPOLLHUP | epoll.EPOLLERR | epoll.EPOLLRDHUP)) != 0;
    }

    /// <summary>There is another connection: what is known of the other end is nothing until it says so.</summary>
    public void Reconnected()
    {
        (_isSynchronized, _endSent, _told) = (false, false, ulong.MaxValue);
        (_sent, _limit, _owesAck) = (Pipe.First, 0, !Sends);
        (_isBehind, _asksAgain) = (false, false);
    }

    /// <summary>The other end has all before a position.</summary>
    /// <returns>False where it cannot.</returns>
    public bool Acknowledged(ulong position, ProcessAckFlags flags)
    {
        if (!Sends || (position > Pipe.End && !IsOver))
        {
            return false;
        }

        if (IsOver)
        {
            return true;
        }

        if ((flags & ProcessAckFlags.Broken) != 0)
        {
            Set(ProcessStreamState.Broken);
            Close();
            return true;
        }

        if (position > Pipe.First)
        {
            Pipe.Drop(position);
        }

        Acknowledge(flags);
        if ((flags & ProcessAckFlags.End) != 0 && Pipe.Count == 0 && (State & ProcessStreamState.AtEnd) != 0)
        {
            Close();
        }

        return true;
    }

    /// <summary>Whether a frame of bytes from a position fits: others leave a gap.</summary>
    public bool MayTake(ulong position) => !Sends && (position <= Pipe.End || _isBehind);

    /// <summary>Bytes of a frame that fits have come, from a position.</summary>
    public void Take(ulong position, byte* bytes, int size)
    {
        _owesAck = true;
        _isBehind &= position > Pipe.End;

        // Those of the frame that came before may have had no room, or nobody takes them: then these follow nothing.
        if (position > Pipe.End || Pipe.End - position >= (ulong)size || (State & (ProcessStreamState.Broken | ProcessStreamState.AtEnd)) != 0)
        {
            return;
        }

        ulong known = Pipe.End - position;

        // What has no room is sent again, from where the next acknowledgement says.
        for (int at = (int)known; at < size;)
        {
            int put = Pipe.Write(bytes + at, size - at);
            if (put <= 0)
            {
                // Small pieces may take up all of it long before there are as many bytes as it holds.
                (_isFull, _isBehind, _asksAgain) = (true, true, true);
                break;
            }

            at += put;
        }
    }

    /// <summary>No more comes than what is before a position.</summary>
    public bool EndAt(ulong position)
    {
        if (Sends || position < Pipe.End)
        {
            return false;
        }

        _owesAck = true;
        if (position == Pipe.End)
        {
            Set(ProcessStreamState.AtEnd);
        }

        return true;
    }

    /// <summary>Does what can be done without waiting; true where more can be at once.</summary>
    public bool Work()
    {
        if (IsOver)
        {
            return false;
        }

        return Sends ? Fetch() : Deliver();
    }

    /// <summary>The next frame's header, and where it has data how many bytes of the pipe follow it; none where there is nothing to say.</summary>
    public ProcessFrameKind NextFrame(Span<byte> header, out int data)
    {
        data = 0;
        if (Sends)
        {
            if (!_isSynchronized || IsOver)
            {
                return ProcessFrameKind.None;
            }

            data = NextData();
            if (data > 0)
            {
                ProcessFrame.Write(header, ProcessFrameKind.Data, data, Index, 0, _sent);
                return ProcessFrameKind.Data;
            }

            if (!_endSent && Pipe.Count == 0 && (State & ProcessStreamState.AtEnd) != 0)
            {
                _endSent = true;
                ProcessFrame.Write(header, ProcessFrameKind.End, 0, Index, 0, Pipe.End);
                return ProcessFrameKind.End;
            }

            return ProcessFrameKind.None;
        }

        ProcessAckFlags flags = ((State & ProcessStreamState.AtEnd) != 0 ? ProcessAckFlags.End : 0) | ((State & ProcessStreamState.Broken) != 0 ? ProcessAckFlags.Broken : 0);
        bool hasRoom = !_isFull && Pipe.Size - Pipe.Count >= Math.Min(ProcessFrame.MaxData, Pipe.Size / 2);
        if ((_owesAck || flags != _toldFlags || _told != Pipe.End) && (hasRoom || flags != _toldFlags || flags != 0 || _told == ulong.MaxValue))
        {
            (_owesAck, _told, _toldFlags) = (false, Pipe.End, flags);
            ProcessFrame.Write(header, ProcessFrameKind.Ack, 0, Index, (byte)(flags | Room()), Pipe.End);
            return ProcessFrameKind.Ack;
        }

        return ProcessFrameKind.None;
    }

    /// <summary>So many bytes were put into a frame.</summary>
    public void Went(int data) => _sent += (ulong)data;

    /// <inheritdoc/>
    public void Dispose()
    {
        LetGo();
        Pipe.Dispose();
    }

    // The keeper, and the process's parent, have the same open file.
    private void LetGo()
    {
        if (Local is not null && _isPolled)
        {
            _loop!.Unwatch(_local);
        }

        _isPolled = false;
        Local?.Dispose();
        Local = null;
    }

    private bool Fetch()
    {
        if (_local < 0 || !_isReady || (State & ProcessStreamState.AtEnd) != 0)
        {
            return false;
        }

        int room = Pipe.Size - Pipe.Count;
        if (room == 0 || (!_mayEnd && MayFetch is { } may && !may()))
        {
            return false;
        }

        int got = InTurn(room);
        if (got == -errno.EINVAL)
        {
            got = Read();
        }

        switch (got)
        {
            case > 0:
                return true;
            case 0:
                Set(ProcessStreamState.AtEnd);
                return false;
            case -errno.EAGAIN:
                // Nothing is there, or many small pieces leave no room: then it is tried again when they have gone.
                _isReady = Pipe.Count > 0;
                _isDrained = !_isReady;
                return false;
            case -errno.EINTR:
                return true;
            default:
                // Nothing more comes. A terminal that hung up says EIO.
                if (got is not (-errno.EIO or -errno.ECONNRESET))
                {
                    Failed?.Invoke(this, -got);
                }

                Set(ProcessStreamState.AtEnd);
                return false;
        }
    }

    // Takes as many bytes, or, of what goes to the local end, gives what there is.
    private int InTurn(int most)
    {
        if (_turn is not { } turn)
        {
            return most > 0 ? Pipe.Fill(_local, most) : Pipe.Drain(_local);
        }

        lock (turn)
        {
            return most > 0 ? Pipe.Fill(_local, most) : Pipe.Drain(_local);
        }
    }

    // Many files of /proc know no splice(2), and some devices.
    private int Read()
    {
        if ((poll.Now(Pipe.Handle, poll.POLLOUT) & poll.POLLOUT) == 0)
        {
            return -errno.EAGAIN;
        }

        // As many as there is room for in any case: a pipe that can be written to takes a page.
        Span<byte> bytes = stackalloc byte[4096];
        Set(ProcessStreamState.Unsure);
        fixed (byte* at = bytes)
        {
            // SAFETY: as many bytes as there are.
            int got = (int)LibC.Result(LibC.read(_local, at, (nuint)bytes.Length));
            if (got > 0 && Pipe.Write(at, got) != got)
            {
                throw new IOException($"a pipe that had room for a page has not taken {got} bytes");
            }

            *_state &= ~(uint)ProcessStreamState.Unsure;
            return got;
        }
    }

    private bool Deliver()
    {
        if ((State & ProcessStreamState.Broken) != 0)
        {
            Pipe.Drop(Pipe.End);
            Close();
            return false;
        }

        if (Pipe.Count == 0)
        {
            if ((State & ProcessStreamState.AtEnd) != 0)
            {
                Close();
            }
            else if (_mayEnd && _isPolled)
            {
                // Who read it has closed it, also where nothing is to be given just now.
                Set(ProcessStreamState.Broken);
                Close();
            }

            return false;
        }

        if (!_isReady)
        {
            return false;
        }

        int given = InTurn(0);
        if (given == -errno.EINVAL)
        {
            given = Append();
        }

        _isFull &= given <= 0;
        switch (given)
        {
            case > 0:
                return true;
            case 0 or -errno.EAGAIN:
                // Another writer may have held a terminal when it had room, which is not told again.
                (_isReady, WaitsForTick) = (!_isPolled, IsTerminal);
                return false;
            case -errno.EINTR:
                return true;
            default:
                if (given is not (-errno.EPIPE or -errno.ECONNRESET))
                {
                    Failed?.Invoke(this, -given);
                }

                Set(ProcessStreamState.Broken);
                Pipe.Drop(Pipe.End);
                Close();
                return false;
        }
    }

    // A file that is appended to takes nothing by splice(2).
    private int Append()
    {
        Span<byte> bytes = stackalloc byte[4096];
        int count = Pipe.Peek(bytes);
        if (count <= 0)
        {
            return count;
        }

        Set(ProcessStreamState.Unsure);
        fixed (byte* at = bytes)
        {
            // SAFETY: as many bytes as were copied.
            int written = (int)LibC.Result(LibC.write(_local, at, (nuint)count));
            if (written > 0)
            {
                Pipe.Drop(Pipe.First + (ulong)written);
            }

            *_state &= ~(uint)ProcessStreamState.Unsure;
            return written;
        }
    }

    private void Close()
    {
        Set(ProcessStreamState.Over);
        LetGo();
        Closed?.Invoke(this);
    }

    /// <summary>The local end cannot be read or written to any more, for that errno: what is on its way to it is lost.</summary>
    public Action<ProcessStream, int>? Failed { get; set; }

    /// <summary>The local end is closed.</summary>
    public Action<ProcessStream>? Closed { get; set; }

    private void Set(ProcessStreamState more) => *_state |= (uint)more;
}
