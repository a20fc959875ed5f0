using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Dpu.Hosting.Metrics;

/// <summary>The kinds of Prometheus metric.</summary>
internal enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
}

/// <summary>One instrument and its series. Thread-safe.</summary>
internal sealed class MetricFamily
{
    /// <summary>
    /// Series an instrument may have; measurements of further label sets are counted as dropped, so that no peer can
    /// fill the memory by choosing labels.
    /// </summary>
    public const int MaxSeries = 1000;

    // OpenTelemetry's advice for durations in seconds, with finer steps below 5 ms: our calls take microseconds.
    private static readonly double[] _seconds =
        [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

    // OpenTelemetry's default for everything else.
    private static readonly double[] _general = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000];

    private readonly ConcurrentDictionary<string, MetricSeries> _series = new(StringComparer.Ordinal);
    private readonly MetricSeries _plain;
    private readonly double[] _bounds;
    private readonly bool _isDelta;
    private readonly bool _isObservable;
    private bool _hasPlain;

    public MetricFamily(Instrument instrument, MetricKind kind, double[]? bounds)
    {
        Kind = kind;
        _isObservable = instrument.IsObservable;
        _isDelta = !_isObservable && instrument is not Gauge<long> and not Gauge<int> and not Gauge<double>;
        Name = PrometheusName.Of(instrument.Name, instrument.Unit, kind == MetricKind.Counter);
        Help = instrument.Description ?? string.Empty;
        _bounds = kind == MetricKind.Histogram ? bounds ?? (instrument.Unit == "s" ? _seconds : _general) : [];
        _plain = new MetricSeries(string.Empty, _bounds);
    }

    public string Name { get; }

    public string Help { get; }

    public MetricKind Kind { get; }

    /// <summary>Takes a measurement; false where the instrument has too many series.</summary>
    public bool Measure(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, long scrape)
    {
        MetricSeries? series = _plain;
        if (tags.Length == 0)
        {
            _hasPlain = true;
        }
        else
        {
            string labels = Labels(tags);
            if (!_series.TryGetValue(labels, out series))
            {
                if (_series.Count >= MaxSeries)
                {
                    return false;
                }

                series = _series.GetOrAdd(labels, new MetricSeries(labels, _bounds));
            }
        }

        if (Kind == MetricKind.Histogram)
        {
            series.Record(value);
        }
        else if (_isDelta)
        {
            series.Add(value);
        }
        else
        {
            series.Set(value, scrape);
        }

        return true;
    }

    /// <summary>Writes the family in the text format 0.0.4.</summary>
    public void WriteTo(StringBuilder text, long scrape)
    {
        var all = new List<MetricSeries>(_series.Values);
        if (_hasPlain)
        {
            all.Insert(0, _plain);
        }

        if (_isObservable)
        {
            foreach (MetricSeries gone in all.Where(s => s.Scrape != scrape && s.Labels.Length > 0))
            {
                _ = _series.TryRemove(gone.Labels, out _);
            }

            _ = all.RemoveAll(s => s.Scrape != scrape);
        }

        if (all.Count == 0)
        {
            return;
        }

        string kind = Kind switch { MetricKind.Counter => "counter", MetricKind.Histogram => "histogram", _ => "gauge" };
        Head(text, Name, Help, kind);
        foreach (MetricSeries series in all.OrderBy(s => s.Labels, StringComparer.Ordinal))
        {
            (double sum, long count, long[] buckets) = series.Read();
            if (Kind == MetricKind.Histogram)
            {
                WriteHistogram(text, Name, _bounds, series.Labels, sum, count, buckets);
            }
            else
            {
                Line(text, Name, series.Labels, sum);
            }
        }
    }

    private static void WriteHistogram(
        StringBuilder text, string name, IReadOnlyList<double> bounds, string labels, double sum, long count, IReadOnlyList<long> buckets)
    {
        string separator = labels.Length == 0 ? string.Empty : ",";
        long cumulative = 0;
        for (int i = 0; i < bounds.Count; i++)
        {
            cumulative += buckets[i];
            Line(text, name + "_bucket", $"{labels}{separator}le=\"{Number(bounds[i])}\"", cumulative);
        }

        Line(text, name + "_bucket", $"{labels}{separator}le=\"+Inf\"", count);
        Line(text, name + "_sum", labels, sum);
        Line(text, name + "_count", labels, count);
    }

    /// <summary>Writes a histogram that is counted elsewhere; returns how many series were too many.</summary>
    public static int Write(StringBuilder text, ObservableHistogram histogram, IEnumerable<HistogramSeries> series)
    {
        string name = PrometheusName.Of(histogram.Name, histogram.Unit, isCounter: false);
        var all = new SortedDictionary<string, HistogramSeries>(StringComparer.Ordinal);
        int dropped = 0;
        foreach (HistogramSeries one in series)
        {
            dropped += all.Count < MaxSeries && all.TryAdd(Labels(one.Labels), one) ? 0 : 1;
        }

        if (all.Count > 0)
        {
            Head(text, name, histogram.Description, "histogram");
        }

        foreach ((string labels, HistogramSeries one) in all)
        {
            WriteHistogram(text, name, histogram.Bounds, labels, one.Sum, one.Counts.Sum(), one.Counts);
        }

        return dropped;
    }

    private static void Head(StringBuilder text, string name, string help, string kind)
    {
        if (help.Length > 0)
        {
            _ = text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {PrometheusName.EscapeHelp(help)}\n");
        }

        _ = text.Append(CultureInfo.InvariantCulture, $"# TYPE {name} {kind}\n");
    }

    private static void Line(StringBuilder text, string name, string labels, double value)
    {
        string braces = labels.Length == 0 ? string.Empty : $"{{{labels}}}";
        _ = text.Append(CultureInfo.InvariantCulture, $"{name}{braces} {Number(value)}\n");
    }

    private static string Number(double value) => double.IsPositiveInfinity(value) ? "+Inf"
        : double.IsNegativeInfinity(value) ? "-Inf"
        : double.IsNaN(value) ? "NaN"
        : value.ToString("R", CultureInfo.InvariantCulture);

    private static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var parts = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach ((string key, object? value) in tags)
        {
            parts[PrometheusName.Sanitise(key)] =
                PrometheusName.EscapeLabel(Convert.ToString(value, CultureInfo.InvariantCulture) ?? string.Empty);
        }

        return string.Join(',', parts.Select(p => $"{p.Key}=\"{p.Value}\""));
    }
}
