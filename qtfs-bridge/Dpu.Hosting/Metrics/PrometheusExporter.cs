using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Dpu.Hosting.Metrics;

/// <summary>
/// Collects what our meters measure and writes it in Prometheus' text format. A measurement without labels allocates
/// nothing; one with labels does, so hot paths count in memory of their own and offer observable instruments, which
/// are asked only when someone scrapes. Thread-safe.
/// </summary>
public sealed class PrometheusExporter : IDisposable
{
    /// <summary>The content type of what <see cref="Scrape"/> gives.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly ConcurrentDictionary<Instrument, MetricFamily> _families = new();
    private readonly MeterListener _listener = new();
    private readonly Lock _scraping = new();
    private readonly List<ObservableHistogram> _histograms = [];
    private long _scrape;
    private long _dropped;
    private long _failed;

    /// <summary>Begins to collect.</summary>
    /// <param name="isOurs">Which meters count, by name.</param>
    public PrometheusExporter(Func<string, bool> isOurs)
    {
        ArgumentNullException.ThrowIfNull(isOurs);
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (isOurs(instrument.Meter.Name) && Family(instrument) is { } family)
            {
                _families[instrument] = family;
                listener.EnableMeasurementEvents(instrument, family);
            }
        };
        _listener.MeasurementsCompleted = (instrument, _) => _families.TryRemove(instrument, out MetricFamily? _);
        _listener.SetMeasurementEventCallback<byte>((_, value, tags, state) => Measure(value, tags, state));
        _listener.SetMeasurementEventCallback<short>((_, value, tags, state) => Measure(value, tags, state));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, state) => Measure(value, tags, state));
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => Measure(value, tags, state));
        _listener.SetMeasurementEventCallback<float>((_, value, tags, state) => Measure(value, tags, state));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => Measure(value, tags, state));
        _listener.SetMeasurementEventCallback<decimal>((_, value, tags, state) => Measure((double)value, tags, state));
        _listener.Start();
    }

    /// <summary>Adds histograms that their owner counts.</summary>
    public void Add(IHistogramSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        lock (_scraping)
        {
            _histograms.AddRange(source.Histograms);
        }
    }

    /// <summary>Asks the observable instruments and writes everything: instruments ordered by name, then <see cref="Add"/>ed histograms.</summary>
    public string Scrape()
    {
        lock (_scraping)
        {
            _scrape++;
            try
            {
                _listener.RecordObservableInstruments();
            }
            catch (AggregateException)
            {
                // Expected: an instrument's callback met something that has just ended. The others have been asked.
                _failed++;
            }

            var text = new StringBuilder();
            foreach (MetricFamily family in _families.Values.OrderBy(f => f.Name, StringComparer.Ordinal))
            {
                family.WriteTo(text, _scrape);
            }

            foreach (ObservableHistogram histogram in _histograms)
            {
                Interlocked.Add(ref _dropped, MetricFamily.Write(text, histogram, histogram.Observe()));
            }

            Own(text, "dpu_metrics_dropped_measurements_total", "Measurements with more label sets than an instrument may have.", Interlocked.Read(ref _dropped));
            Own(text, "dpu_metrics_failed_scrapes_total", "Scrapes in which an instrument could not be asked.", _failed);
            return text.ToString();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();

    private static void Own(StringBuilder text, string name, string help, long value) =>
        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");

    private static MetricFamily? Family(Instrument instrument)
    {
        Type type = instrument.GetType();
        Type? shape = type.IsGenericType ? type.GetGenericTypeDefinition() : null;
        MetricKind? kind = shape switch
        {
            _ when shape == typeof(Counter<>) || shape == typeof(ObservableCounter<>) => MetricKind.Counter,
            _ when shape == typeof(Histogram<>) => MetricKind.Histogram,
            _ when shape == typeof(Gauge<>) || shape == typeof(ObservableGauge<>)
                || shape == typeof(UpDownCounter<>) || shape == typeof(ObservableUpDownCounter<>) => MetricKind.Gauge,
            _ => null,
        };
        double[]? bounds = instrument switch
        {
            Histogram<double> h => Bounds(h.Advice?.HistogramBucketBoundaries),
            Histogram<long> h => Bounds(h.Advice?.HistogramBucketBoundaries?.Select(b => (double)b)),
            Histogram<int> h => Bounds(h.Advice?.HistogramBucketBoundaries?.Select(b => (double)b)),
            _ => null,
        };
        return kind is { } known ? new MetricFamily(instrument, known, bounds) : null;
    }

    private static double[]? Bounds(IEnumerable<double>? bounds) => bounds?.ToArray();

    private void Measure(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        if (state is MetricFamily family && !family.Measure(value, tags, _scrape))
        {
            Interlocked.Increment(ref _dropped);
        }
    }
}
