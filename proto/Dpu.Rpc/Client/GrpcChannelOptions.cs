using Dpu.Rpc.Wire;

namespace Grpc.Net.Client;

/// <summary>How a channel behaves. Read once, when the channel is made.</summary>
public sealed class GrpcChannelOptions
{
    /// <summary>
    /// Sends the requests; null for one of the channel's own. A <see cref="SocketsHttpHandler"/> with a ConnectCallback reaches
    /// unix sockets (see <see cref="UnixSocketHandler"/>) and streams of any kind.
    /// </summary>
    public HttpMessageHandler? HttpHandler { get; set; }

    /// <summary>Whether the channel disposes <see cref="HttpHandler"/> with itself; its own it always does.</summary>
    public bool DisposeHttpClient { get; set; }

    /// <summary>The longest message received, in bytes; 4 MiB unless set, null for no limit.</summary>
    public int? MaxReceiveMessageSize { get; set; } = GrpcProtocol.DefaultMaxReceiveMessageSize;

    /// <summary>The longest message sent, in bytes; null, the default, for no limit.</summary>
    public int? MaxSendMessageSize { get; set; }

    /// <summary>Whether calls that end with CANCELLED or DEADLINE_EXCEEDED throw OperationCanceledException instead of RpcException.</summary>
    public bool ThrowOperationCanceledOnCancellation { get; set; }

    /// <summary>The clock of deadlines.</summary>
    public TimeProvider TimeProvider { get; set; } = TimeProvider.System;
}
