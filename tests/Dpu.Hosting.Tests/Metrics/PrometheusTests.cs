using System.Diagnostics.Metrics;
using Dpu.Hosting.Metrics;

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

    private static int Broken() => throw new InvalidOperationException("gone");
}
