using Dpu.Rpc.Server;
using Microsoft.AspNetCore.Http;

namespace Grpc.Core;

/// <summary>From a call to the HTTP request that carries it.</summary>
public static class ServerCallContextExtensions
{
    /// <summary>The request, with its connection and features; valid until the handler returns.</summary>
    /// <exception cref="InvalidOperationException">The call is not one of this server's, such as a test's double.</exception>
    public static HttpContext GetHttpContext(this ServerCallContext serverCallContext) =>
        serverCallContext is HttpServerCallContext context
            ? context.Http
            : throw new InvalidOperationException($"A {serverCallContext?.GetType()} has no HttpContext: it is not a call of this server.");
}
