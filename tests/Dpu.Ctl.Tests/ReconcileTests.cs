using System.Text.Json;
using Dpu.Hosting;
using Dpu.TestSupport;

namespace Dpu.Ctl.Tests;

/// <summary><c>dpuctl reconcile</c> between two dumps, without any daemon.</summary>
[TestClass]
public sealed class ReconcileTests
{
    private const string Desired =
        """
        NXST_FLOW reply (xid=0x4):
         cookie=0x1, duration=5.1s, table=0, n_packets=3, n_bytes=180, idle_age=5, priority=100,ip,in_port=1,nw_dst=10.0.0.0/8 actions=output:2
         cookie=0x2, duration=5.1s, table=0, n_packets=0, n_bytes=0, idle_age=5, priority=90,tcp,tp_dst=80 actions=output:3

        """;

    private const string Actual =
        """
         cookie=0x3, duration=9s, table=0, n_packets=7, n_bytes=180, idle_age=5, priority=90,udp,tp_dst=53 actions=<script>
         cookie=0x1, duration=1s, table=0, n_packets=3, n_bytes=180, idle_age=5, priority=100,ip,in_port=1,nw_dst=10.1.2.3/8 actions=output:7

        """;

    [TestMethod, TestCategory("unit")]
    public void TwoDumps_InStepOrNotOrUnreadable_HaveTheirExitStatus()
    {
        using TemporaryDirectory folder = new();
        string desired = folder.WriteFile("a.txt", Desired), actual = folder.WriteFile("b.txt", Actual.Replace("<script>", "drop", StringComparison.Ordinal)), bad = folder.WriteFile("bad.txt", Actual);
        (int code, string output, string error) = CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual);
        Assert.AreEqual((2, ""), (code, error));
        Assert.AreEqual(
            $"""
            ~ divergent-action: cookie=0x1, table=0, priority=100,ip,in_port=1,nw_dst=10.0.0.0/8 actions=output:2
                is: cookie=0x1, table=0, priority=100,ip,in_port=1,nw_dst=10.0.0.0/8 actions=output:7
            + missing: cookie=0x2, table=0, priority=90,tcp,tp_dst=80 actions=output:3
            - stale: cookie=0x3, table=0, priority=90,udp,tp_dst=53 actions=drop
            3 differences: 1 missing, 1 stale, 1 divergent; 0 flows agree; {desired} has 2, {actual} has 2
            a repair has 3 steps; nothing was changed: --apply does it

            """,
            output);
        Assert.AreEqual(ExitCodes.Success, CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", desired).ExitCode);
        (code, output, error) = CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", bad);
        Assert.AreEqual((1, ""), (code, output));
        StringAssert.Contains(error, $"{bad}: 1 lines cannot be read, the first: line 1: ");
        Assert.AreEqual(2, CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", bad, "--skip-unreadable").ExitCode);
        Assert.AreEqual(1, CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", folder["nowhere"]).ExitCode);
        Assert.AreEqual(1, CtlFixture.RunAlone("reconcile", "--desired", desired).ExitCode);
        Assert.AreEqual(1, CtlFixture.RunAlone("reconcile", "--nonsense").ExitCode, "2 is for differences");
        (code, _, error) = CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual, "--apply");
        Assert.AreEqual(2, code);
        StringAssert.Contains(error, "read only");
    }

    [TestMethod, TestCategory("unit")]
    public void EmulatedNic_WithFaults_IsBroughtInStep_AndItsStuckCountersAreFoundAndReplaced()
    {
        using TemporaryDirectory folder = new();
        string wanted = folder.WriteFile("wanted.txt", string.Concat(Enumerable.Range(0, 200).Select(i => $"cookie=0x{i + 1:x},priority=9,udp,nw_dst=10.0.0.{i} actions=output:{i % 5}\n")));
        (int code, string output, string error) = CtlFixture.RunAlone(
            "reconcile", "--desired", wanted, "--actual", "emulated:1000,seed=3,lost-insert=0.1,lost-delete=0.1,corrupt-action=0.1,corrupt-mask=0.1,duplicate=0.1,interrupted-dump=0.1", "--confirm", "1", "--apply", "--quiet");
        Assert.AreEqual((0, ""), (code, error), output);
        Assert.Contains("; 200 flows agree", output);

        // Nothing is stuck before a third look; then it is told, and what takes its place counts, sooner or later.
        string[] watch = ["reconcile", "--desired", wanted, "--confirm", "1", "--apply", "--watch", "20ms", "--count", "12", "--counter-delay", "1ms", "--json"];
        (code, output, error) = CtlFixture.RunAlone([.. watch, "--actual", "emulated:1000,seed=4,traffic=7,stuck-counter=0.2"]);
        Assert.IsTrue(code is 0 or 2, error);
        int[] stuck = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.GetProperty("type").GetString() == "summary")
            .Select(summary => summary.GetProperty("found").GetProperty("stuck-counter").GetInt32())];
        CollectionAssert.AreEqual(new[] { 0, 0, 0 }, stuck[..3]);
        Assert.IsTrue(stuck.Max() is > 20 and < 80, string.Join(' ', stuck));
        Assert.IsLessThan(stuck.Max(), stuck[^1], "what takes a stuck one's place mostly counts");
        (_, output, _) = CtlFixture.RunAlone([.. watch, "--actual", "emulated:1000,seed=4,stuck-counter=0.2"]);
        Assert.DoesNotContain("\"category\":\"stuck-counter\"", output, "without packets nobody can tell");

