using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using Dpu.Rpc.Wire;

namespace Grpc.Net.Client;

/// <summary>A request body whose messages are written while the call runs.</summary>
internal sealed class StreamingContent : HttpContent
{
    // The default thresholds (64 KiB) let a writer run ahead of the network by that much; then it waits.
    private readonly Pipe pipe = new(new PipeOptions(useSynchronizationContext: false));
    private int sent;

    public StreamingContent() => Headers.ContentType = new MediaTypeHeaderValue(GrpcProtocol.ContentType);

    /// <summary>Where messages are written; completing it ends the body.</summary>
    public PipeWriter Writer => pipe.Writer;

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref sent, 1) != 0)
        {
            // The handler tries again on another connection. What was written to the first is not kept, so that the caller must.
            throw new IOException("The connection was lost; a stream of requests can't be sent again.");
        }

        Exception? failure = null;
        try
        {
            // The headers leave now: the server may answer before the first message.
            await stream.FlushAsync(cancellationToken).ConfigureAwait(false);
            while (true)
            {
                ReadResult read = await pipe.Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
                foreach (ReadOnlyMemory<byte> segment in read.Buffer)
                {
                    await stream.WriteAsync(segment, cancellationToken).ConfigureAwait(false);
                }

                await stream.FlushAsync(cancellationToken).ConfigureAwait(false);
                pipe.Reader.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted)
                {
                    return;
                }
            }
        }
        catch (Exception e)
        {
            // Expected when the call ends first: the writer learns of it by its completed reader, the handler by the exception.
            failure = e;
            throw;
        }
        finally
        {
            await pipe.Reader.CompleteAsync(failure).ConfigureAwait(false);
        }
    }

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
