using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.DependencyInjection;

namespace Dpu.Rpc.Server;

/// <summary>The object that handles one call: a registered one, or one made for the call and disposed with it.</summary>
internal readonly struct ServiceInstance<
    [DynamicallyAccessedMembers(
        DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicMethods | DynamicallyAccessedMemberTypes.NonPublicMethods)]
TService> : IAsyncDisposable
    where TService : class
{
    private readonly bool made;

    public ServiceInstance(IServiceProvider services)
    {
        TService? registered = services.GetService<TService>();
        made = registered is null;
        Instance = registered ?? ActivatorUtilities.CreateInstance<TService>(services);
    }

    public TService Instance { get; }

    public async ValueTask DisposeAsync()
    {
        if (!made)
        {
            return;
        }

        if (Instance is IAsyncDisposable asyncDisposable)
        {
            await asyncDisposable.DisposeAsync().ConfigureAwait(false);
        }
        else
        {
            (Instance as IDisposable)?.Dispose();
        }
    }
}
