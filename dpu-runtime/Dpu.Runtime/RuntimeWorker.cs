using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Linux;
using Dpu.Qtfs.Mount;
using Dpu.Relay;
using Dpu.Runtime.Control;
using Dpu.Runtime.Forwards;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;
using Dpu.Runtime.Processes;
using Dpu.Runtime.Views;
using Dpu.Systemd;
using Microsoft.Extensions.Hosting;

namespace Dpu.Runtime;

/// <summary>Carries the configuration to the links and mounts: at start, at each reload, and their end.</summary>
/// <param name="services">Gives the configuration's keeper, which needs this part itself.</param>
/// <param name="hosts">The links.</param>
/// <param name="mounts">The mounts.</param>
/// <param name="relays">What moves the bytes of sockets and processes.</param>
/// <param name="forwards">The forwards of sockets.</param>
/// <param name="processes">The processes of hosts.</param>
/// <param name="views">The views.</param>
/// <param name="daemon">Says where the configuration is.</param>
/// <param name="metrics">Live as long as this part.</param>
/// <param name="logger">The log.</param>
public sealed class RuntimeWorker(
    IServiceProvider services,
    HostLinks hosts,
    MountManager mounts,
    RelayHub relays,
    ForwardTable forwards,
    ProcessTable processes,
    ViewTable views,
    DaemonStatusSource daemon,
    RuntimeMetrics metrics,
    ILogger<RuntimeWorker> logger) : IHostedService, IReloadable<RuntimeConfiguration>
{
    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (ProcessProtection.ProtectProcess() is { Applied: false } refused)
        {
            Log.NotProtected(logger, refused.ToString());
        }

        RuntimeConfiguration configuration = services.GetRequiredService<ReloadCoordinator<RuntimeConfiguration>>().Current;
        _ = hosts.Configure(configuration.Hosts);
        mounts.TakeOver();
        processes.Restore();
        Apply(configuration);
        views.Restore();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (SystemState.IsStopping())
        {
            // Nobody comes after this runtime, and what unmounts everything now must not wait for one.
            mounts.KeepOnStop = false;
        }

        forwards.Dispose();
        views.Dispose();
        processes.Dispose();

        // Mounts first: unmounting writes back what is dirty, which needs the links.
        await mounts.DisposeAsync().ConfigureAwait(false);
        await hosts.DisposeAsync().ConfigureAwait(false);
        metrics.Dispose();
    }

    /// <inheritdoc/>
    public ReloadOutcome Reload(RuntimeConfiguration previous, RuntimeConfiguration next) => new(Apply(next), []);

    private List<string> Apply(RuntimeConfiguration configuration)
    {
        RemoteMountOptions[] wanted = [.. configuration.Mounts.Select(MountRequest.From)];

        mounts.KeepOnStop = configuration.Keeper.KeepOnStop;
        processes.Listen(configuration.StubSocket);
        views.Configure(configuration, daemon.ConfigurationFile);
        List<string> applied = [];
        if (mounts.SlowRequest != configuration.SlowRequest)
        {
            mounts.SlowRequest = configuration.SlowRequest;
            applied.Add($"slowRequest is {DurationText.Format(configuration.SlowRequest)}");
        }

        if (relays.BusyPoll != configuration.BusyPoll)
        {
            relays.BusyPoll = configuration.BusyPoll;
            applied.Add($"busyPoll is {DurationText.Format(configuration.BusyPoll)}");
        }

        // What goes is unmounted while its host's link still stands: it may have dirty pages.
        return [.. applied, .. mounts.RemoveAllBut(wanted), .. hosts.Configure(configuration.Hosts), .. mounts.Add(wanted), .. forwards.Configure(configuration.Forwards)];
    }
}
