using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Dpu.Rpc.Server;

/// <summary>Makes an endpoint of every method that a generated BindService names.</summary>
/// <typeparam name="TService">The class that handles calls; its methods have the names of the .proto file.</typeparam>
internal sealed class EndpointBinder<
    [DynamicallyAccessedMembers(
        DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicMethods | DynamicallyAccessedMemberTypes.NonPublicMethods)]
TService>(IEndpointRouteBuilder builder, ServerCallDependencies dependencies) : ServiceBinderBase
    where TService : class
{
    private readonly List<IEndpointConventionBuilder> endpoints = [];
    private readonly HashSet<string> serviceNames = [];

    public IReadOnlyList<IEndpointConventionBuilder> Endpoints => endpoints;

    public IReadOnlyCollection<string> ServiceNames => serviceNames;

    public override void AddMethod<TRequest, TResponse>(Method<TRequest, TResponse> method, UnaryServerMethod<TRequest, TResponse>? handler)
    {
        if (handler is not null)
        {
            Map(method, (call, _) => call.RunUnaryAsync(handler));
            return;
        }

        var open = Open<Func<TService, TRequest, ServerCallContext, Task<TResponse>>>(method, typeof(TRequest), typeof(ServerCallContext));
        Map(method, (call, service) => call.RunUnaryAsync((request, context) => open(service!, request, context)));
    }

    public override void AddMethod<TRequest, TResponse>(Method<TRequest, TResponse> method, ClientStreamingServerMethod<TRequest, TResponse>? handler)
    {
        if (handler is not null)
        {
            Map(method, (call, _) => call.RunClientStreamingAsync(handler));
            return;
        }

        var open = Open<Func<TService, IAsyncStreamReader<TRequest>, ServerCallContext, Task<TResponse>>>(
            method, typeof(IAsyncStreamReader<TRequest>), typeof(ServerCallContext));
        Map(method, (call, service) => call.RunClientStreamingAsync((requests, context) => open(service!, requests, context)));
    }

    public override void AddMethod<TRequest, TResponse>(Method<TRequest, TResponse> method, ServerStreamingServerMethod<TRequest, TResponse>? handler)
    {
        if (handler is not null)
        {
            Map(method, (call, _) => call.RunServerStreamingAsync(handler));
            return;
        }

        var open = Open<Func<TService, TRequest, IServerStreamWriter<TResponse>, ServerCallContext, Task>>(
            method, typeof(TRequest), typeof(IServerStreamWriter<TResponse>), typeof(ServerCallContext));
        Map(method, (call, service) => call.RunServerStreamingAsync((request, responses, context) => open(service!, request, responses, context)));
    }

    public override void AddMethod<TRequest, TResponse>(Method<TRequest, TResponse> method, DuplexStreamingServerMethod<TRequest, TResponse>? handler)
    {
        if (handler is not null)
        {
            Map(method, (call, _) => call.RunDuplexStreamingAsync(handler));
            return;
        }

        var open = Open<Func<TService, IAsyncStreamReader<TRequest>, IServerStreamWriter<TResponse>, ServerCallContext, Task>>(
            method, typeof(IAsyncStreamReader<TRequest>), typeof(IServerStreamWriter<TResponse>), typeof(ServerCallContext));
        Map(method, (call, service) => call.RunDuplexStreamingAsync((requests, responses, context) => open(service!, requests, responses, context)));
    }

    /// <summary>The class's method as a delegate whose first argument is the instance: it calls the most derived override.</summary>
    private static TDelegate Open<TDelegate>(IMethod method, params Type[] parameters)
        where TDelegate : Delegate
    {
        MethodInfo found = typeof(TService).GetMethod(method.Name, BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance, parameters)
            ?? throw new InvalidOperationException($"{typeof(TService)} has no method {method.Name} for {method.FullName}.");
        return found.CreateDelegate<TDelegate>();
    }

    private void Map<TRequest, TResponse>(Method<TRequest, TResponse> method, Func<ServerCall<TRequest, TResponse>, TService?, Task> run)
        where TRequest : class
        where TResponse : class
    {
        serviceNames.Add(method.ServiceName);
        bool needsService = typeof(TService) != typeof(ServerServiceDefinition);

        async Task HandleAsync(HttpContext http)
        {
            if (!GrpcRequest.TryAccept(http))
            {
                return;
            }

            var call = new ServerCall<TRequest, TResponse>(http, method, dependencies);
            await call.HandleAsync(async () =>
            {
                if (!needsService)
                {
                    await run(call, null).ConfigureAwait(false);
                    return;
                }

                await using var service = new ServiceInstance<TService>(http.RequestServices);
                await run(call, service.Instance).ConfigureAwait(false);
            }).ConfigureAwait(false);
        }

        IEndpointConventionBuilder endpoint = builder.MapMethods(method.FullName, [HttpMethods.Post], HandleAsync);
        endpoint.Add(route =>
        {
            route.DisplayName = $"gRPC {method.FullName}";
            route.Metadata.Add(new GrpcMethodMetadata(typeof(TService), method));
        });
        endpoints.Add(endpoint);
    }
}
