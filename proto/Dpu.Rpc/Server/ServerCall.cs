using Dpu.Rpc.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http;

namespace Dpu.Rpc.Server;

/// <summary>One call with its message types: what each of the four kinds reads, calls and writes.</summary>
internal sealed class ServerCall<TRequest, TResponse>(HttpContext http, Method<TRequest, TResponse> method, ServerCallDependencies dependencies)
    : HttpServerCallContext(http, method, dependencies)
    where TRequest : class
    where TResponse : class
{
    public async Task RunUnaryAsync(UnaryServerMethod<TRequest, TResponse> handler)
    {
        TRequest request = await ReadSingleAsync(method.RequestMarshaller).ConfigureAwait(false);
        await WriteSingleAsync(await handler(request, this).ConfigureAwait(false)).ConfigureAwait(false);
    }

    public async Task RunClientStreamingAsync(ClientStreamingServerMethod<TRequest, TResponse> handler) =>
        await WriteSingleAsync(await handler(new RequestReader(this), this).ConfigureAwait(false)).ConfigureAwait(false);

    public async Task RunServerStreamingAsync(ServerStreamingServerMethod<TRequest, TResponse> handler)
    {
        TRequest request = await ReadSingleAsync(method.RequestMarshaller).ConfigureAwait(false);
        await handler(request, new ResponseWriter(this), this).ConfigureAwait(false);
    }

    public Task RunDuplexStreamingAsync(DuplexStreamingServerMethod<TRequest, TResponse> handler) =>
        handler(new RequestReader(this), new ResponseWriter(this), this);

    private async Task WriteSingleAsync(TResponse? response)
    {
        if (Status.StatusCode != StatusCode.OK)
        {
            // The handler set another status: its response is not wanted.
            return;
        }

        if (response is null)
        {
            Log.HandlerReturnedNull(Dependencies.Logger, Method);
            throw GrpcProtocol.Error(StatusCode.Unknown, "The handler returned no response.");
        }

        await SendAsync(response, flush: false, Token).ConfigureAwait(false);
    }

    private async Task SendAsync(TResponse message, bool flush, CancellationToken cancellationToken)
    {
        using EncodedMessage encoded = EncodedMessage.Encode(message, method.ResponseMarshaller.ContextualSerializer, Dependencies.MaxSendMessageSize);
        await WriteAsync(encoded.Memory, flush, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The requests of a stream.</summary>
    private sealed class RequestReader(ServerCall<TRequest, TResponse> call) : IAsyncStreamReader<TRequest>
    {
        private TRequest? current;
        private int busy;

        public TRequest Current => current ?? throw new InvalidOperationException("There is no current message: MoveNext has not given true.");

        public async Task<bool> MoveNext(CancellationToken cancellationToken)
        {
            using CallStep step = CallStep.Enter(ref busy, call.Token, cancellationToken, "MoveNext");
            try
            {
                current = null;
                current = await call.ReadAsync(call.RequestMarshaller, step.Token).ConfigureAwait(false);
                return current is not null;
            }
            finally
            {
                Volatile.Write(ref busy, 0);
            }
        }
    }

    /// <summary>The responses of a stream.</summary>
    private sealed class ResponseWriter(ServerCall<TRequest, TResponse> call) : IServerStreamWriter<TResponse>
    {
        private int busy;

        public WriteOptions? WriteOptions
        {
            get => call.WriteOptions;
            set => call.WriteOptions = value;
        }

        public Task WriteAsync(TResponse message) => WriteAsync(message, CancellationToken.None);

        public async Task WriteAsync(TResponse message, CancellationToken cancellationToken)
        {
            ArgumentNullException.ThrowIfNull(message);
            using CallStep step = CallStep.Enter(ref busy, call.Token, cancellationToken, "WriteAsync");
            try
            {
                bool flush = ((WriteOptions?.Flags ?? default) & WriteFlags.BufferHint) == 0;
                await call.SendAsync(message, flush, step.Token).ConfigureAwait(false);
            }
            finally
            {
                Volatile.Write(ref busy, 0);
            }
        }
    }

    private Marshaller<TRequest> RequestMarshaller => method.RequestMarshaller;
}
