namespace Dpu.Runtime.Hosts;

/// <summary>A stream that says when it has ended or broken, so that a peer's death is known at once and not at the next ping.</summary>
/// <param name="inner">The stream; owned.</param>
/// <param name="ended">Called once, from a reading or writing thread.</param>
internal sealed class WatchedStream(Stream inner, Action<Exception?> ended) : Stream
{
    private int _hasEnded;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException("a connection has no length");

    public override long Position
    {
        get => throw new NotSupportedException("a connection has no position");
        set => throw new NotSupportedException("a connection has no position");
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            int read = await inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            if (read == 0 && buffer.Length > 0)
            {
                End(null);
            }

            return read;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            End(e);
            throw;
        }
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            await inner.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            End(e);
            throw;
        }
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public override void Flush() => inner.Flush();

    public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);

    public override void Write(byte[] buffer, int offset, int count) => inner.Write(buffer, offset, count);

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("a connection has no position");

    public override void SetLength(long value) => throw new NotSupportedException("a connection has no length");

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            End(null);
            inner.Dispose();
        }

        base.Dispose(disposing);
    }

    private void End(Exception? why)
    {
        if (Interlocked.Exchange(ref _hasEnded, 1) == 0)
        {
            ended(why);
        }
    }
}
