using System.Globalization;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace Dpu.Hosting.Control;

/// <summary>A connection of Kestrel over a stream that someone else accepted and will dispose.</summary>
internal sealed class StreamConnection : DefaultConnectionContext, IDuplexPipe
{
    private static long _lastId;

    private readonly Stream _stream;
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _isDisposed;

    public StreamConnection(Stream stream, ControlPeer peer)
        : base(string.Create(CultureInfo.InvariantCulture, $"link-{Interlocked.Increment(ref _lastId)}"))
    {
        _stream = stream;
        Input = PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true));
        Output = PipeWriter.Create(new LastingWriteStream(stream, Close), new StreamPipeWriterOptions(leaveOpen: true));
        Transport = this;
        ConnectionClosed = _closed.Token;
        Features.Set(peer);
    }

    /// <summary>Completes when the server is done with the connection.</summary>
    public Task Ended => _ended.Task;

    public PipeReader Input { get; }

    public PipeWriter Output { get; }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        // A read under way ends only when the stream does: cancelling the pipe alone would leave it there.
        Input.CancelPendingRead();
        _stream.Dispose();
        Close();
        _ = _ended.TrySetResult();
    }

    public override async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }

        Close();
        try
        {
            await Input.CompleteAsync().ConfigureAwait(false);
            await Output.CompleteAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // Expected: what was still to be written finds the other end gone.
        }

        await base.DisposeAsync().ConfigureAwait(false);
        _ = _ended.TrySetResult();
        _closed.Dispose();
    }

    private void Close()
    {
        try
        {
            _closed.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // Expected: aborted after its end.
        }
    }
}
