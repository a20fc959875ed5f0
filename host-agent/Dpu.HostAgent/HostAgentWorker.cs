using Dpu.Fuse;
using Dpu.HostAgent.Policy;
using Dpu.HostAgent.Processes;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Link;
using Microsoft.Extensions.Hosting;

namespace Dpu.HostAgent;

/// <summary>Starts and stops what DPUs connect to.</summary>
/// <param name="configuration">The configuration's keeper.</param>
/// <param name="exports">The policy on files.</param>
/// <param name="processes">The processes.</param>
/// <param name="listener">The link's listening end.</param>
/// <param name="metrics">Live as long as this part.</param>
public sealed class HostAgentWorker(
    ReloadCoordinator<HostAgentConfiguration> configuration,
    ExportPolicy exports,
    ProcessService processes,
    LinkListener listener,
    HostAgentMetrics metrics) : IHostedService
{
    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        FileDescriptorLimit.RaiseToHard();

        // Policy first: nobody must be let in under none.
        exports.Serve();
        exports.Apply(configuration.Current);
        exports.Restore();
        processes.Restore();
        listener.Start();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await Task.Factory.StartNew(listener.Dispose, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
        metrics.Dispose();
    }
}
