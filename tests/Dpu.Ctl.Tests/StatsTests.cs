using System.Text.Json;
using Dpu.Hosting;

namespace Dpu.Ctl.Tests;

/// <summary><c>dpuctl stats</c> and <c>dpuctl top</c> without a terminal.</summary>
[TestClass]
public sealed class StatsTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Stats_OfAllMounts_IsATableByOpcodeSortedByCount()
    {
        using var fixture = new CtlFixture();
        (int code, string output, string error) = fixture.Run("stats");
        Assert.AreEqual(ExitCodes.Success, code, error);
        string[] lines = output.TrimEnd('\n').Split('\n');
        Assert.AreEqual("/mnt/waiting (host2:e): waiting, link down; unknown outcome 0, repeated 0, interrupted 0, recovered 0, taken over 0", lines[0]);
        string[] of = lines[(Array.IndexOf(lines, string.Empty) + 1)..];
        Assert.AreEqual("/mnt/x (host1:evil\\x1b[31m): mounted, link up, 10s; unknown outcome 1, repeated 3, interrupted 2, recovered 0, taken over 0", of[0]);
        string[][] cells = [.. of[1..].Select(line => System.Text.RegularExpressions.Regex.Split(line, " {2,}"))];
        CollectionAssert.AreEqual(new[] { "OPERATION", "COUNT", "ERRORS", "RATE", "P50", "P99", "MAX", "TO-HOST", "FROM-HOST", "IN-FLIGHT" }, cells[0]);
        CollectionAssert.AreEqual(new[] { "READ", "30", "0", "3/s", "1ms", "2ms", "2ms", "2.9 KiB", "120 KiB", "1" }, cells[1]);
        CollectionAssert.AreEqual(new[] { "LOOKUP", "10", "4", "1/s", "50us", "99us", "100us", "1000 B", "40 KiB", "0" }, cells[2]);
        CollectionAssert.AreEqual(new[] { "total", "40", "4", "4/s" }, cells[3][..4]);
        Assert.IsFalse(output.Any(c => char.IsControl(c) && c != '\n'), "what a host says cannot steer the terminal");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Stats_OfOneMount_ShowsOnlyIt()
    {
        using var fixture = new CtlFixture();
        (int code, string output, string error) = fixture.Run("stats", "/mnt/x/");
        Assert.AreEqual(ExitCodes.Success, code, error);
        Assert.StartsWith("/mnt/x (", output);
        Assert.DoesNotContain("waiting", output);
        (code, output, error) = fixture.Run("stats", "/mnt/y");
        Assert.AreEqual((ExitCodes.NotFound, string.Empty), (code, output));
        Assert.Contains("nothing of ours is mounted on /mnt/y", error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Stats_Watched_TellsWhatEachIntervalBrought()
    {
        using var fixture = new CtlFixture();
        (int code, string output, string error) = fixture.Run("stats", "/mnt/x", "--watch", "10ms", "--count", "3", "--json");
        Assert.AreEqual(ExitCodes.Success, code, error);
        JsonElement[] reports = [.. output.TrimEnd('\n').Split('\n').Select(line => Root(line).GetProperty("mounts")[0])];
        Assert.HasCount(3, reports);

        // First since the mount was made 10 s ago; then what a second brought, by the daemon's clock.
        Assert.AreEqual(10.0, reports[0].GetProperty("seconds").GetDouble());
        foreach (JsonElement report in reports)
        {
            Assert.AreEqual(40, report.GetProperty("total").GetProperty("requests").GetInt32());
            Assert.AreEqual("FUSE_READ", report.GetProperty("operations")[0].GetProperty("operation").GetString());
            Assert.AreEqual(30, report.GetProperty("operations")[0].GetProperty("requests").GetInt32());
        }

        Assert.AreEqual(1.0, reports[1].GetProperty("seconds").GetDouble());
        Assert.AreEqual(40.0, reports[2].GetProperty("total").GetProperty("requestsPerSecond").GetDouble());
        Assert.AreEqual(0.001, reports[2].GetProperty("operations")[0].GetProperty("mean").GetDouble());
        Assert.AreEqual(0.002, reports[2].GetProperty("operations")[0].GetProperty("latencies")[0].GetProperty("upTo").GetDouble());
    }

    [TestMethod]
    [TestCategory("root")]
    public void Stats_OfADaemonThatKnowsNone_SaysSo()
    {
        using var fixture = new CtlFixture();
        fixture.Runtime.IsOld = true;
        (int code, string output, string error) = fixture.Run("stats");
        Assert.AreEqual((ExitCodes.Failure, string.Empty), (code, output));
        Assert.Contains("older than this dpuctl", error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Top_WithoutATerminal_PrintsReportAfterReport()
    {
        using var fixture = new CtlFixture();
        (int code, string output, string error) = fixture.Run("top", "--interval", "10ms", "-n", "2");
        Assert.AreEqual(ExitCodes.Success, code, error);
        Assert.IsFalse(output.Any(c => char.IsControl(c) && c != '\n'), output);
        string[] reports = output.TrimEnd('\n').Split("\n\n");
        Assert.HasCount(2, reports);
        foreach ((string report, string rate) in reports.Zip(new[] { "4", "40" }))
        {
            string[] lines = report.Split('\n');
            Assert.Contains($"2 mounts, 1 linked; {rate}/s", lines[0]);
            Assert.StartsWith("MOUNT ", lines[1]);
            StringAssert.Matches(lines[2], new System.Text.RegularExpressions.Regex($@"^/mnt/x +host1:evil\S+ +up +{rate} "));
            Assert.StartsWith("/mnt/waiting", lines[3]);
        }

        string[] json = fixture.Run("top", "--batch", "-n", "2", "--interval", "1ms", "--json").Output.TrimEnd('\n').Split('\n');
        Assert.HasCount(2, json);
        Assert.AreEqual("/mnt/x", Root(json[1]).GetProperty("mounts")[0].GetProperty("target").GetString());
    }

    private static JsonElement Root(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }
}
