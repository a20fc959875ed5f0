using Dpu.Flows.Table;
using Dpu.Reconciler.History;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Reports;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.Tests.Support;
using Dpu.TestSupport;
using Microsoft.Data.Sqlite;

namespace Dpu.Reconciler.Tests.History;

[TestClass]
public sealed class ReconcileHistoryTests
{
    private static readonly DateTimeOffset _start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [TestMethod, TestCategory("unit")]
    public async Task Pass_ThatWasAdded_IsReadAsItWas()
    {
        using TemporaryDirectory folder = new();
        PassReport report = await Report([.. Enumerable.Range(0, 1500).Select(Samples.Numbered)], [Samples.Of("cookie=1,priority=100,ip,in_port=1,actions=drop"), Samples.Of("priority=7,arp,actions=output:1")]);
        using (ReconcileHistory history = ReconcileHistory.Open(folder["h.db"]))
        {
            Assert.AreEqual(1, history.Add(report));
            Assert.AreEqual(2, history.AddFailure(_start, TimeSpan.FromSeconds(1), ("a", "b"), "the sky fell"));
        }

        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder["h.db"]));
        using ReconcileHistory again = ReconcileHistory.Open(folder["h.db"], readOnly: true);
        PassRecord pass = again.Find(1)!;
        Assert.AreEqual((report.Names.Desired, report.Names.Actual, 1500L, 2L, (long)report.Found.Problems), (pass.Desired, pass.Actual, pass.DesiredFlows, pass.ActualFlows, pass.Found));
        CollectionAssert.AreEquivalent(TextReport.Counts(report.Found).Where(c => c.Count > 0).Select(c => $"{c.Word} {c.Count}").ToArray(), pass.Categories.Select(c => $"{c.Key} {c.Value.Found}").ToArray());
        Assert.AreEqual(report.Duration.Ticks / 10, pass.Duration.Ticks / 10);
        IReadOnlyList<StoredDifference> differences = again.Differences(1);
        Assert.HasCount(ReconcileHistory.MaxDifferences, differences);
        CollectionAssert.AreEqual(report.Found.Differences.Take(ReconcileHistory.MaxDifferences).Select(d => d.Word).ToArray(), differences.Select(d => d.Word).ToArray());
        CollectionAssert.AreEqual(new[] { "the sky fell", null }, again.List(10).Select(p => p.Error).ToArray(), "the latest first");
        Assert.HasCount(1, again.List(10, actual: "b"));
        Assert.HasCount(1, again.Points(report.Names.Desired, report.Names.Actual, 10));
        Assert.IsNull(again.Find(3));
    }

    [TestMethod, TestCategory("unit")]
    public void Passes_TooOldOrTooMany_GoWithTheirDifferences()
    {
        using TemporaryDirectory folder = new();
        using (ReconcileHistory history = ReconcileHistory.Open(folder["h.db"], TimeSpan.FromHours(1), passes: 5))
        {
            for (int i = 0; i < 20; i++)
            {
                _ = history.AddFailure(_start.AddMinutes(i), default, ("a", "b"), "x");
            }

            CollectionAssert.AreEqual(new long[] { 20, 19, 18, 17, 16 }, history.List(100).Select(p => p.Id).ToArray(), "at most five");
            _ = history.AddFailure(_start.AddMinutes(78), default, ("a", "b"), "x");
            CollectionAssert.AreEqual(new long[] { 21, 20, 19 }, history.List(100).Select(p => p.Id).ToArray(), "not older than an hour, and numbers are not used again");
        }

        using SqliteConnection connection = new($"Data Source={folder["h.db"]};Pooling=False");
        connection.Open();
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = "SELECT (SELECT count(*) FROM differences WHERE pass NOT IN (SELECT id FROM passes)) + (SELECT count(*) FROM categories WHERE pass NOT IN (SELECT id FROM passes))";
        Assert.AreEqual(0L, command.ExecuteScalar());
    }

    [TestMethod, TestCategory("unit")]
    public async Task TwoWriters_OfOneFile_LoseNothing()
    {
        using TemporaryDirectory folder = new();
        await Task.WhenAll(Enumerable.Range(0, 2).Select(writer => Task.Run(() =>
        {
            using ReconcileHistory history = ReconcileHistory.Open(folder["h.db"]);
            for (int i = 0; i < 100; i++)
            {
                _ = history.AddFailure(_start, default, ("a", $"writer{writer}"), "x");
            }
        })));
        using ReconcileHistory read = ReconcileHistory.Open(folder["h.db"], readOnly: true);
        Assert.AreEqual((100, 100), (read.List(1000, "writer0").Count, read.List(1000, "writer1").Count));
    }

    [TestMethod, TestCategory("unit")]
    public void FileThatIsNoHistory_SaysWhatItIsAndStaysAsItIs()
    {
        using TemporaryDirectory folder = new();
        StringAssert.Contains(Assert.ThrowsExactly<HistoryException>(() => ReconcileHistory.Open(folder["none"], readOnly: true)).Message, "there is no history");
        StringAssert.Contains(Assert.ThrowsExactly<HistoryException>(() => ReconcileHistory.Open(folder["no/folder"])).Message, "its folder must be there");
        string text = folder.WriteFile("text", string.Concat(Enumerable.Repeat("no database at all\n", 100)));
        string before = File.ReadAllText(text);
        StringAssert.Contains(Assert.ThrowsExactly<HistoryException>(() => ReconcileHistory.Open(text)).Message, "move it away to begin a new one");
        Assert.AreEqual(before, File.ReadAllText(text));
        using (ReconcileHistory history = ReconcileHistory.Open(folder["later"]))
        {
            _ = history.AddFailure(_start, default, ("a", "b"), "x");
        }

        using (SqliteConnection connection = new($"Data Source={folder["later"]};Pooling=False"))
        {
            connection.Open();
            using SqliteCommand command = connection.CreateCommand();
            command.CommandText = "PRAGMA user_version = 99";
            _ = command.ExecuteNonQuery();
        }

        StringAssert.Contains(Assert.ThrowsExactly<HistoryException>(() => ReconcileHistory.Open(folder["later"])).Message, "has version 99");
    }

    [TestMethod, TestCategory("unit")]
    public async Task Export_AsAPage_HasAChartForEachPairAndEscapesWhatTargetsSaid()
    {
        using TemporaryDirectory folder = new();
        using ReconcileHistory history = ReconcileHistory.Open(folder["h.db"]);
        _ = history.Add(await Report([Samples.Numbered(1)], []));
        _ = history.Add(await Report([Samples.Numbered(1)], [Samples.Numbered(1)]));
        _ = history.AddFailure(_start, default, ("a", "b"), "<script>");
        StringWriter page = new();
        HistoryExport.WriteHtml(page, [.. history.List(100).Reverse()]);
        StringAssert.Contains(page.ToString(), "&lt;script&gt;");
        Assert.IsFalse(page.ToString().Contains("<script", StringComparison.Ordinal));
        Assert.AreEqual(2, page.ToString().Split("<svg").Length - 1, "two pairs");
        StringAssert.Contains(page.ToString(), "2 passes: found (red), left (green)");
    }

    private static Task<PassReport> Report(FlowDefinition[] desired, FlowDefinition[] actual) =>
        new FlowReconciler(new MemoryTarget(Set(desired), "wanted"), new MemoryTarget(Set(actual), "there"), new ReconcilerOptions { Confirmations = 1 }).RunAsync(apply: false);

    private static Records.FlowSet Set(FlowDefinition[] flows)
    {
        Records.FlowSet set = new();
        Array.ForEach(flows, flow => set.Add(flow));
        return set;
    }
}
