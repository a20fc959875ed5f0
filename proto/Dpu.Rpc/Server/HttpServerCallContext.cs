using Dpu.Rpc.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Dpu.Rpc.Server;

/// <summary>One call of a server, as its handler sees it. Its other faces: Lifetime (begin, deadline, end) and Response (what is sent).</summary>
internal abstract partial class HttpServerCallContext : ServerCallContext
{
    private readonly IMethod method;
    private readonly CancellationTokenSource cancellation;
    private Metadata? requestHeaders;
    private Metadata? responseTrailers;
    private AuthContext? authContext;
    private DateTime deadlineUtc = DateTime.MaxValue;

    protected HttpServerCallContext(HttpContext http, IMethod method, ServerCallDependencies dependencies)
    {
        Http = http;
        this.method = method;
        Dependencies = dependencies;
        cancellation = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted);
        Token = cancellation.Token;
    }

    public HttpContext Http { get; }

    protected ServerCallDependencies Dependencies { get; }

    /// <summary>Kept beside the source, so that a handler may read it after the call's end.</summary>
    protected CancellationToken Token { get; }

    protected override string MethodCore => method.FullName;

    protected override string HostCore => Http.Request.Host.Value ?? "";

    protected override string PeerCore => Http.Connection.RemoteIpAddress switch
    {
        null => "unix:",
        { AddressFamily: System.Net.Sockets.AddressFamily.InterNetwork } v4 => $"ipv4:{v4}:{Http.Connection.RemotePort}",
        { } v6 => $"ipv6:[{v6}]:{Http.Connection.RemotePort}",
    };

    protected override DateTime DeadlineCore => deadlineUtc;

    protected override Metadata RequestHeadersCore => requestHeaders ??= GrpcRequest.ReadMetadata(Http.Request);

    protected override CancellationToken CancellationTokenCore => Token;

    protected override Metadata ResponseTrailersCore => responseTrailers ??= [];

    protected override Status StatusCore { get; set; }

    protected override WriteOptions? WriteOptionsCore { get; set; }

    protected override AuthContext AuthContextCore => authContext ??= PeerAuthentication.Describe(Http.Connection.ClientCertificate);

    /// <summary>What the headers ask for. Nothing of the body is read before.</summary>
    /// <exception cref="RpcException">They ask for what can't be.</exception>
    private TimeSpan? Prepare()
    {
        // The limits of gRPC are a message's, not a body's: a stream may go on for ever.
        if (Http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = null;
        }

        if (method.Type is MethodType.ClientStreaming or MethodType.DuplexStreaming
            && Http.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
        {
            // A stream may be silent. A single request keeps the lower limit, which ends one that never completes.
            rate.MinDataRate = null;
        }

        Http.Features.Get<IHttpRequestTimeoutFeature>()?.DisableTimeout();
        Http.Response.ContentType = GrpcProtocol.ContentType;

        string? encoding = GrpcRequest.Encoding(Http.Request);
        if (!GrpcProtocol.IsEncodingSupported(encoding))
        {
            Http.Response.Headers[GrpcProtocol.AcceptEncodingHeader] = GrpcProtocol.AcceptedEncodings;
            throw GrpcProtocol.Error(StatusCode.Unimplemented, $"The grpc-encoding '{encoding}' is not supported here; {GrpcProtocol.AcceptedEncodings} is.");
        }

        Reader = new MessageReader(Http.Request.BodyReader, Dependencies.MaxReceiveMessageSize, encoding is not null);
        TimeSpan? timeout = GrpcRequest.ReadTimeout(Http.Request);
        _ = RequestHeaders;
        if (timeout is TimeSpan left)
        {
            DateTime now = Dependencies.TimeProvider.GetUtcNow().UtcDateTime;
            deadlineUtc = left < DateTime.MaxValue - now ? now + left : DateTime.MaxValue;
        }

        return timeout;
    }
}
