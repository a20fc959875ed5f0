using System.Buffers;
using System.IO.Pipelines;
using Dpu.Rpc.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Dpu.Rpc.Server;

/// <summary>What a call sends: headers once, messages, and the status last. One at a time, and nothing after the end.</summary>
internal abstract partial class HttpServerCallContext
{
    // The handler and the deadline may both want to write.
    private readonly SemaphoreSlim writing = new(1, 1);
    private bool isEnded;

    /// <summary>Whether a write would have no effect any more.</summary>
    protected bool IsEnded => isEnded;

    protected override async Task WriteResponseHeadersAsyncCore(Metadata responseHeaders)
    {
        ArgumentNullException.ThrowIfNull(responseHeaders);
        await writing.WaitAsync(Token).ConfigureAwait(false);
        try
        {
            ThrowIfEnded();
            if (Http.Response.HasStarted)
            {
                throw new InvalidOperationException("The response headers were sent already: call WriteResponseHeadersAsync once, before the first message.");
            }

            TrailersOnly.Append(Http.Response.Headers, responseHeaders);
            await Http.Response.StartAsync().ConfigureAwait(false);
            await FlushAsync(Token).ConfigureAwait(false);
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Sends a message, and the headers before the first one.</summary>
    /// <param name="message">With its prefix.</param>
    /// <param name="flush">Whether it leaves now. A single response does not: it leaves with the trailers.</param>
    /// <param name="cancellationToken">Ends the wait for room.</param>
    protected async Task WriteAsync(ReadOnlyMemory<byte> message, bool flush, CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            ThrowIfEnded();
            if (!Http.Response.HasStarted)
            {
                await Http.Response.StartAsync().ConfigureAwait(false);
            }

            Http.Response.BodyWriter.Write(message.Span);
            if (flush)
            {
                await FlushAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Ends the response; the second time nothing.</summary>
    private async Task EndAsync(Status status, Metadata trailers)
    {
        await writing.WaitAsync().ConfigureAwait(false);
        try
        {
            if (isEnded)
            {
                return;
            }

            isEnded = true;
            IHeaderDictionary target = Http.Response.HasStarted
                ? Http.Features.GetRequiredFeature<IHttpResponseTrailersFeature>().Trailers
                : Http.Response.Headers;
            TrailersOnly.Append(target, status, responseTrailers ?? Metadata.Empty, trailers);
            await Http.Response.CompleteAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // Expected: there is nobody left to tell.
            Log.CallAborted(Dependencies.Logger, Method, e);
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Waits for room. Cancelled, it leaves the stream whole, so that a status can still follow.</summary>
    private async Task FlushAsync(CancellationToken cancellationToken)
    {
        // Not FlushAsync(cancellationToken): Kestrel then resets the stream with INTERNAL_ERROR.
        PipeWriter body = Http.Response.BodyWriter;
        FlushResult flushed;
        using (cancellationToken.UnsafeRegister(static state => ((PipeWriter)state!).CancelPendingFlush(), body))
        {
            flushed = await body.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }

        if (flushed.IsCanceled)
        {
            throw new OperationCanceledException(cancellationToken);
        }

        if (flushed.IsCompleted)
        {
            throw new ClientGoneException(new IOException("The response is no longer read."));
        }
    }

    private void ThrowIfEnded()
    {
        if (isEnded)
        {
            Token.ThrowIfCancellationRequested();
            throw new InvalidOperationException("The call has ended: nothing more can be sent.");
        }
    }
}
