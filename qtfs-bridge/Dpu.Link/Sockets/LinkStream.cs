using System.Net.Sockets;
using Dpu.Linux;

namespace Dpu.Link.Sockets;

/// <summary>
/// A connected socket as a stream of blocking reads and writes, with a deadline over all of them together: a peer
/// that sends a byte now and then cannot stretch a handshake, as it could with a limit per read.
/// One reader and one writer at a time; <see cref="Abort"/> from any thread.
/// </summary>
internal sealed class LinkStream : Stream, IWholeReads
{
    private readonly Socket _socket;
    private readonly int _descriptor;
    private readonly TimeProvider _time;
    private readonly long _made;
    private readonly bool _isUnix;
    private int _receiveLimit = -1;
    private long _deadline;
    private bool _hasDeadline;
    private bool _asynchronous;
    private bool _disposed;
    private PolledTransport? _polled;
    private volatile bool _aborted;
    private volatile bool _timedOut;

    internal LinkStream(Socket socket, TimeProvider time)
    {
        _socket = socket;
        _descriptor = (int)socket.Handle;
        _time = time;
        _made = time.GetTimestamp();
        _isUnix = socket.AddressFamily == AddressFamily.Unix;
    }

    /// <summary>For how long there is this one.</summary>
    internal TimeSpan Age => _time.GetElapsedTime(_made);

    /// <summary>Whether a read or write failed because the deadline passed.</summary>
    internal bool TimedOut => _timedOut;

    /// <summary>Whether this end gave up by <see cref="Abort"/>.</summary>
    internal bool Aborted => _aborted;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>From now on all reads and writes must end within <paramref name="limit"/>.</summary>
    internal void StartDeadline(TimeSpan limit)
    {
        _deadline = _time.GetTimestamp() + (long)(limit.TotalSeconds * _time.TimestampFrequency);
        _hasDeadline = true;
    }

    /// <summary>Takes the deadline away; reads and writes then obey the given limits each (zero: none).</summary>
    internal void EndDeadline(TimeSpan receive, TimeSpan send)
    {
        _hasDeadline = false;
        SetTimeouts(receive, send);
    }

    /// <summary>Limits for every single read and write; zero or infinite means none.</summary>
    internal void SetTimeouts(TimeSpan receive, TimeSpan send)
    {
        _receiveLimit = receive > TimeSpan.Zero ? (int)Math.Min(Math.Ceiling(receive.TotalMilliseconds), int.MaxValue) : -1;
        NativeSocket.SetTimeout(_socket.SafeHandle, Dpu.Linux.sys_socket.SO_RCVTIMEO, receive);
        NativeSocket.SetTimeout(_socket.SafeHandle, Dpu.Linux.sys_socket.SO_SNDTIMEO, send);
    }

    /// <summary>Ends both directions; a blocked read or write returns at once.</summary>
    internal void Abort()
    {
        _aborted = true;
        NativeSocket.ShutDown(_socket.SafeHandle);
    }

    /// <summary>From now on asynchronous reads and writes are those of a thread that polls; nobody reads or writes at this moment.</summary>
    internal PolledTransport Poll() => _polled ??= new PolledTransport(_socket);

    public override int Read(Span<byte> buffer) => Receive(buffer, 0);

    /// <inheritdoc/>
    public int ReadWhole(Span<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            // Also with MSG_WAITALL a signal ends it early.
            int read = Receive(buffer[done..], sys_socket.MSG_WAITALL);
            if (read == 0)
            {
                break;
            }

            done += read;
        }

        return done;
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            if (_hasDeadline)
            {
                NativeSocket.SetTimeout(_socket.SafeHandle, sys_socket.SO_SNDTIMEO, Remaining());
            }

