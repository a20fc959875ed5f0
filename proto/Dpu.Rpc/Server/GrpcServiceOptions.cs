using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Grpc.AspNetCore.Server;

/// <summary>How the services of a server behave. Read when services are mapped.</summary>
public class GrpcServiceOptions
{
    /// <summary>The longest message received, in bytes; 4 MiB unless set, null for no limit.</summary>
    public int? MaxReceiveMessageSize { get; set; } = GrpcProtocol.DefaultMaxReceiveMessageSize;

    /// <summary>The longest message sent, in bytes; null, the default, for no limit.</summary>
    public int? MaxSendMessageSize { get; set; }

    /// <summary>
    /// Asked before a call's request is read; anything but OK ends the call with that status. Null lets every call through.
    /// <c>GetHttpContext()</c> of the context gives the connection and its features; it may also throw RpcException.
    /// </summary>
    public Func<ServerCallContext, ValueTask<Status>>? Authorize { get; set; }

    /// <summary>How long, after its deadline, a call may try to tell the client so before its stream is reset.</summary>
    internal static TimeSpan DeadlineGrace { get; } = TimeSpan.FromSeconds(1);
}

/// <summary>What <c>AddGrpc</c> gives back.</summary>
public interface IGrpcServerBuilder
{
    /// <summary>The services gRPC was added to.</summary>
    Microsoft.Extensions.DependencyInjection.IServiceCollection Services { get; }
}

/// <summary>Which method an endpoint serves, among the endpoint's metadata.</summary>
public sealed class GrpcMethodMetadata(Type serviceType, IMethod method)
{
    /// <summary>The class that handles it.</summary>
    public Type ServiceType { get; } = serviceType;

    /// <summary>The method.</summary>
    public IMethod Method { get; } = method;
}
