using Dpu.Fuse;
using Dpu.HostAgent.Policy;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Link;

namespace Dpu.HostAgent;

/// <summary>Starts and stops what DPUs connect to.</summary>
/// <param name="configuration">The configuration's keeper.</param>
/// <param name="exports">The policy on files.</param>
/// <param name="peers">The policy on peers.</param>
/// <param name="listener">The link's listening end.</param>
public sealed class HostAgentWorker(
    ReloadCoordinator<HostAgentConfiguration> configuration,
    ExportPolicy exports,
    PeerPolicy peers,
    LinkListener listener) : IHostedService
{
    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        DescriptorLimit.Raise();

        // Policy first: nobody must be let in under none.
        exports.Apply(configuration.Current);
        peers.Apply(configuration.Current);
        listener.Start();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) =>
        Task.Factory.StartNew(listener.Dispose, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
