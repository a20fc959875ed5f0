using Dpu.HostAgent.Control;
using Dpu.HostAgent.Policy;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Link;
using Dpu.Qtfs.Export;
using Grpc.HealthCheck;

namespace Dpu.HostAgent;

/// <summary>Puts the host agent's parts together.</summary>
public static class HostAgentComposition
{
    /// <summary>Adds them to a daemon.</summary>
    public static void Configure(DaemonBuilder<HostAgentConfiguration> daemon)
    {
        IServiceCollection services = daemon.Services;
        services.AddSingleton(new ExportServiceOptions());
        services.AddSingleton<ExportService>();
        services.AddSingleton<ExportPolicy>();
        services.AddSingleton<PeerPolicy>();
        services.AddSingleton<ControlService>();
        services.AddSingleton(s => new LinkListener(
            new LinkListenerOptions
            {
                Endpoints = daemon.Configuration.Listen,
                Credentials = daemon.Credentials.Optional,
                Peers = s.GetRequiredService<PeerPolicy>(),
            },
            [s.GetRequiredService<ExportService>(), s.GetRequiredService<ControlService>()],
            s.GetRequiredService<TimeProvider>(),
            s.GetRequiredService<ILogger<LinkListener>>()));
        services.AddSingleton(s => new DaemonStatusSource(
            HostAgentConfiguration.Program, daemon.ConfigurationFile, daemon.Credentials.Optional, s.GetRequiredService<TimeProvider>()));
        services.AddHostedService<HostAgentWorker>();
        daemon.AddReloadable<ExportPolicy>();
        daemon.AddReloadable<PeerPolicy>();

        var health = new HealthServiceImpl();
        health.SetStatus("", Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus.Serving);
        health.SetStatus("dpu.v1.Agent", Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus.Serving);
        services.AddSingleton(health);
        services.AddGrpc();
        services.AddSingleton<AgentService>();
        daemon.ServesStreams = true;
        daemon.MapControl(endpoints =>
        {
            endpoints.MapGrpcService<AgentService>();
            endpoints.MapGrpcService<HealthServiceImpl>();
        });
    }
}
