using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Link;
using Dpu.Runtime.Control;
using Dpu.Runtime.Events;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;
using Grpc.HealthCheck;

namespace Dpu.Runtime;

/// <summary>Puts the runtime's parts together.</summary>
public static class RuntimeComposition
{
    /// <summary>Adds them to a daemon.</summary>
    public static void Configure(DaemonBuilder<RuntimeConfiguration> daemon)
    {
        IServiceCollection services = daemon.Services;
        services.AddSingleton<EventHub>();
        services.AddSingleton(s => new LinkDialer(daemon.Credentials.Optional, new LinkDialerOptions(), s.GetRequiredService<TimeProvider>()));
        services.AddSingleton<HostLinks>();
        services.AddSingleton<MountManager>();
        services.AddSingleton(s => new DaemonStatusSource(
            RuntimeConfiguration.Program, daemon.ConfigurationFile, daemon.Credentials.Optional, s.GetRequiredService<TimeProvider>()));
        services.AddSingleton<RuntimeWorker>();
        services.AddHostedService(s => s.GetRequiredService<RuntimeWorker>());
        daemon.AddReloadable<RuntimeWorker>();

        var health = new HealthServiceImpl();
        health.SetStatus("", Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus.Serving);
        health.SetStatus("dpu.v1.Runtime", Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus.Serving);
        services.AddSingleton(health);
        services.AddGrpc();
        services.AddSingleton<RuntimeService>();
        daemon.MapControl(endpoints =>
        {
            endpoints.MapGrpcService<RuntimeService>();
            endpoints.MapGrpcService<HealthServiceImpl>();
        });
    }
}
