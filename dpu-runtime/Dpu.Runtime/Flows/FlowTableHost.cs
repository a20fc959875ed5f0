using Dpu.Flows.Table;
using Microsoft.Extensions.Hosting;

namespace Dpu.Runtime.Flows;

/// <summary>The runtime's flow table, and the thread of time-outs: each second what has expired goes.</summary>
public sealed class FlowTableHost(TimeProvider time) : IHostedService, IDisposable
{
    private static readonly TimeSpan _interval = TimeSpan.FromSeconds(1);
    private ITimer? _timer;

    /// <summary>The table; empty at start.</summary>
    public FlowTable Table { get; } = new(new FlowTableOptions(), time);

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        _timer = time.CreateTimer(_ => Table.Expire(), null, _interval, _interval);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken)
    {
        Dispose();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public void Dispose() => _timer?.Dispose();
}
