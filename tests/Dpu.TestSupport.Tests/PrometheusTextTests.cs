namespace Dpu.TestSupport.Tests;

[TestClass]
public sealed class PrometheusTextTests
{
    private const string Good =
        "# HELP dpu_a_total A.\n# TYPE dpu_a_total counter\ndpu_a_total{x=\"1,\\\"}\"} 2\ndpu_a_total 1e-05\n"
        + "# HELP dpu_d_seconds D.\n# TYPE dpu_d_seconds histogram\ndpu_d_seconds_bucket{le=\"0.1\"} 1\ndpu_d_seconds_bucket{le=\"+Inf\"} 3\ndpu_d_seconds_sum 1.5\ndpu_d_seconds_count 3\n";

    [TestMethod]
    [TestCategory("unit")]
    public void Parse_GoodText_GivesItsSamples()
    {
        PrometheusText text = PrometheusText.Parse(Good);
        Assert.AreEqual(2, text.Value("dpu_a_total", ("x", "1,\\\"}")));
        Assert.AreEqual(1, text.Value("dpu_d_seconds_bucket", ("le", "0.1")));
        Assert.AreEqual("histogram", text.Families["dpu_d_seconds"].Type);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("dpu_a_total 1e-05\n", "dpu_a_total 1,5\n", "no number")]
    [DataRow("dpu_a_total 1e-05\n", "dpu_a_total{x=\"1,\\\"}\"} 3\n", "twice")]
    [DataRow("dpu_a_total 1e-05\n", "dpu_b 1\n", "TYPE")]
    [DataRow("{x=\"1,\\\"}\"}", "{x=\"1,\"}\"}", "no sample")]
    [DataRow("# HELP dpu_a_total A.\n", "", "no help")]
    [DataRow("counter", "gauge", "_total")]
    [DataRow("le=\"0.1\"} 1", "le=\"0.1\"} 4", "cumulative")]
    [DataRow("_count 3", "_count 4", "_count")]
    [DataRow("le=\"+Inf\"", "le=\"1\"", "+Inf")]
    [DataRow("dpu_d_seconds", "dpu_d_milliseconds", "base units")]
    [DataRow("_count 3\n", "_count 3", "no end")]
    public void Parse_BrokenText_IsRefused(string what, string by, string why)
    {
        string text = Good.Replace(what, by, StringComparison.Ordinal);
        Assert.Contains(why, Assert.ThrowsExactly<FormatException>(() => PrometheusText.Parse(text)).Message);
    }
}
