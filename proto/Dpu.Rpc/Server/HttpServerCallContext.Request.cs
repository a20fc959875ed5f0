using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Dpu.Rpc.Server;

/// <summary>What a call receives.</summary>
internal abstract partial class HttpServerCallContext
{
    private volatile bool requestAtEnd;

    /// <summary>Set before the handler runs.</summary>
    private MessageReader? Reader { get; set; }

    /// <summary>The next request, or null at the end.</summary>
    protected async Task<T?> ReadAsync<T>(Marshaller<T> marshaller, CancellationToken cancellationToken)
        where T : class
    {
        try
        {
            T? message = await Reader!.ReadAsync(marshaller.ContextualDeserializer, cancellationToken).ConfigureAwait(false);
            requestAtEnd |= message is null;
            return message;
        }
        catch (IOException e)
        {
            throw new ClientGoneException(e);
        }
    }

    /// <summary>The only request.</summary>
    /// <exception cref="RpcException">UNIMPLEMENTED where there is none, or another one (doc/statuscodes.md, cardinality violation).</exception>
    protected async Task<T> ReadSingleAsync<T>(Marshaller<T> marshaller)
        where T : class
    {
        T message = await ReadAsync(marshaller, Token).ConfigureAwait(false)
            ?? throw GrpcProtocol.Error(StatusCode.Unimplemented, "The method takes one request, but none was sent.");
        bool atEnd;
        try
        {
            atEnd = await Reader!.ReadEndAsync(Token).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            throw new ClientGoneException(e);
        }

        requestAtEnd |= atEnd;
        return atEnd ? message : throw GrpcProtocol.Error(StatusCode.Unimplemented, "The method takes one request, but more was sent.");
    }
}
