using Dpu.Rpc.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Dpu.Rpc.Server;

/// <summary>Lets the routes of unknown services and methods match gRPC requests only, so that other pages of the server stay reachable.</summary>
internal sealed class GrpcContentTypeConstraint : IRouteConstraint
{
    public const string Name = "dpugrpc";

    public bool Match(HttpContext? httpContext, IRouter? route, string routeKey, RouteValueDictionary values, RouteDirection routeDirection) =>
        httpContext is not null && GrpcProtocol.IsGrpcContentType(httpContext.Request.ContentType);
}

/// <summary>Tells that AddGrpc was called, and whether unknown services are mapped already.</summary>
internal sealed class GrpcMarker
{
    private readonly HashSet<object> mapped = new(ReferenceEqualityComparer.Instance);

    /// <summary>True the first time for an endpoint builder.</summary>
    public bool TryMapUnknown(IEndpointRouteBuilder endpoints)
    {
        lock (mapped)
        {
            return mapped.Add(endpoints.DataSources);
        }
    }
}
