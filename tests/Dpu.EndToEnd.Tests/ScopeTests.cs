using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>What the processes are in that a DPU has run: scopes of a real systemd, or cgroups of the agent's own.</summary>
[TestClass]
public sealed class ScopeTests
{
    // A child that no signal to the process itself reaches, and that SIGTERM does not end.
    private const string WithChild = "trap \"\" HUP; (trap \"\" TERM; exec setsid sleep 1001) & exec sleep 1000";

    [TestMethod]
    [TestCategory("root")]
    [DataRow(CgroupKind.Two)]
    [DataRow(CgroupKind.Hybrid)]
    public void Systemd_EachProcessIsInItsScope_WhichIsKilledWhole_AndOutlivesTheAgent(CgroupKind kind)
    {
        using var pair = new Pair();
        using var host = new SystemdMachine(kind);
        using var dpu = new ScopedDpu(pair, host);

        // In its scope before it does anything, and the scope goes with it.
        string said = dpu.Check("$REXEC /bin/sh -c 'cat /proc/self/cgroup'");
        Assert.MatchesRegex(@":/dpu\.slice/dpu-[0-9a-f]{32}\.scope(\n|$)", said);
        Eventually.True(() => dpu.Scopes().Length == 0, Pair.Limit, "the end of the scope");

        using RunningProgram stub = dpu.Start($"$REXEC /bin/sh -c '{WithChild}'");
        using RunningProgram other = dpu.Start("$REXEC /bin/sleep 1002");
        Eventually.True(() => dpu.Scopes().Length == 2 && dpu.Listed().Length == 2, Pair.Limit, "two scopes");
        JsonNode shown = dpu.Listed().Single(one => one["pid"]!.GetValue<int>() == stub.Id);
        string unit = (string)shown["group"]!;
        Assert.AreEqual($"dpu-{(string)shown["id"]!}.scope", unit);
        string[] properties = host.CheckCtl("show", "--property=Description,Slice,Delegate,ActiveState,TasksMax", unit).Split('\n');
        CollectionAssert.IsSubsetOf((string[])["Slice=dpu.slice", "Delegate=yes", "ActiveState=active", "TasksMax=infinity"], properties);
        Assert.IsTrue(properties.Any(line => line.StartsWith("Description=DPU process: /bin/sh -c", StringComparison.Ordinal)), string.Join('\n', properties));
        Eventually.True(() => host.CheckCtl("status", unit).Contains("sleep 1001", StringComparison.Ordinal), Pair.Limit, "the child in the scope");

        // Its rule's processor and node are the scope's too, and the program's in any case.
        string bound = $"dpu-{(string)dpu.Listed().Single(one => one["pid"]!.GetValue<int>() == other.Id)["id"]!}.scope";
        Assert.AreEqual("AllowedCPUs=0\nAllowedMemoryNodes=0", host.CheckCtl("show", "--property=AllowedCPUs,AllowedMemoryNodes", bound));
        Assert.AreEqual("Cpus_allowed_list:\t0", host.Check("grep Cpus_allowed_list /proc/$(pgrep -xf '/bin/sleep 1002')/status"));

        // The agent dies, and the next one knows the scope still.
        host.KillService(SystemdMachine.Agent);
        Assert.HasCount(2, dpu.Scopes());
        Eventually.True(() => dpu.Listed().All(one => (string)one["state"]! == "running" && ((string)one["group"]!).EndsWith(".scope", StringComparison.Ordinal)), Pair.Limit, "the processes with the next agent");
        pair.Runtime.Ctl("ps", "kill", stub.Id.ToString(CultureInfo.InvariantCulture)).EnsureSuccess();
        Assert.IsTrue(stub.WaitForExit(Pair.Limit), "it hung");
        Assert.AreEqual(128 + 15, stub.ExitCode);
        Eventually.True(() => dpu.Scopes().Length == 1 && host.Check("pgrep -f 'sleep 100[0-9]' | wc -l") == "1", Pair.Limit, "the end of all of the scope, and of nothing else");
        Assert.IsFalse(other.HasExited);
        string logs = pair.Runtime.Ctl("ps", "logs", stub.Id.ToString(CultureInfo.InvariantCulture)).EnsureSuccess().Output;
        foreach (string line in (string[])["begun for stub", $"in {unit} of its host", "its host is away", "its host is there again", "its host says: another agent has taken it up", "its host is told to end it", "its host says: it gets SIGTERM", "ended, signal 15"])
        {
            Assert.Contains(line, logs);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(CgroupKind.One)]
    [DataRow(CgroupKind.Two)]
    public void WithoutScopes_EachProcessHasACgroup_WhichIsKilledWhole_AndGoes(CgroupKind kind)
    {
        using var pair = new Pair();
        using var host = new SystemdMachine(kind);
        pair.AgentConfiguration["processes"] = new JsonObject { ["scopes"] = "cgroup" };
        using var dpu = new ScopedDpu(pair, host);
        using RunningProgram stub = dpu.Start($"$REXEC /bin/sh -c '{WithChild}'");
        Eventually.True(() => dpu.Listed().Length == 1 && ((string)dpu.Listed()[0]["group"]!).Length > 0, Pair.Limit, "its cgroup");
        string folder = (string)dpu.Listed()[0]["group"]!;
        Assert.MatchesRegex($"^/sys/fs/cgroup{(kind == CgroupKind.One ? "/(pids|freezer|perf_event|systemd)" : "")}/dpu-host-agent/{(string)dpu.Listed()[0]["id"]!}$", folder);
        Assert.AreEqual(kind == CgroupKind.Two ? "2" : "1", host.Check($"if [ -e {folder}/cgroup.kill ]; then echo 2; else echo 1; fi"));
        Eventually.True(() => host.Check($"xargs -n1 ps -o args= -p <{folder}/cgroup.procs | sort | paste -sd:") == "sleep 1000:sleep 1001", Pair.Limit, "both in it");

        // Signals of another user get to its process: the agent's unit lets it.
        File.SetUnixFileMode(pair.Folder, (UnixFileMode)0x1ed);
        using RunningProgram others = dpu.Start("setpriv --reuid 1234 --regid 1234 --clear-groups $REXEC /bin/sleep 1002");
        Eventually.True(() => dpu.Listed().Length == 2, Pair.Limit, "another user's process");
        _ = dpu.Check($"kill -USR1 {others.Id}");
        Assert.IsTrue(others.WaitForExit(Pair.Limit), "it hung");
        Assert.AreEqual(128 + 10, others.ExitCode, others.Error);
        host.Check($"kill -9 {host.MainProcess(SystemdMachine.Agent)}");
        pair.Runtime.Ctl("ps", "kill", stub.Id.ToString(CultureInfo.InvariantCulture)).EnsureSuccess();
        Assert.IsTrue(stub.WaitForExit(Pair.Limit), "it hung");
        Eventually.True(() => host.Check("pgrep -f 'sleep 100[0-9]' | wc -l") == "0" && host.Run("test", "-e", folder).ExitCode == 1, Pair.Limit, "the end of all of it");
    }

    [TestMethod]
    [TestCategory("root")]
    public void SystemdExecutedAnew_OrItsBusGone_LosesNoProcess()
    {
        using var pair = new Pair();
        using var host = new SystemdMachine(CgroupKind.Hybrid);
        using var dpu = new ScopedDpu(pair, host);
        using RunningProgram before = dpu.Start("$REXEC /bin/sleep 1000");
        Eventually.True(() => dpu.Scopes().Length == 1, Pair.Limit, "its scope");
        Task anew = Task.Factory.StartNew(
            () =>
            {
                for (int i = 0; i < 2; i++)
                {
                    _ = host.CheckCtl("daemon-reexec");
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        for (int i = 0; i < 5 || !anew.IsCompleted; i++)
        {
            Assert.AreEqual("0", dpu.Check("$REXEC /bin/sh -c 'cat >/dev/null' </dev/null; echo $?"));
        }

        anew.GetAwaiter().GetResult();
        Assert.Contains(".scope", dpu.Check("$REXEC /bin/sh -c 'cat /proc/self/cgroup'"));
        Eventually.True(() => dpu.Scopes().Length == 1, Pair.Limit, "the end of the others");

        // Without the bus there is systemd's own socket.
        _ = host.CheckCtl("stop", "dbus.socket", "dbus.service");
        Assert.Contains(".scope", dpu.Check("$REXEC /bin/sh -c 'cat /proc/self/cgroup'"));
        _ = pair.Runtime.Ctl("ps", "kill", before.Id.ToString(CultureInfo.InvariantCulture)).EnsureSuccess();
        Assert.IsTrue(before.WaitForExit(Pair.Limit), "it hung");
        Eventually.True(() => dpu.Scopes().Length == 0, Pair.Limit, "the end of all scopes");
    }

    [TestMethod]
    [TestCategory("root")]
    public void SystemdDoesNotAnswer_ProcessesStartAllTheSame_InCgroupsOfTheAgentsOwn()
    {
        using var systemd = new MockSystemd();
        using var pair = new ExecPair(agent: agent => agent["processes"] = new JsonObject { ["bus"] = systemd.Address, ["answerWithin"] = "500ms" });
        Assert.Contains(".scope", pair.Check("$REXEC /bin/cat /proc/self/cgroup"));
        ExternalProgram.Check("kill", ["-STOP", systemd.Mock.Id.ToString(CultureInfo.InvariantCulture)], Pair.Limit);
        for (int i = 0; i < 3; i++)
        {
            string groups = pair.Check("$REXEC /bin/cat /proc/self/cgroup");
            Assert.Contains("/dpu-host-agent/", groups);
            Assert.DoesNotContain(".scope", groups);
        }

        string log = pair.Pair.Agent.Log;
        Assert.AreEqual(2, log.Split("systemd makes no scopes").Length, log);
        Assert.Contains("has not answered within 0.5 s", log);

        // It makes the scope when it is there again, after all: what is in it is killed as well.
        using RunningProgram stub = pair.Start("$REXEC /bin/sleep 1000");
        _ = pair.ProcessOf(stub);
        ExternalProgram.Check("kill", ["-CONT", systemd.Mock.Id.ToString(CultureInfo.InvariantCulture)], Pair.Limit);
        pair.Pair.Runtime.Ctl("ps", "kill", stub.Id.ToString(CultureInfo.InvariantCulture)).EnsureSuccess();
        Assert.IsTrue(stub.WaitForExit(Pair.Limit), "it hung");
    }

    /// <summary>A runtime whose host's processes are in scopes.</summary>
    private sealed class ScopedDpu : IDisposable
    {
        private readonly Pair _pair;
        private readonly SystemdMachine _host;
        private readonly Dictionary<string, string?> _environment;

        public ScopedDpu(Pair pair, SystemdMachine host)
        {
            (_pair, _host) = (pair, host);
            JsonObject bound = ExecPair.Rule("/bin/sleep");
            (bound["cpus"], bound["nodes"]) = ("0", "0");
            pair.AgentConfiguration["programs"] = new JsonArray(ExecPair.Rule("/bin/sh"), bound);
            host.StartAgent(pair);
            pair.StartRuntimeAlone();
            Eventually.True(() => File.Exists(pair.StubSocket), Pair.Limit, "the runtime's socket for stubs");
            _environment = new() { ["DPU_STUB_SOCKET"] = pair.StubSocket, ["REXEC"] = $"{pair.Folder}/rexec --" };
            File.CreateSymbolicLink($"{pair.Folder}/rexec", ExecPair.Stub);
        }

        public string[] Scopes() => _host.CheckCtl("list-units", "--type=scope", "--all", "--plain", "--no-legend", "dpu-*").Split('\n', StringSplitOptions.RemoveEmptyEntries);

        public JsonNode[] Listed() => [.. JsonNode.Parse(_pair.Runtime.Ctl("ps", "--json").EnsureSuccess().Output)!["processes"]!.AsArray().Select(one => one!)];

        public string Check(string program)
        {
            ProgramResult result = ExternalProgram.Run("bash", ["-c", program], Pair.Limit, environment: _environment);
            Assert.AreEqual(0, result.ExitCode, $"{program}: {result.Output}{result.Error}\n{_pair.Runtime.Log}\n{_host.LogOf(SystemdMachine.Agent)}\n{_host.Log}");
            return result.Output.TrimEnd('\n');
        }

        public RunningProgram Start(string program) => RunningProgram.Start("bash", ["-c", "exec " + program], environment: _environment);

        public void Dispose()
        {
            // What ran goes with its host; that its stubs wait for it must hold up nothing.
            Assert.IsFalse(_pair.Runtime.HasExited, _pair.Runtime.Log);
            _pair.Runtime.Stop();
        }
    }
}