            buffer = buffer[Send(buffer)..];
        }
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    // The system calls themselves: the managed Socket does the same with locks and bookkeeping for asynchronous calls, on
    // every request. It is right only where such calls have made the socket non-blocking.
    private unsafe int Receive(Span<byte> buffer, int flags)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_hasDeadline)
        {
            NativeSocket.SetTimeout(_socket.SafeHandle, sys_socket.SO_RCVTIMEO, Remaining());
        }

        while (!_asynchronous)
        {
            // SAFETY: the span is pinned for the call and its length is passed with it; the descriptor is held meanwhile, so
            // that its number cannot become another file's.
            fixed (byte* pointer = buffer)
            {
                long read;
                bool held = false;
                try
                {
                    _socket.SafeHandle.DangerousAddRef(ref held);
                    read = flags == 0 && _isUnix && !_hasDeadline ? AwaitReadable() : 0;
                    read = read < 0 ? read : LibC.Result(sys_socket.recv(_descriptor, pointer, (nuint)buffer.Length, flags));
                }
                finally
                {
                    Release(held);
                }

                if (read >= 0)
                {
                    return (int)read;
                }

                if (read != -errno.EINTR)
                {
                    throw Failed(Exception((int)-read));
                }
            }
        }

        try
        {
            return _socket.Receive(buffer, SocketFlags.None);
        }
        catch (SocketException e)
        {
            throw Failed(e);
        }
    }

    // Who waits in recv(2) of a unix socket is woken as well when the other end has read what was sent, for nothing (unix_write_space, unix_stream_data_wait of
    // the kernel): with each request and each answer, and whoever reads pays for it. poll(2) is woken for what it asks for.
    private unsafe int AwaitReadable()
    {
        var wanted = new pollfd { fd = _descriptor, events = poll.POLLIN };

        // SAFETY: one pollfd, which lives on this stack during the call.
        int ready = LibC.Result(LibC.poll(&wanted, 1, _receiveLimit));
        return ready == 0 ? -errno.EAGAIN : Math.Min(ready, 0);
    }

    private unsafe int Send(ReadOnlySpan<byte> buffer)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        while (!_asynchronous)
        {
            // SAFETY: as in Receive.
            fixed (byte* pointer = buffer)
            {
                long sent;
                bool held = false;
                try
                {
                    _socket.SafeHandle.DangerousAddRef(ref held);
                    sent = LibC.Result(sys_socket.send(_descriptor, pointer, (nuint)buffer.Length, sys_socket.MSG_NOSIGNAL));
                }
                finally
                {
                    Release(held);
                }

                if (sent >= 0)
                {
                    return (int)sent;
                }

                if (sent != -errno.EINTR)
                {
                    throw Failed(Exception((int)-sent));
                }
            }
        }

        try
        {
            return _socket.Send(buffer, SocketFlags.None);
        }
        catch (SocketException e)
        {
            throw Failed(e);
        }
    }

    private void Release(bool held)
    {
        if (held)
        {
            _socket.SafeHandle.DangerousRelease();
        }
    }

    // As the managed Socket names them.
    private static SocketException Exception(int error) => new((int)(error switch
    {
        errno.EAGAIN => SocketError.WouldBlock,
        errno.ETIMEDOUT => SocketError.TimedOut,
        errno.ECONNRESET => SocketError.ConnectionReset,
        errno.EPIPE => SocketError.Shutdown,
        errno.ENOTCONN => SocketError.NotConnected,
        errno.EHOSTUNREACH => SocketError.HostUnreachable,
        errno.ENETUNREACH => SocketError.NetworkUnreachable,
        errno.ECONNABORTED => SocketError.ConnectionAborted,
        _ => SocketError.SocketError,
    }));

    // Asynchronous use is for services without hot paths (gRPC on Kestrel); the socket is non-blocking from then on,
    // which the managed Socket hides from later synchronous calls.
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_polled is not null)
        {
            return _polled.ReadAsync(buffer);
        }

        _asynchronous = true;
        return _socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_polled is not null)
        {
            return _polled.WriteAsync(buffer);
        }

        _asynchronous = true;
        return SendAsync(_socket, buffer, cancellationToken);
    }

    private static async ValueTask SendAsync(Socket socket, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            buffer = buffer[await socket.SendAsync(buffer, SocketFlags.None, cancellationToken)..];
        }
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Flush()
    {
        // Nothing is buffered here.
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _disposed = true;
            _socket.Dispose();
        }

        base.Dispose(disposing);
    }

    private TimeSpan Remaining()
    {
        var left = TimeSpan.FromSeconds((double)(_deadline - _time.GetTimestamp()) / _time.TimestampFrequency);
        if (left > TimeSpan.FromMilliseconds(1))
        {
            return left;
        }

        _timedOut = true;
        throw new IOException("The time limit of the set-up passed.");
    }

    private IOException Failed(SocketException e)
    {
        if (_hasDeadline && e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock or SocketError.TryAgain)
        {
            _timedOut = true;
        }

        return new IOException(e.Message, e);
    }
}
