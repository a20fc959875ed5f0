namespace Dpu.Hosting.Metrics;

/// <summary>
/// Histograms that are counted in memory of their owner's and read when someone scrapes. System.Diagnostics.Metrics has
/// observable counters and gauges, and no observable histogram; a recorded one costs an allocation for its labels.
/// </summary>
public interface IHistogramSource
{
    /// <summary>The histograms. Asked once.</summary>
    IEnumerable<ObservableHistogram> Histograms { get; }
}

/// <summary>One histogram, as OpenTelemetry names it.</summary>
/// <param name="Name">The instrument's name, such as <c>dpu.mount.operation.duration</c>.</param>
/// <param name="Unit">Its unit (UCUM).</param>
/// <param name="Description">What it tells.</param>
/// <param name="Bounds">Inclusive upper bounds of the buckets, ascending; one more takes what lies beyond.</param>
/// <param name="Observe">Gives the present series; called at each scrape.</param>
public sealed record ObservableHistogram(
    string Name,
    string Unit,
    string Description,
    IReadOnlyList<double> Bounds,
    Func<IEnumerable<HistogramSeries>> Observe);

/// <summary>A histogram's counts under one set of labels.</summary>
/// <param name="Counts">One a bound and one for what lies beyond; not cumulative.</param>
/// <param name="Sum">Of all values.</param>
/// <param name="Labels">Names and values.</param>
public sealed record HistogramSeries(IReadOnlyList<long> Counts, double Sum, params KeyValuePair<string, object?>[] Labels);
