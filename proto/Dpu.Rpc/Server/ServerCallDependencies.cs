using Grpc.AspNetCore.Server;
using Microsoft.Extensions.Logging;

namespace Dpu.Rpc.Server;

/// <summary>What every call of a server shares.</summary>
internal sealed record ServerCallDependencies(GrpcServiceOptions Options, TimeProvider TimeProvider, ILogger Logger)
{
    public int MaxReceiveMessageSize => Options.MaxReceiveMessageSize ?? int.MaxValue;

    public int MaxSendMessageSize => Options.MaxSendMessageSize ?? int.MaxValue;
}
