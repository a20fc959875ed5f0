using Dpu.Fuse;
using Dpu.HostAgent.Policy;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Link;
using Microsoft.Extensions.Hosting;

namespace Dpu.HostAgent;

/// <summary>Starts and stops what DPUs connect to.</summary>
/// <param name="configuration">The configuration's keeper.</param>
/// <param name="exports">The policy on files.</param>
/// <param name="listener">The link's listening end.</param>
public sealed class HostAgentWorker(
    ReloadCoordinator<HostAgentConfiguration> configuration,
    ExportPolicy exports,
    LinkListener listener) : IHostedService
{
    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        FileDescriptorLimit.RaiseToHard();

        // Policy first: nobody must be let in under none.
        exports.Apply(configuration.Current);
        listener.Start();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) =>
        Task.Factory.StartNew(listener.Dispose, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
