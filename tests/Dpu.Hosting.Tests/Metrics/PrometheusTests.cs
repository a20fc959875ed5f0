using System.Diagnostics.Metrics;
using Dpu.Hosting.Metrics;
using Dpu.TestSupport;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Hosting.Tests.Metrics;

[TestClass]
public sealed class PrometheusTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("dpu.link.bytes", "By", true, "dpu_link_bytes_total")]
    [DataRow("dpu.fs.operation.duration", "s", false, "dpu_fs_operation_duration_seconds")]
    [DataRow("dpu.link.connections", "{connection}", false, "dpu_link_connections")]
    [DataRow("dpu.x.load", "1", false, "dpu_x_load_ratio")]
    [DataRow("9lives", null, true, "_9lives_total")]
    public void Name_OfInstrument_FollowsTheConventions(string name, string? unit, bool isCounter, string expected) =>
        Assert.AreEqual(expected, PrometheusName.Of(name, unit, isCounter));

    [TestMethod]
    [TestCategory("unit")]
    public void Scrape_AllKinds_AreInTheTextFormat()
    {
        using var meter = new Meter("Dpu.Test.Kinds");
        using var exporter = new PrometheusExporter(n => n == "Dpu.Test.Kinds");
        Counter<long> requests = meter.CreateCounter<long>("dpu.test.requests", description: "Requests\nserved.");
        UpDownCounter<int> open = meter.CreateUpDownCounter<int>("dpu.test.open");
        Histogram<double> duration = meter.CreateHistogram(
            "dpu.test.duration", "s", null, null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.1, 1] });
        _ = meter.CreateObservableGauge("dpu.test.level", () => 2.5);
        requests.Add(2);
        requests.Add(3, new KeyValuePair<string, object?>("peer", "a\"b\\c\nd"));
        open.Add(5);
        open.Add(-2);
        duration.Record(0.05);
        duration.Record(0.5);
        duration.Record(5);
        string text = exporter.Scrape();
        foreach (string expected in (string[])
            [
                "# HELP dpu_test_requests_total Requests\\nserved.\n# TYPE dpu_test_requests_total counter\ndpu_test_requests_total 2\n",
                "dpu_test_requests_total{peer=\"a\\\"b\\\\c\\nd\"} 3\n",
                "# TYPE dpu_test_open gauge\ndpu_test_open 3\n",
                "dpu_test_duration_seconds_bucket{le=\"0.1\"} 1\ndpu_test_duration_seconds_bucket{le=\"1\"} 2\ndpu_test_duration_seconds_bucket{le=\"+Inf\"} 3\ndpu_test_duration_seconds_sum 5.55\ndpu_test_duration_seconds_count 3\n",
                "dpu_test_level 2.5\n",
            ])
        {
            Assert.Contains(expected, text);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Scrape_ObservableSeriesGone_IsNotReportedAnyMore()
    {
        string[] peers = ["a", "b"];
        using var meter = new Meter("Dpu.Test.Gone");
        using var exporter = new PrometheusExporter(n => n == "Dpu.Test.Gone");
        _ = meter.CreateObservableGauge(
            "dpu.test.peer", () => peers.Select(p => new Measurement<int>(1, new KeyValuePair<string, object?>("peer", p))));
        Assert.Contains("peer=\"b\"", exporter.Scrape());
        peers = ["a"];
        string text = exporter.Scrape();
        Assert.DoesNotContain("peer=\"b\"", text);
        Assert.Contains("peer=\"a\"", text);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Measure_TooManyLabelSets_AreDroppedAndCounted()
    {
        using var meter = new Meter("Dpu.Test.Many");
        using var exporter = new PrometheusExporter(n => n == "Dpu.Test.Many");
        Counter<long> counter = meter.CreateCounter<long>("dpu.test.many");
        for (int i = 0; i < MetricFamily.MaxSeries + 5; i++)
        {
            counter.Add(1, new KeyValuePair<string, object?>("id", i));
        }

        string text = exporter.Scrape();
        Assert.AreEqual(MetricFamily.MaxSeries, text.Split('\n').Count(l => l.StartsWith("dpu_test_many_total{", StringComparison.Ordinal)));
        Assert.Contains("dpu_metrics_dropped_measurements_total 5\n", text);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Scrape_CallbackFails_OthersAreReported()
    {
        using var meter = new Meter("Dpu.Test.Fails");
        using var exporter = new PrometheusExporter(n => n == "Dpu.Test.Fails");
        _ = meter.CreateObservableGauge("dpu.test.broken", Broken);
        _ = meter.CreateObservableGauge("dpu.test.fine", () => 1);
        string text = exporter.Scrape();
        Assert.Contains("dpu_test_fine 1\n", text);
        Assert.Contains("dpu_metrics_failed_scrapes_total 1\n", text);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Scrape_HistogramsCountedElsewhere_AreInTheTextFormat()
    {
        KeyValuePair<string, object?> Label(string value) => new("opcode", value);
        using var exporter = new PrometheusExporter(_ => false);
        exporter.Add(new Histograms(
            new ObservableHistogram("dpu.test.duration", "s", "Took.", [1e-06, 0.5], () =>
            [
                new([1, 2, 3], 4.5, Label("FUSE_READ")),
                new([0, 0, 0], 0, Label("a\"b\\c\nd")),
            ]),
            new ObservableHistogram("dpu.test.none", "s", "Nobody.", [1], () => [])));

        string text = exporter.Scrape();
        Assert.Contains(
            "# HELP dpu_test_duration_seconds Took.\n# TYPE dpu_test_duration_seconds histogram\n", text);
        Assert.Contains(
            "dpu_test_duration_seconds_bucket{opcode=\"FUSE_READ\",le=\"1E-06\"} 1\ndpu_test_duration_seconds_bucket{opcode=\"FUSE_READ\",le=\"0.5\"} 3\ndpu_test_duration_seconds_bucket{opcode=\"FUSE_READ\",le=\"+Inf\"} 6\ndpu_test_duration_seconds_sum{opcode=\"FUSE_READ\"} 4.5\ndpu_test_duration_seconds_count{opcode=\"FUSE_READ\"} 6\n",
            text);
        Assert.DoesNotContain("none", text);
        PrometheusText parsed = PrometheusText.Parse(text);
        Assert.AreEqual(0, parsed.Value("dpu_test_duration_seconds_count", ("opcode", "a\\\"b\\\\c\\nd")));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Scrape_TooManyHistogramSeries_AreDroppedAndCounted()
    {
        using var exporter = new PrometheusExporter(_ => false);
        exporter.Add(new Histograms(new ObservableHistogram("dpu.test.duration", "s", "Took.", [1], () =>
            Enumerable.Range(0, MetricFamily.MaxSeries + 5).Select(i => new HistogramSeries([1, 1], 1, new KeyValuePair<string, object?>("id", i))))));
        PrometheusText text = PrometheusText.Parse(exporter.Scrape());
        Assert.AreEqual(MetricFamily.MaxSeries, text.Samples("dpu_test_duration_seconds_count").Count());
        Assert.AreEqual(5, text.Value("dpu_metrics_dropped_measurements_total"));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Scrape_AnyMeasurements_AreValidText() => Prop.ForAll((NonNull<string> label, double[] values, bool isLabelled) =>
    {
        using var meter = new Meter("Dpu.Test.Any");
        using var exporter = new PrometheusExporter(n => n == "Dpu.Test.Any");
        Histogram<double> duration = meter.CreateHistogram<double>("dpu.test.duration", "s", "Took.");
        Counter<double> bytes = meter.CreateCounter<double>("dpu.test.sent", "By", "Sent\\\n\"it\".");
        KeyValuePair<string, object?>[] tags = isLabelled ? [new("peer", label.Get)] : [];
        foreach (double value in values.Select(Math.Abs))
        {
            duration.Record(value, tags);
            bytes.Add(value, tags);
        }

        return PrometheusText.Parse(exporter.Scrape()).Samples("dpu_test_duration_seconds_count").Sum(s => s.Value) == values.Length;
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Measure_WithoutLabels_AllocatesNothing()
    {
        using var meter = new Meter("Dpu.Test.Hot");
        using var exporter = new PrometheusExporter(n => n == "Dpu.Test.Hot");
        Counter<long> counter = meter.CreateCounter<long>("dpu.test.hot");
        counter.Add(1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            counter.Add(1);
        }

        Assert.AreEqual(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private sealed class Histograms(params ObservableHistogram[] histograms) : IHistogramSource
    {
        IEnumerable<ObservableHistogram> IHistogramSource.Histograms => histograms;
    }

    private static int Broken() => throw new InvalidOperationException("gone");
}
