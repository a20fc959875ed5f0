using System.Text.Json.Nodes;
using Dpu.Link;

namespace Dpu.EndToEnd.Tests;

/// <summary>A changed policy counts from the agent's SIGHUP on: for what is mounted, and for who is connected.</summary>
[TestClass]
public sealed class ReloadTests
{
    [TestMethod]
    [TestCategory("root")]
    public void ExportWithdrawn_ItsMountFailsWithTheReason_AndHealsWhenGivenBack()
    {
        using var pair = new Pair();
        string other = Directory.CreateDirectory(Path.Combine(pair.Folder, "other")).FullName;
        File.WriteAllText(Path.Combine(other, "f"), "of the other");
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "given");
        pair.AgentConfiguration["exports"]!.AsArray().Add(Pair.Export("other", other));
        string mount = pair.Up(entry => entry["giveUpAfter"] = "1s");
        string untouched = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "other")).FullName;
        pair.Runtime.Ctl("mount", "host1:other", untouched).EnsureSuccess();
        Assert.AreEqual("given", File.ReadAllText(Path.Combine(mount, "f")));
        using FileStream kept = File.OpenRead(Path.Combine(untouched, "f"));

        pair.AgentConfiguration["exports"] = new JsonArray(Pair.Export("other", other));
        Reload(pair);
        Eventually.True(() => pair.Agent.Log.Contains("policy no longer gives it", StringComparison.Ordinal), Pair.Limit, "the withdrawal in the agent's log");
        ProgramResult refused = Shell.Run($"stat {mount}/f", "/");
        Assert.AreNotEqual(0, refused.ExitCode);
        Assert.Contains("Input/output error", refused.Error);
        JsonNode shown = Mount(pair, mount);
        Assert.AreEqual("failed", shown["state"]!.GetValue<string>());
        Assert.Contains("exports no 'data' to 'dpu1'", shown["lastError"]!.GetValue<string>());

        // The other mount of the same session does not even lose its open file.
        Assert.AreEqual('o', (char)kept.ReadByte());
        Assert.AreEqual("mounted", Mount(pair, untouched)["state"]!.GetValue<string>());

        pair.AgentConfiguration["exports"] = new JsonArray(Pair.Export("other", other), Pair.Export("data", pair.ExportRoot));
        Reload(pair);
        ProgramResult healed = null!;
        Assert.IsTrue(
            Eventually.Within(() => (healed = Shell.Run($"cat {mount}/f", "/")).Output.TrimEnd() == "given", Pair.Limit),
            $"the mount did not heal: {healed}; the agent's log: {pair.Agent.Log}; the runtime's log: {pair.Runtime.Log}");
        Assert.AreEqual("mounted", Mount(pair, mount)["state"]!.GetValue<string>());
        Assert.AreEqual("", Mount(pair, mount)["lastError"]?.GetValue<string>() ?? "");
        File.WriteAllText(Path.Combine(mount, "new"), "x");
        Assert.AreEqual("x", File.ReadAllText(Path.Combine(pair.ExportRoot, "new")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ExportMadeReadOnly_CountsForTheMountThatStands()
    {
        using var pair = new Pair();
        string mount = pair.Up(entry => entry["giveUpAfter"] = "1s");
        File.WriteAllText(Path.Combine(mount, "f"), "before");

        pair.AgentConfiguration["exports"] = new JsonArray(Pair.Export("data", pair.ExportRoot, access: "read-only"));
        Reload(pair);

        Eventually.True(() => pair.Agent.Log.Contains("policy no longer gives it", StringComparison.Ordinal), Pair.Limit, "the end of the old mount");
        ProgramResult refused = Shell.Run("echo after > f", mount);
        Assert.AreNotEqual(0, refused.ExitCode, "a write after the export became read-only");
        Assert.AreEqual("before", Shell.Check("cat f", mount));
        Assert.AreEqual("before", File.ReadAllText(Path.Combine(pair.ExportRoot, "f")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void PeerRemoved_ItsLinkIsCutAndSaysWhy_TheOtherPeerGoesOn()
    {
        using var pair = new Pair(LinkKind.Tls);
        pair.Authority.Issue(LinkRole.Dpu, "dpu2", TimeSpan.FromHours(1));
        pair.AgentConfiguration["peers"]!.AsArray().Add(pair.Peer("dpu2"));
        pair.AgentConfiguration["exports"] = new JsonArray(Pair.Export("data", pair.ExportRoot, peers: ["dpu1", "dpu2"]));
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "x");
        string mount = pair.Up();
        JsonObject configuration = pair.RuntimeConfiguration("dpu2");
        JsonObject second = pair.Mount("data", "second");
        second["giveUpAfter"] = "1s";
        configuration["mounts"]!.AsArray().Add(second);
        Daemon two = pair.StartRuntime(configuration, "dpu2");
        string target = second["target"]!.GetValue<string>();
        Pair.WaitMounted(target);
        using RunningProgram events = RunningProgram.Start(
            Repository.Program("Dpu.Ctl", "dpuctl"), ["--socket", two.Socket, "events", "--follow", "--json"]);
        events.WaitForLine(line => line.Contains("HostState", StringComparison.Ordinal), Pair.Limit);
        using FileStream kept = File.OpenRead(Path.Combine(mount, "f"));

        pair.AgentConfiguration["peers"] = new JsonArray(pair.Peer("dpu1"));
        pair.AgentConfiguration["exports"] = new JsonArray(Pair.Export("data", pair.ExportRoot));
        Reload(pair);

        events.WaitForLine(line => line.Contains("HostDown", StringComparison.Ordinal), Pair.Limit);
        Eventually.True(
            () => two.Ctl("host", "show", "host1").Output.Contains("the policy does not list dpu://dpu/dpu2", StringComparison.Ordinal),
            Pair.Limit,
            "the reason in 'dpuctl host show'");
        Assert.Contains("Input/output error", Shell.Run($"stat {target}/f", "/").Error);

        Assert.AreEqual('x', (char)kept.ReadByte());
        Assert.AreEqual("0", Shell.Check($"{Repository.Program("Dpu.Ctl", "dpuctl")} --socket {pair.Runtime.Socket} --json host show host1 | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)[\"reconnects\"])'", "/"), "the other peer's link");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ExportAdded_CanBeMountedWithoutARestart()
    {
        using var pair = new Pair();
        pair.Up();
        string other = Directory.CreateDirectory(Path.Combine(pair.Folder, "other")).FullName;
        File.WriteAllText(Path.Combine(other, "f"), "new");
        string target = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "other")).FullName;
        Assert.AreEqual(4, pair.Runtime.Ctl("mount", "host1:other", target).ExitCode, "not found");

        pair.AgentConfiguration["exports"]!.AsArray().Add(Pair.Export("other", other));
        Reload(pair);
        Eventually.True(() => pair.Runtime.Ctl("mount", "host1:other", target).ExitCode == 0, Pair.Limit, "the new export");
        Assert.AreEqual("new", File.ReadAllText(Path.Combine(target, "f")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void HostOfTheRuntime_GetsAnotherEndpoint_OrGoes_ItsMountsFollow()
    {
        using var pair = new Pair();
        string second = $"unix://{pair.Folder}/second.sock";
        pair.AgentConfiguration["listen"]!.AsArray().Add(second);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "x");
        pair.Up();

        // Made by an operator: no reload unmounts it.
        string mount = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "manual")).FullName;
        pair.Runtime.Ctl("mount", "host1:data", mount, "--give-up-after", "1s").EnsureSuccess();
        Assert.AreEqual("x", File.ReadAllText(Path.Combine(mount, "f")));

        JsonObject configuration = pair.RuntimeConfiguration();
        configuration["hosts"]![0]!["endpoint"] = second;
        ReloadRuntime(pair, configuration);
        Assert.AreEqual(second, JsonNode.Parse(pair.Runtime.Ctl("host", "show", "host1", "--json").EnsureSuccess().Output)!["endpoint"]!.GetValue<string>());
        Eventually.True(() => Shell.Run($"cat {mount}/f", "/").ExitCode == 0, Pair.Limit, $"the mount over the new endpoint; the runtime's log: {pair.Runtime.Log}");
        File.WriteAllText(Path.Combine(mount, "g"), "y");
        Assert.AreEqual("y", File.ReadAllText(Path.Combine(pair.ExportRoot, "g")));

        configuration["hosts"] = new JsonArray();
        ReloadRuntime(pair, configuration);
        Assert.Contains("Input/output error", Shell.Run($"stat {mount}/f", "/").Error);

        ReloadRuntime(pair, pair.RuntimeConfiguration());
        Eventually.True(() => Shell.Run($"cat {mount}/f", "/").ExitCode == 0, Pair.Limit, $"the mount of the host that came back; the runtime's log: {pair.Runtime.Log}");
    }

    [TestMethod]
    [TestCategory("root")]
    public void BrokenConfiguration_IsRefusedWithFileAndKey_AndTheOldPolicyStays()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        pair.AgentConfiguration["exports"]![0]!["squish"] = "root";
        Reload(pair);
        Eventually.True(() => pair.Agent.Log.Contains("squish", StringComparison.Ordinal), Pair.Limit, "the typo in the log");
        Assert.Contains("host-agent.json", pair.Agent.Log);
        Assert.Contains("squash", pair.Agent.Log, "what was meant");
        File.WriteAllText(Path.Combine(mount, "f"), "x");
        Assert.AreEqual("x", File.ReadAllText(Path.Combine(pair.ExportRoot, "f")));
    }

    private static void Reload(Pair pair)
    {
        pair.WriteAgentConfiguration();
        pair.Agent.Signal("HUP");
    }

    private static void ReloadRuntime(Pair pair, JsonObject configuration)
    {
        File.WriteAllText(Path.Combine(pair.Folder, "dpu1.json"), configuration.ToJsonString());
        pair.Runtime.Ctl("reload").EnsureSuccess();
    }

    private static JsonNode Mount(Pair pair, string target) =>
        JsonNode.Parse(pair.Runtime.Ctl("mounts", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray()
            .Single(mount => mount!["target"]!.GetValue<string>() == target)!;
}
