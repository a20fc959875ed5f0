using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary><c>dpuctl flows</c> against a runtime that runs.</summary>
[TestClass]
public sealed class FlowsTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Flows_AddedListedTracedAndDeleted_AreWhatWasAsked()
    {
        using var pair = new Pair();
        Daemon runtime = pair.StartRuntime();
        Assert.AreEqual("", runtime.Ctl("flows", "list").EnsureSuccess().Output);
        runtime.Ctl("flows", "add", "cookie=0x7,priority=100,tcp,nw_dst=10.0.0.0/8,tp_dst=80-90 actions=set_field:10.9.9.9->ip_dst,goto_table:2").EnsureSuccess();
        runtime.Ctl("flows", "add", "table=2,nw_dst=10.9.9.9 actions=output:4").EnsureSuccess();
        Assert.Contains("Replaced", runtime.Ctl("flows", "add", "table=2,nw_dst=10.9.9.9 actions=output:5").EnsureSuccess().Output);

        string[] listed = Lines(runtime.Ctl("flows", "list").EnsureSuccess().Output);
        Assert.HasCount(2, listed);
        Assert.IsTrue(listed.Any(line => line.Contains("cookie=0x7", StringComparison.Ordinal) && line.Contains("tp_dst=80-90", StringComparison.Ordinal)));
        Assert.HasCount(1, Lines(runtime.Ctl("flows", "list", "--table", "2").EnsureSuccess().Output));
        Assert.HasCount(1, Lines(runtime.Ctl("flows", "list", "tcp,nw_dst=10.0.0.0/7").EnsureSuccess().Output));
        JsonNode status = JsonNode.Parse(runtime.Ctl("flows", "show", "--json").EnsureSuccess().Output)!;
        Assert.AreEqual((2, 2), (status["flows"]!.GetValue<int>(), status["tables"]!.GetValue<int>()));

        string trace = runtime.Ctl("flows", "trace", "tcp,nw_dst=10.1.1.1,tp_dst=85", "--in-port", "3").EnsureSuccess().Output;
        Assert.Contains("verdict: forward to 5", trace);
        Assert.Contains("table 2: cookie=0x0, table=2", trace);
        Assert.Contains("answered by: classifier", trace);
        JsonNode missed = JsonNode.Parse(runtime.Ctl("flows", "trace", "udp,nw_dst=10.1.1.1", "--json").EnsureSuccess().Output)!;
        Assert.AreEqual("no match", missed["verdict"]!.GetValue<string>());

        // What hardware does with the same packet: the same, something else, or nothing.
        Directory.CreateDirectory(pair.MountRoot);
        string hardware = Path.Combine(pair.MountRoot, "hardware.txt");
        File.WriteAllLines(hardware,
        [
            "ufid:00000000-0000-0000-0000-000000000001, in_port(3),eth_type(0x0800),ipv4(dst=10.1.1.1,proto=6),tcp(dst=85), packets:0, bytes:0, used:never, offloaded:yes, dp:tc, actions:set(ipv4(dst=10.9.9.9)),5",
            "ufid:00000000-0000-0000-0000-000000000002, in_port(3),eth_type(0x0800),ipv4(dst=10.1.1.2,proto=6),tcp(dst=85), packets:0, bytes:0, used:never, offloaded:yes, dp:tc, actions:6",
            "ufid:00000000-0000-0000-0000-000000000003, in_port(3),eth_type(0x0800),ipv4(dst=10.1.1.3,proto=6),tcp(dst=85), packets:0, bytes:0, used:never, dp:tc, actions:6",
        ]);
        string Both(int last) => runtime.Ctl("flows", "trace", $"tcp,nw_dst=10.1.1.{last},tp_dst=85", "--in-port", "3", "--hardware", hardware).EnsureSuccess().Output;
        Assert.Contains("2 of 3 flows in it", Both(1));
        Assert.Contains("software and hardware agree", Both(1));
        Assert.Contains("verdict: forward to 6", Both(2));
        Assert.Contains("software and hardware DIFFER", Both(2));
        Assert.Contains("hardware has no flow for it: software decides", Both(3));
        JsonNode differ = JsonNode.Parse(runtime.Ctl("flows", "trace", "tcp,nw_dst=10.1.1.2,tp_dst=85", "--in-port", "3", "--hardware", hardware, "--json").EnsureSuccess().Output)!;
        Assert.AreEqual((false, "5", "6"), (differ["agree"]!.GetValue<bool>(), differ["outputs"]![0]!.ToString(), differ["hardware"]!["outputs"]![0]!.ToString()));
        Assert.AreEqual(1, runtime.Ctl("flows", "trace", "tcp", "--hardware", hardware + ".none").ExitCode);

        Assert.Contains("Deleted 1 ", runtime.Ctl("flows", "del", "tcp").EnsureSuccess().Output);
        Assert.AreNotEqual(0, runtime.Ctl("flows", "del", "tcp").ExitCode, "there is none");
        Assert.AreNotEqual(0, runtime.Ctl("flows", "del").ExitCode, "all must be asked for");
        runtime.Ctl("flows", "del", "--strict", "32768", "--table", "2", "nw_dst=10.9.9.9").EnsureSuccess();
        Assert.AreEqual("", runtime.Ctl("flows", "list").EnsureSuccess().Output);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Reconcile_OfTheRuntimesTable_RepairsItAndThenFindsNothing()
    {
        using var pair = new Pair();
        Daemon runtime = pair.StartRuntime();
        Directory.CreateDirectory(pair.MountRoot);
        string wanted = Path.Combine(pair.MountRoot, "wanted.txt"), plan = Path.Combine(pair.MountRoot, "plan");
        File.WriteAllLines(wanted, Enumerable.Range(0, 1500).Select(i => $"cookie=0x{i + 1:x},table={i % 3},priority={(i % 50) + 1},udp,nw_src=10.0.{i / 250}.{i % 250},tp_dst=1000-2001 actions=output:{(i % 7) + 1}"));
        runtime.Ctl("flows", "import", wanted).EnsureSuccess();
        string[] both = ["--desired", wanted, "--actual", "runtime", "--confirm", "1"];
        Assert.StartsWith("in step; 1500 flows agree", runtime.Ctl(["reconcile", .. both]).EnsureSuccess().Output);

        void Break()
        {
            runtime.Ctl("flows", "add", "cookie=1,table=0,priority=1,udp,nw_src=10.0.0.0,tp_dst=1000-2001 actions=drop").EnsureSuccess();
            runtime.Ctl("flows", "del", "--strict", "2", "--table", "1", "udp,nw_src=10.0.0.1,tp_dst=1000-2001").EnsureSuccess();
            runtime.Ctl("flows", "add", "cookie=0x9999,priority=7,arp actions=output:1").EnsureSuccess();
        }

        Break();
        Assert.AreEqual(2, runtime.Ctl(["reconcile", .. both]).ExitCode);
        Assert.AreEqual(2, runtime.Ctl(["reconcile", .. both]).ExitCode, "nothing was repaired");
        string repaired = runtime.Ctl(["reconcile", .. both, "--apply"]).EnsureSuccess().Output;
        Assert.Contains("repaired: 1 added, 1 replaced, 1 deleted, 0 failed, in 1 round\n", repaired);
        runtime.Ctl(["reconcile", .. both]).EnsureSuccess();

        Break();
        Assert.AreEqual(2, runtime.Ctl(["reconcile", "plan", .. both, "-o", plan]).ExitCode);
        runtime.Ctl("reconcile", "apply", plan, "--actual", "runtime").EnsureSuccess();
        runtime.Ctl(["reconcile", .. both]).EnsureSuccess();
        Assert.AreEqual(1, runtime.Ctl("reconcile", "apply", plan, "--actual", "runtime").ExitCode, "what it is about is no more as it was");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Flows_ExportedAndImported_AreTheSame()
    {
        using var pair = new Pair();
        Daemon runtime = pair.StartRuntime();
        string file = Path.Combine(pair.MountRoot, "flows.txt");
        Directory.CreateDirectory(pair.MountRoot);
        File.WriteAllLines(file, ["# comment", "NXST_FLOW reply (xid=0x4):", .. Enumerable.Range(0, 2500).Select(i => $" cookie=0x{i:x}, duration=1.5s, table=0, n_packets=3, n_bytes=4, priority=5,udp,nw_src=10.0.{i / 250}.{i % 250},tp_dst=1000-2001 actions=output:{(i % 7) + 1}")]);
        Assert.Contains("Added 2500 flows, replaced 0, refused 0", runtime.Ctl("flows", "import", file).EnsureSuccess().Output);

        foreach (string[] form in (string[][])[[], ["--json"]])
        {
            string exported = file + ".out";
            runtime.Ctl(["flows", "export", exported, .. form]).EnsureSuccess();
            Assert.HasCount(2500, File.ReadAllLines(exported));
            runtime.Ctl("flows", "del", "--all").EnsureSuccess();
            runtime.Ctl("flows", "import", exported).EnsureSuccess();
            string[] cookies = [.. Lines(runtime.Ctl("flows", "list").EnsureSuccess().Output).Select(line => line[..line.IndexOf(',', StringComparison.Ordinal)]).Distinct()];
            Assert.HasCount(2500, cookies);
        }

        // OVS has no ranges: 1000-2001 is ten blocks.
        Assert.IsGreaterThan(2500 * 5, Lines(runtime.Ctl("flows", "export", "--ovs").EnsureSuccess().Output).Length);
        File.WriteAllLines(file, ["priority=5,reg0=1 actions=drop", "priority=6 actions=drop"]);
        ProgramResult refused = runtime.Ctl("flows", "import", file);
        Assert.AreEqual(1, refused.ExitCode);
        Assert.Contains("line 1: 'reg0' is no field", refused.Error);
        Assert.Contains("Added 1 flows", refused.Output);
    }

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
