using System.Diagnostics.Metrics;

namespace Dpu.Runtime.Reconcile;

/// <summary>Metrics of what is kept in step, by pair: read when they are asked for. Rules for alerts are in cross-build/prometheus.</summary>
public sealed class ReconcileMetrics : IDisposable
{
    private readonly Meter _meter = new("Dpu.Runtime.Reconcile");

    /// <summary>Registers the instruments.</summary>
    public ReconcileMetrics(PairTable pairs)
    {
        _meter.CreateObservableGauge(
            "dpu.reconcile.differences", () => pairs.All.SelectMany(r => r.State.Categories.Select(c => new Measurement<long>(c.Count, Pair(r), new("category", c.Word)))), "{flow}",
            "Differences that the last pass that did not fail left, by category.");
        _meter.CreateObservableGauge("dpu.reconcile.age", () => pairs.All.Select(r => new Measurement<double>(r.Age, Pair(r))), "s", "Since the last pass that did not fail, or since the pair is there.");
        _meter.CreateObservableGauge("dpu.reconcile.interval", () => pairs.All.Select(r => new Measurement<double>(r.State.Configuration.Interval.TotalSeconds, Pair(r))), "s", "Between two passes, as configured.");
        _meter.CreateObservableGauge("dpu.reconcile.duration", () => pairs.All.Select(r => new Measurement<double>(r.State.Duration.TotalSeconds, Pair(r))), "s", "How long the last pass took.");
        _meter.CreateObservableCounter("dpu.reconcile.passes", () => pairs.All.Select(r => Of(r, r.State.Passes)), "{pass}", "Passes that ended.");
        _meter.CreateObservableCounter("dpu.reconcile.failures", () => pairs.All.Select(r => Of(r, r.State.Failures)), "{pass}", "Passes that failed: a side could not be read or written.");
        _meter.CreateObservableCounter("dpu.reconcile.repair.failures", () => pairs.All.Select(r => Of(r, r.State.Changes.Failed)), "{change}", "Changes that targets refused, or said were done and were not.");
        _meter.CreateObservableCounter(
            "dpu.reconcile.changes",
            () => pairs.All.SelectMany(r => (Measurement<long>[])
            [
                new((long)r.State.Changes.Added, Pair(r), new("change", "added")), new((long)r.State.Changes.Replaced, Pair(r), new("change", "replaced")), new((long)r.State.Changes.Deleted, Pair(r), new("change", "deleted")),
            ]),
            "{change}", "Changes that were made.");
    }

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private static KeyValuePair<string, object?> Pair(PairRunner runner) => new("pair", runner.State.Configuration.Name);

    private static Measurement<long> Of(PairRunner runner, ulong value) => new((long)value, Pair(runner));
}
