using System.Net;
using System.Net.Http.Headers;
using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Grpc.Net.Client;

/// <summary>A request body of one message. It can be sent again, as the handler does after a GOAWAY or a refused stream.</summary>
internal sealed class SingleMessageContent : HttpContent
{
    private readonly byte[] message;

    private SingleMessageContent(byte[] message)
    {
        this.message = message;
        Headers.ContentType = new MediaTypeHeaderValue(GrpcProtocol.ContentType);
    }

    /// <exception cref="RpcException">The message is too long, or its marshaller fails.</exception>
    public static SingleMessageContent Create<T>(T request, Marshaller<T> marshaller, int maxLength)
    {
        // Copied out of the pool: after the call's end the handler may still be reading it.
        using EncodedMessage encoded = EncodedMessage.Encode(request, marshaller.ContextualSerializer, maxLength);
        return new SingleMessageContent(encoded.Memory.ToArray());
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
        stream.WriteAsync(message, cancellationToken).AsTask();

    protected override bool TryComputeLength(out long length)
    {
        // No content-length: gRPC's own framing tells the end.
        length = 0;
        return false;
    }
}
