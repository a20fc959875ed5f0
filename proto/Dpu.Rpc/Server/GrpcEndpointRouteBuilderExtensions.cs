using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Dpu.Rpc.Server;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Maps gRPC services to endpoints.</summary>
public static class GrpcEndpointRouteBuilderExtensions
{
    private const DynamicallyAccessedMemberTypes ServiceMembers =
        DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicMethods | DynamicallyAccessedMemberTypes.NonPublicMethods;

    /// <summary>Serves a class that derives from a generated service base.</summary>
    /// <remarks>
    /// Each call takes the class from the services; where it is not registered, one is made for the call and disposed after it.
    /// </remarks>
    /// <exception cref="InvalidOperationException">AddGrpc was not called, or the class derives from no generated base.</exception>
    public static GrpcServiceEndpointConventionBuilder MapGrpcService<[DynamicallyAccessedMembers(ServiceMembers)] TService>(this IEndpointRouteBuilder builder)
        where TService : class
    {
        ArgumentNullException.ThrowIfNull(builder);
        MethodInfo bind = FindBindMethod(typeof(TService));
        var binder = new EndpointBinder<TService>(builder, Dependencies(builder));
        bind.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [binder, null], null);
        return Finish(builder, binder);
    }

    /// <summary>Serves a definition, that is a service object that exists: <c>Health.BindService(new HealthServiceImpl())</c>.</summary>
    public static GrpcServiceEndpointConventionBuilder MapGrpcService(this IEndpointRouteBuilder builder, ServerServiceDefinition definition)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(definition);
        var binder = new EndpointBinder<ServerServiceDefinition>(builder, Dependencies(builder));
        definition.BindService(binder);
        return Finish(builder, binder);
    }

    private static ServerCallDependencies Dependencies(IEndpointRouteBuilder builder)
    {
        IServiceProvider services = builder.ServiceProvider;
        if (services.GetService<GrpcMarker>() is null)
        {
            throw new InvalidOperationException("MapGrpcService needs services that were not added: call services.AddGrpc() first.");
        }

        return new ServerCallDependencies(
            services.GetRequiredService<IOptions<GrpcServiceOptions>>().Value,
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILoggerFactory>().CreateLogger("Dpu.Rpc.Server"));
    }

    private static GrpcServiceEndpointConventionBuilder Finish<TService>(IEndpointRouteBuilder builder, EndpointBinder<TService> binder)
        where TService : class
    {
        foreach (string service in binder.ServiceNames)
        {
            MapUnimplemented(builder, $"{service}/{{method:{GrpcContentTypeConstraint.Name}}}", "The service has no such method.");
        }

        if (builder.ServiceProvider.GetRequiredService<GrpcMarker>().TryMapUnknown(builder))
        {
            MapUnimplemented(builder, $"{{service}}/{{method:{GrpcContentTypeConstraint.Name}}}", "The server has no such service.");
        }

        return new GrpcServiceEndpointConventionBuilder(binder.Endpoints);
    }

    private static void MapUnimplemented(IEndpointRouteBuilder builder, string pattern, string detail)
    {
        var status = new Status(StatusCode.Unimplemented, detail);
        IEndpointConventionBuilder endpoint = builder.MapMethods(pattern, [HttpMethods.Post], context => TrailersOnly.WriteAsync(context, status));

        // After every method that exists, also where a server maps several services.
        endpoint.Add(route => ((RouteEndpointBuilder)route).Order = int.MaxValue);
    }

    private static MethodInfo FindBindMethod([DynamicallyAccessedMembers(ServiceMembers)] Type serviceType)
    {
        for (Type? type = serviceType; type is not null; type = type.BaseType)
        {
            if (type.GetCustomAttribute<BindServiceMethodAttribute>(inherit: false) is BindServiceMethodAttribute attribute)
            {
                return attribute.BindType.GetMethod(
                    attribute.BindMethodName,
                    BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static,
                    [typeof(ServiceBinderBase), type])
                    ?? throw new InvalidOperationException($"{attribute.BindType}.{attribute.BindMethodName}, which binds {serviceType}, does not exist.");
            }
        }

        throw new InvalidOperationException($"{serviceType} derives from no generated service base (such as Greeter.GreeterBase).");
    }
}

/// <summary>Adds conventions, such as authorization policies, to all endpoints of a mapped service.</summary>
public sealed class GrpcServiceEndpointConventionBuilder : IEndpointConventionBuilder
{
    private readonly IReadOnlyList<IEndpointConventionBuilder> endpoints;

    internal GrpcServiceEndpointConventionBuilder(IReadOnlyList<IEndpointConventionBuilder> endpoints) => this.endpoints = endpoints;

    /// <inheritdoc/>
    public void Add(Action<EndpointBuilder> convention)
    {
        foreach (IEndpointConventionBuilder endpoint in endpoints)
        {
            endpoint.Add(convention);
        }
    }
}
