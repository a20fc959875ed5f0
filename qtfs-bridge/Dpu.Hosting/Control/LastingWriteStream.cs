using System.Net.Sockets;

namespace Dpu.Hosting.Control;

/// <summary>
/// The writing side of a stream whose other end may go away at any moment: a failed write is told once and its bytes,
/// like all after it, are dropped. Kestrel's own transports never throw out of a flush, and Kestrel relies on it: a
/// connection whose flush throws stays until its drain timeout, and holds up a stop for as long.
/// </summary>
/// <param name="stream">The stream; not owned.</param>
/// <param name="failed">Called once, by the first write that failed.</param>
internal sealed class LastingWriteStream(Stream stream, Action failed) : Stream
{
    private int _hasFailed;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException("a connection has no length");

    public override long Position
    {
        get => throw new NotSupportedException("a connection has no position");
        set => throw new NotSupportedException("a connection has no position");
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            if (Volatile.Read(ref _hasFailed) == 0)
            {
                await stream.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            // Expected: the other end has gone.
            Fail();
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override async Task FlushAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (Volatile.Read(ref _hasFailed) == 0)
            {
                await stream.FlushAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            // Expected: the other end has gone.
            Fail();
        }
    }

    public override void Flush() => throw new NotSupportedException("this stream is written asynchronously only");

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("this stream is written only");

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("a connection has no position");

    public override void SetLength(long value) => throw new NotSupportedException("a connection has no length");

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("this stream is written asynchronously only");

    private void Fail()
    {
        if (Interlocked.Exchange(ref _hasFailed, 1) == 0)
        {
            failed();
        }
    }
}
