using System.Buffers;
using System.Net.Sockets;
using System.Threading.Tasks.Sources;
using Dpu.Linux;

namespace Dpu.Link.Sockets;

/// <summary>
/// What TLS reads from and writes to where one thread waits for many sockets (<see cref="PolledTls"/>): a read that must wait goes on in
/// <see cref="Poll"/>, on that thread; a write never waits, and what the socket does not take is kept until <see cref="TryFlush"/>.
/// </summary>
internal sealed unsafe class PolledTransport(Socket socket) : IValueTaskSource<int>
{
    private readonly int _descriptor = (int)socket.Handle;
    private ManualResetValueTaskSourceCore<int> _read;
    private Memory<byte> _into;
    private bool _waits;
    private bool _drained;
    private bool _told;
    private byte[]? _rest;
    private int _restStart;
    private int _restEnd;
    private bool _broken;

    /// <summary>Bytes that the socket has not taken.</summary>
    public ReadOnlyMemory<byte> Rest => _rest.AsMemory(_restStart, _restEnd - _restStart);

    /// <summary>Whether bytes have come since, fewer than there was room for: what is behind them is not asked for.</summary>
    public bool IsDrained => _drained;

    /// <summary>There may be something to read again: until now a read that got less than it had room for was the last one (epoll(7)).</summary>
    public void Refresh() => _drained = false;

    /// <summary>There is something to read, or the end: who waits for that need not look.</summary>
    public void Tell() => _told = true;

    public ValueTask<int> ReadAsync(Memory<byte> into)
    {
        int got = _drained ? -errno.EAGAIN : Receive(into.Span);
        if (got != -errno.EAGAIN)
        {
            return got >= 0 ? ValueTask.FromResult(got) : ValueTask.FromException<int>(Broken(-got));
        }

        _read.Reset();
        (_into, _waits) = (into, true);
        return new ValueTask<int>(this, _read.Version);
    }

    public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        int sent = _restEnd > _restStart ? 0 : Send(bytes.Span);
        if (sent < 0)
        {
            return ValueTask.FromException(Broken(-sent));
        }

        Keep(bytes.Span[sent..]);
        return ValueTask.CompletedTask;
    }

    /// <summary>Goes on with the read that waits, if there is one, and with who waits for it, on this thread.</summary>
    public void Poll()
    {
        if (!_waits)
        {
            return;
        }

        int got = _into.IsEmpty && _told ? 0 : _drained ? -errno.EAGAIN : Receive(_into.Span);
        _told = false;
        if (got == -errno.EAGAIN)
        {
            return;
        }

        (_into, _waits) = (default, false);
        if (got >= 0)
        {
            _read.SetResult(got);
        }
        else
        {
            _read.SetException(Broken(-got));
        }
    }

    /// <summary>Gives the socket what it takes; whether nothing is left. Where the socket is broken nothing is, and the next write says so.</summary>
    public bool TryFlush()
    {
        while (_restEnd > _restStart)
        {
            int sent = Send(Rest.Span);
            if (sent == 0)
            {
                return false;
            }

            _broken |= sent < 0;
            _restStart = sent < 0 ? _restEnd : _restStart + sent;
        }

        if (_rest is not null)
        {
            ArrayPool<byte>.Shared.Return(_rest);
            (_rest, _restStart, _restEnd) = (null, 0, 0);
        }

        return true;
    }

    /// <summary>Ends the read that waits.</summary>
    public void End()
    {
        if (_waits)
        {
            (_into, _waits) = (default, false);
            _read.SetException(new ObjectDisposedException(nameof(PolledTransport)));
        }
    }

    int IValueTaskSource<int>.GetResult(short token) => _read.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _read.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _read.OnCompleted(continuation, state, token, flags);

    private static IOException Broken(int error) => new($"the connection broke: errno {error}");

    // Of nothing: whether there is something to read.
    private int Receive(Span<byte> into)
    {
        byte one;
        while (true)
        {
            // SAFETY: pinned for the call, with its length; the loop that polls it has the descriptor open.
            fixed (byte* bytes = into)
            {
                int got = into.IsEmpty
                    ? Math.Min(0, (int)LibC.Result(sys_socket.recv(_descriptor, &one, 1, msg_flags.MSG_DONTWAIT | msg_flags.MSG_PEEK)))
                    : (int)LibC.Result(sys_socket.recv(_descriptor, bytes, (nuint)into.Length, msg_flags.MSG_DONTWAIT));
                if (got != -errno.EINTR)
                {
                    _drained = got > 0 && got < into.Length;
                    return got;
                }
            }
        }
    }

    // How many it has taken, 0 where it takes none now; or a negated errno.
    private int Send(ReadOnlySpan<byte> bytes)
    {
        for (int done = 0; ;)
        {
            if (_broken)
            {
                return -errno.EPIPE;
            }

            fixed (byte* at = bytes[done..])
            {
                // SAFETY: as in Receive.
                int sent = (int)LibC.Result(sys_socket.send(_descriptor, at, (nuint)(bytes.Length - done), msg_flags.MSG_DONTWAIT | msg_flags.MSG_NOSIGNAL));
                done += Math.Max(0, sent);
                if (sent == -errno.EAGAIN || done == bytes.Length)
                {
                    return done;
                }

                if (sent < 0 && sent != -errno.EINTR)
                {
                    return sent;
                }
            }
        }
    }

    private void Keep(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            return;
        }

        int length = _restEnd - _restStart;
        if (_rest is null || _rest.Length - _restEnd < bytes.Length)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(length + bytes.Length);
            Rest.CopyTo(larger);
            if (_rest is not null)
            {
                ArrayPool<byte>.Shared.Return(_rest);
            }

            (_rest, _restStart, _restEnd) = (larger, 0, length);
        }

        bytes.CopyTo(_rest.AsSpan(_restEnd));
        _restEnd += bytes.Length;
    }
}
