using System.Globalization;
using System.Text.Json.Nodes;
using Dpu.HostAgent.Processes.Groups;
using Dpu.Hosting.Machine;

namespace Dpu.EndToEnd.Tests;

/// <summary>On which processors and NUMA nodes of the host a DPU's programs run.</summary>
[TestClass]
public sealed class ExecPlaceTests
{
    // Once for itself and once for a child, which asks for all processors there are.
    private const string Look =
        """
        grep -h -E "Cpus_allowed_list|Mems_allowed_list" /proc/self/status
        cut -d" " -f2 /proc/self/numa_maps | sort -u
        taskset -pc 0-4095 $$ >/dev/null 2>&1; taskset -pc 0 $$ >/dev/null 2>&1 && echo left
        grep Cpus_allowed_list /proc/self/status
        """;

    [TestMethod]
    [TestCategory("root")]
    public void Rule_OfAProcessorAndANode_BindsItsProgram_WhateverThatAsksFor()
    {
        int last = MachineTopology.Here.Processors[^1];
        Assert.IsGreaterThan(0, last, "a machine with two processors is needed");
        string only = last.ToString(CultureInfo.InvariantCulture);
        using var pair = new ExecPair(programs: ["/bin/sh", "/bin/sleep"], change: rule => (rule["cpus"], rule["nodes"]) = (only, "0"));

        // Nor does what its stub may run on say anything: those are the DPU's processors.
        CollectionAssert.AreEqual(
            (string[])[$"Cpus_allowed_list:\t{only}", "Mems_allowed_list:\t0", "bind:0", $"Cpus_allowed_list:\t{only}"],
            pair.Check($"taskset -c 0 $REXEC /bin/sh -c '{Look}'").Split('\n'));
        Assert.Contains($"has processor {only}, memory of NUMA node 0 alone, and ", pair.Pair.Agent.Log);
        Assert.Contains("keeps it there", pair.Pair.Agent.Log);

        // What it leaves running is bound as well, and the next agent knows what is to be removed.
        using RunningProgram stub = pair.Start("$REXEC /bin/sleep 1000");
        int process = pair.ProcessOf(stub);
        Assert.Contains($"with processor {only}, memory of NUMA node 0 alone", pair.Pair.Runtime.Ctl("ps", "logs", stub.Id.ToString(CultureInfo.InvariantCulture)).EnsureSuccess().Output);
        string[] groups = [.. Folders()];
        Assert.IsNotEmpty(groups);
        pair.Pair.Agent.Kill();
        pair.Pair.RestartAgent();
        Assert.AreNotEqual(0, ExternalProgram.Run("taskset", ["-pc", "0", process.ToString(CultureInfo.InvariantCulture)], Pair.Limit).ExitCode, "its group has that processor alone");
        _ = pair.Check($"kill {stub.Id}");
        Assert.IsTrue(stub.WaitForExit(Pair.Limit), "it hung");
        Eventually.True(() => !groups.Any(Directory.Exists), Pair.Limit, $"the end of {string.Join(", ", groups)}");

        IEnumerable<string> Folders() => File.ReadLines($"/proc/{process}/cgroup").Where(line => line.Contains("/dpu-host-agent/", StringComparison.Ordinal))
            .Select(line => line.Split(':', 3)).Select(parts => (parts[1].Length == 0 ? Mounted("cgroup2", "") : Mounted("cgroup", parts[1])) + parts[2]);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Rule_OfWhatIsNotHere_RefusesEachStart_AndSaysWhatIsHere()
    {
        using var pair = new ExecPair(programs: ["/bin/true", "/bin/echo", "/bin/sh"], change: rule => _ = (string)rule["path"]! switch
        {
            "/bin/true" => rule["cpus"] = "4094-4095",
            "/bin/echo" => rule["nodes"] = "1023",
            _ => rule["cpus"] = "0,4095",
        });
        string online = NumberList.Format(MachineTopology.Here.Processors);
        Said said = pair.Rexec("/bin/true");
        Assert.AreEqual(126, said.Code);
        Assert.Contains($"the rule of the host's \"programs\" for /bin/true has no place for it: \"cpus\" is 4094-4095, but this machine has processors {online} online", said.Error);
        said = pair.Rexec("/bin/echo hello");
        Assert.AreEqual((126, ""), (said.Code, said.Output));
        Assert.Contains("\"nodes\" is 1023, but of this machine's NUMA nodes", said.Error);
        Assert.Contains("ProcessNotRun", pair.Pair.Agent.Log);

        // Of what is partly here the rest is taken.
        Assert.AreEqual("Cpus_allowed_list:\t0", pair.Check("$REXEC /bin/sh -c 'grep Cpus_allowed_list /proc/self/status'"));
    }

    // What the kernel of v2 is told; where it has the controller in v1 files stand for it.
    [TestMethod]
    [TestCategory("unit")]
    public void GroupOfV2_GetsTheControllerFromAbove_AndWhatItIsBoundTo()
    {
        using TemporaryDirectory root = new();
        string group = root.CreateDirectory("dpu-host-agent/1");
        foreach (string above in (string[])["", "dpu-host-agent/"])
        {
            root.WriteFile(above + "cgroup.controllers", "cpuset cpu memory\n");
            root.WriteFile(above + "cgroup.subtree_control", "memory\n");
        }

        Assert.IsFalse(Cpuset.Holds(group));
        Assert.IsTrue(Cpuset.TryBind(group, new Placement([0, 2, 3], [1]), out string reason), reason);
        Assert.AreEqual("+cpuset +cpuset 0,2-3 1", string.Join(' ', ((string[])["cgroup.subtree_control", "dpu-host-agent/cgroup.subtree_control", "dpu-host-agent/1/cpuset.cpus", "dpu-host-agent/1/cpuset.mems"]).Select(file => File.ReadAllText(root[file]))));
        Assert.IsTrue(Cpuset.Holds(group));

        root.WriteFile("cgroup.controllers", "cpu memory\n");
        Assert.IsFalse(Cpuset.TryBind(group, new Placement([0], []), out reason));
        Assert.AreEqual($"{root.FullPath} has no controller cpuset", reason);
    }

    private static string Mounted(string type, string option) => File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' '))
        .Where(parts => Array.IndexOf(parts, "-") is var at && parts[at + 1] == type && (option.Length == 0 || parts[at + 3].Split(',').Contains(option.Split(',')[0]))).Select(parts => parts[4]).First();
}
