using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Reconciler.History;
using Dpu.Runtime.Flows;
using Microsoft.Extensions.Hosting;

namespace Dpu.Runtime.Reconcile;

/// <summary>The pairs that the runtime keeps in step: those of its configuration, also after a reload. Thread-safe.</summary>
/// <param name="services">Gives the configuration's keeper, which needs this part itself.</param>
/// <param name="flows">The runtime's table.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
public sealed class PairTable(IServiceProvider services, FlowTableHost flows, TimeProvider time, ILogger<PairTable> logger) : IHostedService, IReloadable<RuntimeConfiguration>
{
    private readonly Lock _lock = new();
    private readonly List<PairRunner> _runners = [];
    private ReconcileConfiguration _configuration = ReconcileConfiguration.None;

    /// <summary>The pairs, in the order of the configuration.</summary>
    public IReadOnlyList<PairRunner> All
    {
        get
        {
            lock (_lock)
            {
                return [.. _runners];
            }
        }
    }

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        _ = services.GetRequiredService<ReconcileMetrics>();
        Apply(services.GetRequiredService<ReloadCoordinator<RuntimeConfiguration>>().Current.Reconcile);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<PairRunner> all = All;
        lock (_lock)
        {
            _runners.Clear();
        }

        return StopAsync(all);
    }

    /// <inheritdoc/>
    public ReloadOutcome Reload(RuntimeConfiguration previous, RuntimeConfiguration next) => new(Apply(next.Reconcile), []);

    private static async Task StopAsync(IEnumerable<PairRunner> runners)
    {
        await Task.WhenAll(runners.Select(runner => runner.StopAsync())).ConfigureAwait(false);
        foreach (PairRunner runner in runners.Where(r => r.HasEnded))
        {
            runner.Dispose();
        }
    }

    private List<string> Apply(ReconcileConfiguration configuration)
    {
        List<string> applied = [];
        List<PairRunner> gone;
        lock (_lock)
        {
            bool otherHistory = configuration with { Pairs = [] } != _configuration with { Pairs = [] };
            _configuration = configuration;
            gone = [.. _runners.Where(r => otherHistory || !configuration.Pairs.Contains(r.State.Configuration))];
            List<PairRunner> kept = [.. _runners.Except(gone)];
            _runners.Clear();
            foreach (ReconcilePairConfiguration pair in configuration.Pairs)
            {
                if (kept.Find(r => r.State.Configuration.Equals(pair)) is { } old)
                {
                    _runners.Add(old);
                    continue;
                }

                PairRunner runner = new(pair, flows.Table, () => configuration.History is { } file ? ReconcileHistory.Open(file, configuration.Keep, configuration.Passes) : null, time, logger);
                _runners.Add(runner);
                applied.Add($"flows of {pair.Name} are {(pair.Apply ? "kept in step" : "compared")}");
            }

            applied.AddRange(gone.Select(r => r.State.Configuration.Name).Except(configuration.Pairs.Select(p => p.Name), StringComparer.Ordinal).Select(name => $"flows of {name} are not compared any more"));

            // A pass that is under way ends by itself; a reload does not wait for it, but who has the same targets does.
            Task stopped = StopAsync(gone);
            foreach (PairRunner runner in _runners.Except(kept))
            {
                runner.Start(stopped);
            }
        }

        return applied;
    }
}
