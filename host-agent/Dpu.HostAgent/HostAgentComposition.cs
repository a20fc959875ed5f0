using Dpu.HostAgent.Control;
using Dpu.HostAgent.Policy;
using Dpu.HostAgent.Processes;
using Dpu.HostAgent.Processes.Groups;
using Dpu.HostAgent.Sockets;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Qtfs.Export;
using Dpu.Qtfs.Export.Coherence;
using Dpu.Relay;

namespace Dpu.HostAgent;

/// <summary>Puts the host agent's parts together.</summary>
public static class HostAgentComposition
{
    /// <summary>Adds them to a daemon.</summary>
    public static void Configure(DaemonBuilder<HostAgentConfiguration> daemon)
    {
        IServiceCollection services = daemon.Services;
        services.AddSingleton(new ExportServiceOptions { Grace = daemon.Configuration.SessionGrace, KeepOnStop = daemon.Configuration.Keeper.KeepOnStop });
        services.AddSingleton(s => KeepingOf(daemon.Configuration.Keeper, s.GetRequiredService<ILogger<Keeping>>()));
        services.AddSingleton<ChangeWatcher>();
        services.AddSingleton<HostMounts>();
        services.AddSingleton<ExportService>();
        services.AddSingleton<RelayHub>();
        services.AddSingleton<HostForwards>();
        services.AddSingleton<SocketTargets>();
        services.AddSingleton(s => new RelayService(s.GetRequiredService<RelayHub>(), s.GetRequiredService<SocketTargets>()));
        services.AddSingleton<ProgramPolicy>();

        // Under names of their own: an agent of the version before lets go of all that it does not know among the mounts'.
        services.AddKeyedSingleton(ProcessService.KeptAs, (_, _) => new Keeping(daemon.Configuration.Keeper.Socket, "processes/"));
        services.AddKeyedSingleton(PeerMountsService.KeptAs, (_, _) => new Keeping(daemon.Configuration.Keeper.Socket, "peermounts/"));
        services.AddSingleton(s => new ProcessGroups(daemon.Configuration.Processes, s.GetRequiredService<TimeProvider>(), s.GetRequiredService<ILogger<ProcessGroups>>()));
        services.AddSingleton<ProcessService>();
        services.AddSingleton<ExportPolicy>();
        services.AddSingleton<PeerPolicy>();
        services.AddSingleton<ControlService>();
        services.AddSingleton(s => new LinkListener(
            new LinkListenerOptions
            {
                Endpoints = daemon.Configuration.Listen,
                Credentials = daemon.Credentials,
                Policy = PeerPolicy.From(daemon.Configuration),
                Local = new LinkLocal { Name = daemon.Credentials?.Identity.Name ?? HostAgentConfiguration.Program },
                Time = s.GetRequiredService<TimeProvider>(),
                Logger = s.GetRequiredService<ILogger<LinkListener>>(),
            },
            [s.GetRequiredService<ExportService>(), s.GetRequiredService<ControlService>(), s.GetRequiredService<RelayService>(), s.GetRequiredService<ProcessService>()]));
        services.AddSingleton(s => new DaemonStatusSource(
            HostAgentConfiguration.Program,
            daemon.Credentials?.Identity.Name ?? Environment.MachineName.ToLowerInvariant(),
            daemon.ConfigurationFile,
            daemon.Credentials,
            s.GetRequiredService<TimeProvider>()));
        services.AddHostedService<HostAgentWorker>();
        daemon.AddReloadable<ExportPolicy>();
        daemon.AddReloadable<PeerPolicy>();
        services.AddSingleton<ExportProbe>();
        daemon.AddProbe<ExportProbe>();
        services.AddSingleton<HostAgentMetrics>();
        daemon.AddHistograms<HostAgentMetrics>();
        services.AddSingleton<AgentService>();
        daemon.ServesStreams = true;
        daemon.MapControl(endpoints => endpoints.MapGrpcService<AgentService>());
        services.AddSingleton<PeerMountsService>();
        daemon.MapControl(endpoints => endpoints.MapGrpcService<PeerMountsService>());
    }

    private static Keeping KeepingOf(KeeperConfiguration configuration, ILogger logger) => new(configuration.Socket, "agent/", (there, what) =>
    {
        if (there)
        {
            Log.KeeperThere(logger, what);
        }
        else
        {
            Log.KeeperGone(logger, what);
        }
    });
}
