using System.Text.Json.Nodes;
using Dpu.Benchmarks;
using Dpu.Benchmarks.Harness;

namespace Dpu.TestSupport.Tests;

[TestClass]
public sealed class BenchmarkHarnessTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Runner_Rounds_ReverseTheOrderAndGiveMedians()
    {
        List<string> order = [];
        Fake a = new("a"), b = new("b");
        Queue<double> values = new([1, 10, 20, 2, 3, 30]);
        Work<Fake> work = new("w", "us", Better.Lower, fake =>
        {
            order.Add(fake.Name);
            return values.Dequeue();
        });
        Results results = new Runner<Fake>([a, b], [work], rounds: 3, _ => { }).Run();
        CollectionAssert.AreEqual((string[])["a", "b", "b", "a", "a", "b"], order);
        Assert.AreEqual(2.0, results.Median("w", "a"));
        Assert.AreEqual(20.0, results.Median("w", "b"));
        Assert.IsTrue(a.Disposed && b.Disposed);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Runner_ContenderThatCannotStart_IsNamedAndFailsTheRun()
    {
        Work<Fake> work = new("w", "us", Better.Lower, _ => 1);
        Results results = new Runner<Fake>([new("ours"), new("peer") { StartError = "no sshfs here" }], [work], 1, _ => { }).Run();
        StringWriter error = new();
        int exit = Report.Print(results, [work], ["ours", "peer"], [new("ours", "peer")], json: true, new StringWriter(), error);
        Assert.AreEqual(1, exit);
        StringAssert.Contains(error.ToString(), "peer: no sshfs here", StringComparison.Ordinal);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Runner_WorkThatThrowsOnce_HasNoMedian()
    {
        int runs = 0;
        Work<Fake> work = new("w", "us", Better.Lower, _ => ++runs == 2 ? throw new IOException("broken") : 1);
        Results results = new Runner<Fake>([new("ours")], [work], 3, _ => { }).Run();
        Assert.IsNull(results.Median("w", "ours"));
        Assert.AreEqual("broken", results.Errors.Single().Message);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("Lower", 5.0, 10.0, 0.5, true)]
    [DataRow("Lower", 6.0, 10.0, 0.5, false)]
    [DataRow("Higher", 30.0, 10.0, 2.5, true)]
    [DataRow("Higher", 20.0, 10.0, 2.5, false)]
    public void ToJson_ComparisonWithBar_HasTheFixedShape(string better, double ours, double peer, double bar, bool met)
    {
        JsonObject json = JsonNode.Parse(Report.ToJson(new("getattr", "local", ours, "us", peer, "host", Enum.Parse<Better>(better), bar, null)))!.AsObject();
        CollectionAssert.AreEqual(
            (string[])["work", "ours", "unit", "peer", "peerName", "better", "ratio", "bar", "goal", "met"],
            json.Select(p => p.Key).ToArray());
        Assert.AreEqual(ours / peer, json["ratio"]!.GetValue<double>(), 1e-4);
        Assert.AreEqual(met, json["met"]!.GetValue<bool>());
        Assert.IsNull(json["goal"]);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Print_MissedBar_FailsTheRun()
    {
        Work<Fake> work = new("w", "us", Better.Lower, fake => fake.Name == "ours" ? 3 : 1);
        Results results = new Runner<Fake>([new("ours"), new("peer")], [work], 1, _ => { }).Run();
        StringWriter error = new();
        Comparison comparison = new("ours", "peer", Bar: new Dictionary<string, double> { ["w"] = 1.5 });
        Assert.AreEqual(1, Report.Print(results, [work], ["ours", "peer"], [comparison], json: false, new StringWriter(), error));
        StringAssert.Contains(error.ToString(), "MISSED w", StringComparison.Ordinal);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void BarReport_MetMissedAndUnavailable_AreSaidInTableJsonAndExitCode()
    {
        Work<Fake> work = new("w", "us", Better.Lower, fake => fake.Name == "ours" ? 3 : 4), memory = new("m", "B", Better.Lower, _ => 7, ["ours"]);
        Results results = new Runner<Fake>([new("ours"), new("peer"), new("later") { StartError = "not yet", Unavailable = true }], [work, memory], 1, _ => { }).Run();
        Bar[] bars = [new("g", "w", "ours", "peer", 0.8, 0.5), new("g", "w", "later", "peer", 0.5), new("g", "m", "ours", null, 8)];
        var measured = BarReport.Measure(results, [work, memory], bars);
        StringWriter table = new(), json = new(), error = new();
        BarReport.Print(results, [work, memory], ["ours", "peer", "later"], measured, json: false, table);
        BarReport.Print(results, [work, memory], ["ours", "peer", "later"], measured, json: true, json);
        Assert.AreEqual(0, Report.PrintFailures(results, measured.Select(m => m.Result).OfType<ComparisonResult>(), error), error.ToString());
        StringAssert.Contains(table.ToString(), "not available", StringComparison.Ordinal);
        string[] lines = json.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.HasCount(2, lines);
        Assert.AreEqual(0.75, JsonNode.Parse(lines[0])!["ratio"]!.GetValue<double>());
        Assert.IsNull(JsonNode.Parse(lines[1])!["ratio"]);
        Assert.IsTrue(JsonNode.Parse(lines[1])!["met"]!.GetValue<bool>());

        measured = BarReport.Measure(results, [work, memory], [new("g", "m", "ours", null, 6)]);
        Assert.AreEqual(1, Report.PrintFailures(results, measured.Select(m => m.Result).OfType<ComparisonResult>(), error));
        StringAssert.Contains(error.ToString(), "MISSED m: ours has 7.00 B", StringComparison.Ordinal);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Runner_Best_TakesTheBestRound()
    {
        Queue<double> values = new([5, 3, 9]);
        Work<Fake> work = new("w", "us", Better.Lower, _ => values.Dequeue());
        Assert.AreEqual(3.0, new Runner<Fake>([new("a")], [work], 3, _ => { }, best: true).Run().Value(work, "a"));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void WriteInto_FileWithAnEarlierRun_ReplacesThatAlone()
    {
        using TemporaryDirectory folder = new();
        Work<Fake> work = new("w", "us", Better.Lower, _ => 1);
        Results results = new Runner<Fake>([new("ours"), new("peer")], [work], 1, _ => { }).Run();
        string Text(string caption) => BarReport.ToMarkdown(caption, results, [work], ["ours", "peer"], BarReport.Measure(results, [work], [new("g", "w", "ours", "peer", 1)]));
        string file = folder["doc.md"];
        File.WriteAllText(file, "before\n\n" + Text("first") + "\nafter\n");
        BarReport.WriteInto(file, Text("second"));
        string written = File.ReadAllText(file);
        Assert.StartsWith("before\n\n<!-- begin", written);
        Assert.EndsWith("-->\n\nafter\n", written);
        Assert.Contains("second", written);
        Assert.DoesNotContain("first", written);
        Assert.Contains("| w | us | ours | 1.00 | peer | 1.00 | 1.00 | ≤ 1 |", written);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("fuse --rounds 0")]
    [DataRow("fuse --rounds")]
    [DataRow("fuse other")]
    [DataRow("fuse --fast")]
    public void TryParse_WrongArguments_AreRefusedWithUsage(string line)
    {
        Assert.IsFalse(BenchmarkOptions.TryParse(line.Split(' '), out _, out string? message));
        StringAssert.Contains(message, "usage:", StringComparison.Ordinal);
    }

    private sealed class Fake(string name) : IContender
    {
        public string Name { get; } = name;

        public string? StartError { get; init; }

        public bool Unavailable { get; init; }

        public bool Disposed { get; private set; }

        public void Start()
        {
            if (StartError is not null)
            {
                throw Unavailable ? new UnavailableException(StartError) : new InvalidOperationException(StartError);
            }
        }

        public void Abort()
        {
        }

        public void Dispose() => Disposed = true;
    }
}