        foreach ((string spec, string why) in ((string, string)[])[("", "no number of entries"), ("0", "no number"), ("10,lost-insert=2", "'lost-insert=2' is none"), ("10,strange=1", "'strange=1' is none"), ("10,traffic", "'traffic' is none"), ("10,duplicate=-1", "none of its settings")])
        {
            (code, _, error) = CtlFixture.RunAlone("reconcile", "--desired", wanted, "--actual", $"emulated:{spec}");
            Assert.AreEqual(1, code, spec);
            Assert.Contains(why, error);
        }
    }

    [TestMethod, TestCategory("root")]
    public void FiltersOfAnInterface_AreReadThroughRtnetlink_AndTheirPlacesAreChecked()
    {
        Requires.Root();
        using TemporaryDirectory folder = new();
        string desired = folder.WriteFile("a.txt", Desired), dpuctl = Repository.Program("Dpu.Ctl", "dpuctl");
        ProgramResult result = ExternalProgram.Run(
            "unshare",
            [
                "-n", "sh", "-c",
                $"ip link add v0 type veth peer name v1; tc qdisc add dev v0 clsact; tc filter add dev v0 egress pref 9 protocol all u32 match u32 0 0 action mirred egress mirror dev v0; {dpuctl} reconcile --desired {desired} --actual tc:v0:egress --tc-port 2=v1 --tc-port 3=v0 --confirm 1",
            ],
            TimeSpan.FromSeconds(30));
        Assert.AreEqual((2, ""), (result.ExitCode, result.Error), result.Output);
        StringAssert.Contains(result.Output, "# foreign: u32 filter, chain 0 pref 9 handle 0x80000800: only flower can be kept\n");
        StringAssert.Contains(result.Output, "2 differences: 2 missing, 1 foreign; 0 flows agree;");
        StringAssert.Contains(result.Output, "tc:v0:egress has 1");
        (int code, _, string error) = CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", "tc:v0:sideways");
        Assert.AreEqual(1, code);
        StringAssert.Contains(error, "allowed is tc:DEV[:egress] or block:N");
        StringAssert.Contains(CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", "tc:nowhere").Item3, "there is no interface nowhere");
        StringAssert.Contains(CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", "tc:lo", "--tc-port", "x").Item3, "--tc-port 'x' is no port and interface");
    }

    [TestMethod, TestCategory("unit")]
    public void History_OfPasses_IsListedShownExportedAndInTheReportsChart()
    {
        using TemporaryDirectory folder = new();
        string desired = folder.WriteFile("a.txt", Desired), actual = folder.WriteFile("b.txt", Actual.Replace("<script>", "drop", StringComparison.Ordinal)), history = folder["h.db"], page = folder["r.html"];
        Assert.AreEqual(2, CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual, "--history", history).ExitCode);
        Assert.AreEqual(2, CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual, "--history", history, "--html", page).ExitCode);
        StringAssert.Contains(File.ReadAllText(page), "2 passes: found (red), left (green)", "the earlier process's pass, too");
        Assert.AreEqual(1, CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", folder["nowhere"], "--history", history).ExitCode);

        (int code, string output, string error) = CtlFixture.RunAlone("reconcile", "history", "list", "--history", history);
        Assert.AreEqual((0, ""), (code, error));
        string[] lines = output.TrimEnd('\n').Split('\n');
        Assert.HasCount(4, lines);
        StringAssert.Contains(lines[1], "failed: cannot read");
        StringAssert.Contains(lines[2], "1 divergent, 1 missing, 1 stale");
        output = CtlFixture.RunAlone("reconcile", "history", "show", "2", "--history", history).Output;
        StringAssert.Contains(output, "divergent-action: cookie=0x1, table=0, priority=100,ip,in_port=1,nw_dst=10.0.0.0/8 actions=output:2\n    is: ");
        JsonElement shown = JsonDocument.Parse(CtlFixture.RunAlone("reconcile", "history", "show", "1", "--history", history, "--json").Output).RootElement;
        Assert.AreEqual((3, 1), (shown.GetProperty("differences").GetArrayLength(), shown.GetProperty("found").GetProperty("stale").GetInt32()));
        output = CtlFixture.RunAlone("reconcile", "history", "export", "--history", history).Output;
        CollectionAssert.AreEqual(new[] { "version", "pass", "pass", "pass" }, output.TrimEnd('\n').Split('\n').Select(l => JsonDocument.Parse(l).RootElement.GetProperty("type").GetString()).ToArray());
        Assert.AreEqual(0, CtlFixture.RunAlone("reconcile", "history", "export", page, "--history", history, "--format", "html").ExitCode);
        StringAssert.Contains(File.ReadAllText(page), "<h1>History of flows</h1>");
        (code, _, error) = CtlFixture.RunAlone("reconcile", "history", "show", "99", "--history", history);
        Assert.AreEqual(1, code);
        StringAssert.Contains(error, "no pass 99");
        StringAssert.Contains(CtlFixture.RunAlone("reconcile", "history", "list", "--history", folder["none"]).Error, "there is no history");
    }

    [TestMethod, TestCategory("unit")]
    public void Json_OfTwoDumps_IsAnObjectALineFromAVersionToASummary()
    {
        using TemporaryDirectory folder = new();
        string desired = folder.WriteFile("a.txt", Desired), actual = folder.WriteFile("b.txt", Actual.Replace("<script>", "drop", StringComparison.Ordinal));
        (int code, string output, _) = CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual, "--json");
        Assert.AreEqual(2, code);
        JsonElement[] lines = [.. output.TrimEnd('\n').Split('\n').Select(line => JsonDocument.Parse(line).RootElement)];
        CollectionAssert.AreEqual(new[] { "version", "difference", "difference", "difference", "summary" }, lines.Select(l => l.GetProperty("type").GetString()).ToArray());
        Assert.AreEqual(("dpu-reconcile", 1), (lines[0].GetProperty("format").GetString(), lines[0].GetProperty("major").GetInt32()));
        Assert.AreEqual(("divergent", "action"), (lines[1].GetProperty("category").GetString(), lines[1].GetProperty("divergence")[0].GetString()));
        Assert.AreEqual("output:7", lines[1].GetProperty("actual").GetProperty("actions")[0].GetString());
        Assert.IsFalse(lines[2].TryGetProperty("actual", out _));
        Assert.AreEqual((1, false), (lines[4].GetProperty("found").GetProperty("stale").GetInt32(), lines[4].GetProperty("inStep").GetBoolean()));
    }

    [TestMethod, TestCategory("unit")]
    public void Html_OfTwoDumps_NeedsNothingElseAndRunsNothing()
    {
        using TemporaryDirectory folder = new();
        string desired = folder.WriteFile("<b>a.txt", Desired), actual = folder.WriteFile("b.txt", Actual.Replace("<script>", "drop", StringComparison.Ordinal));
        Assert.AreEqual(2, CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual, "--html", folder["r.html"]).ExitCode);
        string page = File.ReadAllText(folder["r.html"]);
        foreach (string wanted in new[] { "<!DOCTYPE html>", "Differences over time", "Flows by table", "Flows by packets", "divergent-action", "</html>" })
        {
            Assert.Contains(wanted, page);
        }

        foreach (string unwanted in new[] { "http", "<script", "src=", "href", "<b>a" })
        {
            Assert.DoesNotContain(unwanted, page);
        }

        Assert.AreEqual(page.Split("Flows by table")[1], CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual, "--format", "html").Output.Split("Flows by table")[1]);
    }

    [TestMethod, TestCategory("unit")]
    public void Plan_IsAFileOfStepsAndIsOnlyForWhatIsAsItWas()
    {
        using TemporaryDirectory folder = new();
        string desired = folder.WriteFile("a.txt", Desired), actual = folder.WriteFile("b.txt", Actual.Replace("<script>", "drop", StringComparison.Ordinal)), plan = folder["plan"];
        Assert.AreEqual(2, CtlFixture.RunAlone("reconcile", "plan", "--desired", desired, "--actual", actual, "-o", plan).ExitCode);
        string[] actions = [.. File.ReadLines(plan).Skip(1).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("action").GetString()!)];
        CollectionAssert.AreEqual(new[] { "replace", "add", "delete" }, actions);
        (int code, _, string error) = CtlFixture.RunAlone("reconcile", "apply", plan, "--actual", desired);
        Assert.AreEqual(1, code);
        StringAssert.Contains(error, "make a new plan");
        (code, _, error) = CtlFixture.RunAlone("reconcile", "apply", plan, "--actual", actual);
        Assert.AreEqual(2, code);
        StringAssert.Contains(error, "read only");
        Assert.AreEqual(1, CtlFixture.RunAlone("reconcile", "apply", desired, "--actual", actual).ExitCode, "no plan");
    }

    [TestMethod, TestCategory("unit")]
    public void Owner_OfCookies_LeavesForeignFlowsOutOfTheExitStatus()
    {
        using TemporaryDirectory folder = new();
        string desired = folder.WriteFile("a.txt", Desired), actual = folder.WriteFile("b.txt", Desired + " cookie=0x100, priority=1 actions=drop\n");
        (int code, string output, _) = CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual, "--owner", "0/0xf00");
        Assert.AreEqual(0, code);
        Assert.StartsWith("# foreign: cookie=0x100", output);
        Assert.AreEqual(2, CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual).ExitCode);
        Assert.AreEqual(1, CtlFixture.RunAlone("reconcile", "--desired", desired, "--actual", actual, "--owner", "x").ExitCode);
    }
}
