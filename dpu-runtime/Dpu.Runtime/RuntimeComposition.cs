using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Qtfs.Mount.Sockets;
using Dpu.Relay;
using Dpu.Runtime.Control;
using Dpu.Runtime.Events;
using Dpu.Runtime.Flows;
using Dpu.Runtime.Forwards;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;
using Dpu.Runtime.Processes;
using Dpu.Runtime.Reconcile;
using Dpu.Runtime.Sockets;
using Dpu.Runtime.Views;

namespace Dpu.Runtime;

/// <summary>Puts the runtime's parts together.</summary>
public static class RuntimeComposition
{
    /// <summary>Adds them to a daemon.</summary>
    public static void Configure(DaemonBuilder<RuntimeConfiguration> daemon)
    {
        IServiceCollection services = daemon.Services;
        services.AddSingleton<EventHub>();
        string name = daemon.Credentials?.Identity.Name ?? daemon.Configuration.Name ?? Environment.MachineName.ToLowerInvariant();
        services.AddSingleton(s => new DialerSource(daemon.Credentials, name, s.GetRequiredService<TimeProvider>()));
        services.AddSingleton(s =>
        {
            KeeperEvents told = new(s.GetRequiredService<EventHub>(), s.GetRequiredService<ILogger<KeeperEvents>>());
            return new Keeping(daemon.Configuration.Keeper.Socket, $"runtime/{name}/", told.Changed);
        });
        services.AddSingleton<HostLinks>();
        services.AddSingleton<RelayHub>();
        services.AddSingleton(s => new MountedFiles(s.GetRequiredService<MountManager>));
        services.AddSingleton<ISocketRelays, SocketRelays>();
        services.AddSingleton<ForwardTable>();
        services.AddSingleton<ProcessTable>();
        services.AddSingleton<MountManager>();
        services.AddSingleton<ViewTable>();
        services.AddSingleton(s => new DaemonStatusSource(
            RuntimeConfiguration.Program, name, daemon.ConfigurationFile, daemon.Credentials, s.GetRequiredService<TimeProvider>()));
        services.AddSingleton<RuntimeWorker>();
        services.AddHostedService(s => s.GetRequiredService<RuntimeWorker>());
        daemon.AddReloadable<RuntimeWorker>();
        daemon.AddProbe<MountManager>();
        services.AddSingleton<RuntimeMetrics>();
        daemon.AddHistograms<RuntimeMetrics>();
        services.AddSingleton<RuntimeService>();
        daemon.MapControl(endpoints => endpoints.MapGrpcService<RuntimeService>());
        services.AddSingleton<ViewsService>();
        daemon.MapControl(endpoints => endpoints.MapGrpcService<ViewsService>());
        services.AddSingleton<FlowTableHost>();
        services.AddHostedService(s => s.GetRequiredService<FlowTableHost>());
        services.AddSingleton<FlowsService>();
        daemon.MapControl(endpoints => endpoints.MapGrpcService<FlowsService>());
        services.AddSingleton<PairTable>();
        services.AddHostedService(s => s.GetRequiredService<PairTable>());
        daemon.AddReloadable<PairTable>();
        services.AddSingleton<ReconcileMetrics>();
        services.AddSingleton<ReconcileService>();
        daemon.MapControl(endpoints => endpoints.MapGrpcService<ReconcileService>());
    }
}
