namespace Grpc.Core;

/// <summary>A call under way: two streams.</summary>
/// <remarks>Disposing ends a call that is under way with CANCELLED; a call that was read to its end needs no disposal.</remarks>
public sealed class AsyncDuplexStreamingCall<TRequest, TResponse>(IClientStreamWriter<TRequest> requestStream, IAsyncStreamReader<TResponse> responseStream, Task<Metadata> responseHeadersAsync, Func<Status> getStatusFunc, Func<Metadata> getTrailersFunc, Action disposeAction) : IDisposable
{
    /// <summary>Where requests are written.</summary>
    public IClientStreamWriter<TRequest> RequestStream { get; } = requestStream;

    /// <summary>The responses, one after the other.</summary>
    public IAsyncStreamReader<TResponse> ResponseStream { get; } = responseStream;

    /// <summary>The server's headers, once they are there.</summary>
    public Task<Metadata> ResponseHeadersAsync { get; } = responseHeadersAsync;

    /// <summary>How the call ended.</summary>
    /// <exception cref="InvalidOperationException">It is still under way.</exception>
    public Status GetStatus() => getStatusFunc();

    /// <summary>The server's trailers.</summary>
    /// <exception cref="InvalidOperationException">The call is still under way, or ended without any.</exception>
    public Metadata GetTrailers() => getTrailersFunc();

    /// <inheritdoc/>
    public void Dispose() => disposeAction();
}
