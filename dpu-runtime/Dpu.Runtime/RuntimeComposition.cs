using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Link;
using Dpu.Runtime.Control;
using Dpu.Runtime.Events;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;
using Grpc.Health.V1;
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
        string name = daemon.Credentials?.Identity.Name ?? daemon.Configuration.Name ?? Environment.MachineName.ToLowerInvariant();
        services.AddSingleton(s => new DialerSource(daemon.Credentials, name, s.GetRequiredService<TimeProvider>()));
        services.AddSingleton<HostLinks>();
        services.AddSingleton<MountManager>();
        services.AddSingleton(s => new DaemonStatusSource(
            RuntimeConfiguration.Program, daemon.ConfigurationFile, daemon.Credentials, s.GetRequiredService<TimeProvider>()));
        services.AddSingleton<RuntimeWorker>();
        services.AddHostedService(s => s.GetRequiredService<RuntimeWorker>());
        daemon.AddReloadable<RuntimeWorker>();

        var health = new HealthServiceImpl();
        health.SetStatus("", HealthCheckResponse.Types.ServingStatus.Serving);
        health.SetStatus(Dpu.Proto.V1.Runtime.Descriptor.FullName, HealthCheckResponse.Types.ServingStatus.Serving);
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
