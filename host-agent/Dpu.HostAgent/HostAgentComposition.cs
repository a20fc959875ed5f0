using Dpu.HostAgent.Control;
using Dpu.HostAgent.Policy;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Link;
using Dpu.Qtfs.Export;
using Dpu.Qtfs.Export.Coherence;

namespace Dpu.HostAgent;

/// <summary>Puts the host agent's parts together.</summary>
public static class HostAgentComposition
{
    /// <summary>Adds them to a daemon.</summary>
    public static void Configure(DaemonBuilder<HostAgentConfiguration> daemon)
    {
        IServiceCollection services = daemon.Services;
        services.AddSingleton(new ExportServiceOptions());
        services.AddSingleton<ChangeWatcher>();
        services.AddSingleton<HostMounts>();
        services.AddSingleton<ExportService>();
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
            [s.GetRequiredService<ExportService>(), s.GetRequiredService<ControlService>()]));
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
    }
}
