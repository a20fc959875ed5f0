using System.Net.Sockets;

namespace Dpu.Link.Sockets;

/// <summary>
/// A connected socket as a stream of blocking reads and writes, with a deadline over all of them together: a peer
/// that sends a byte now and then cannot stretch a handshake, as it could with a limit per read.
/// One reader and one writer at a time; <see cref="Abort"/> from any thread.
/// </summary>
internal sealed class LinkStream : Stream
{
    private readonly Socket _socket;
    private readonly TimeProvider _time;
    private long _deadline;
    private bool _hasDeadline;
    private volatile bool _aborted;
    private volatile bool _timedOut;

    internal LinkStream(Socket socket, TimeProvider time)
    {
        _socket = socket;
        _time = time;
    }

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
        NativeSocket.SetTimeout(_socket.SafeHandle, Dpu.Linux.sys_socket.SO_RCVTIMEO, receive);
        NativeSocket.SetTimeout(_socket.SafeHandle, Dpu.Linux.sys_socket.SO_SNDTIMEO, send);
    }

    /// <summary>Ends both directions; a blocked read or write returns at once.</summary>
    internal void Abort()
    {
        _aborted = true;
        NativeSocket.ShutDown(_socket.SafeHandle);
    }

    public override int Read(Span<byte> buffer)
    {
        if (_hasDeadline)
        {
            NativeSocket.SetTimeout(_socket.SafeHandle, Dpu.Linux.sys_socket.SO_RCVTIMEO, Remaining());
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

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            if (_hasDeadline)
            {
                NativeSocket.SetTimeout(_socket.SafeHandle, Dpu.Linux.sys_socket.SO_SNDTIMEO, Remaining());
            }

            try
            {
                buffer = buffer[_socket.Send(buffer, SocketFlags.None)..];
            }
            catch (SocketException e)
            {
                throw Failed(e);
            }
        }
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    // Asynchronous use is for services without hot paths (gRPC on Kestrel); the socket is non-blocking from then on,
    // which the managed Socket hides from later synchronous calls.
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        _socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (!buffer.IsEmpty)
        {
            buffer = buffer[await _socket.SendAsync(buffer, SocketFlags.None, cancellationToken)..];
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
