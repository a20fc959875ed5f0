using System.Runtime.CompilerServices;

namespace Grpc.Core;

/// <summary>A call under way: one request, one response.</summary>
/// <remarks>Disposing ends a call that is under way with CANCELLED; a call that was read to its end needs no disposal.</remarks>
public sealed class AsyncUnaryCall<TResponse>(Task<TResponse> responseAsync, Task<Metadata> responseHeadersAsync, Func<Status> getStatusFunc, Func<Metadata> getTrailersFunc, Action disposeAction) : IDisposable
{
    /// <summary>The response; fails with <see cref="RpcException"/>.</summary>
    public Task<TResponse> ResponseAsync { get; } = responseAsync;

    /// <summary>The server's headers, once they are there.</summary>
    public Task<Metadata> ResponseHeadersAsync { get; } = responseHeadersAsync;

    /// <summary>How the call ended.</summary>
    /// <exception cref="InvalidOperationException">It is still under way.</exception>
    public Status GetStatus() => getStatusFunc();

    /// <summary>The server's trailers.</summary>
    /// <exception cref="InvalidOperationException">The call is still under way, or ended without any.</exception>
    public Metadata GetTrailers() => getTrailersFunc();

    /// <summary>Awaits the response.</summary>
    public TaskAwaiter<TResponse> GetAwaiter() => ResponseAsync.GetAwaiter();

    /// <summary>Awaits the response.</summary>
    public ConfiguredTaskAwaitable<TResponse> ConfigureAwait(bool continueOnCapturedContext) => ResponseAsync.ConfigureAwait(continueOnCapturedContext);

    /// <inheritdoc/>
    public void Dispose() => disposeAction();
}
