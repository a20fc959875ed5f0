using System.Text.Json.Nodes;
using Dpu.Link;

namespace Dpu.EndToEnd.Tests;

/// <summary>Mounts come, go and come back, with their daemons and by command.</summary>
[TestClass]
public sealed class LifecycleTests
{
    [TestMethod]
    [TestCategory("root")]
    public void MountAndUmount_ByCommand_AppearAndLeaveNothing()
    {
        using var pair = new Pair();
        pair.StartAgent();
        Daemon runtime = pair.StartRuntime();
        string target = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "x")).FullName;
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "hello");
        WaitHostUp(runtime);

        runtime.Ctl("mount", "host1:" + pair.ExportRoot, target).EnsureSuccess();
        Assert.AreEqual("hello", File.ReadAllText(Path.Combine(target, "f")));
        string options = File.ReadLines("/proc/self/mountinfo").Single(line => line.Contains(" " + target + " ", StringComparison.Ordinal));
        Assert.Contains("nosuid", options);
        Assert.Contains("nodev", options);
        Assert.Contains("default_permissions", options);
        JsonNode listed = JsonNode.Parse(runtime.Ctl("mounts", "--json").EnsureSuccess().Output)!;
        Assert.Contains(target, listed.ToJsonString());

        Assert.AreNotEqual(0, runtime.Ctl("mount", "host1:data", target).ExitCode, "a second mount at the same place");
        runtime.Ctl("umount", target).EnsureSuccess();
        Assert.DoesNotContain(target, MountTable.Targets());
        Assert.AreEqual(4, runtime.Ctl("umount", target).ExitCode, "not found");
        Eventually.True(() => !pair.Agent.Ctl("status", "--json").Output.Contains("\"mounts\": 1", StringComparison.Ordinal), Pair.Limit, "the agent's end of the mount");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Umount_OfBusyMount_IsRefusedWithReasonAndLazyWorks()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "kept open");
        using (var open = new StreamReader(Path.Combine(mount, "f")))
        {
            ProgramResult busy = pair.Runtime.Ctl("umount", mount);
            Assert.AreNotEqual(0, busy.ExitCode);
            Assert.Contains("--lazy", busy.Error);
            pair.Runtime.Ctl("umount", "--lazy", mount).EnsureSuccess();
            Assert.DoesNotContain(mount, MountTable.Targets());
            Assert.AreEqual("kept open", open.ReadToEnd());
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void UmountByTheOperatorsUmount_EndsTheMountEverywhere()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        Shell.Unmount(mount);
        Eventually.True(() => !pair.Runtime.Ctl("mounts", "--json").Output.Contains(mount, StringComparison.Ordinal), Pair.Limit, "the end of the mount in the list");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ConfiguredMount_WaitsForItsHost_AndSurvivesTheAgentsRestart()
    {
        using var pair = new Pair();
        JsonObject mount = pair.Mount("data", "data");
        JsonObject configuration = pair.RuntimeConfiguration();
        configuration["mounts"]!.AsArray().Add(mount);
        Daemon runtime = pair.StartRuntime(configuration);
        string target = mount["target"]!.GetValue<string>();
        Assert.Contains("waiting", runtime.Ctl("mounts").EnsureSuccess().Output.ToLowerInvariant());

        Daemon agent = pair.StartAgent();
        Pair.WaitMounted(target);
        File.WriteAllText(Path.Combine(target, "before"), "1");

        agent.Kill();
        Eventually.True(() => runtime.Ctl("host", "list").Output.Contains("down", StringComparison.OrdinalIgnoreCase), Pair.Limit, "the host shown down");
        pair.StartAgent();
        WaitHostUp(runtime);

        // The same mount goes on: names are looked up anew on the host that came back.
        Assert.AreEqual("1", File.ReadAllText(Path.Combine(target, "before")));
        File.WriteAllText(Path.Combine(target, "after"), "2");
        Assert.AreEqual("2", File.ReadAllText(Path.Combine(pair.ExportRoot, "after")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Runtime_KilledAndRestarted_MountsAgainOverItsDeadMount()
    {
        using var pair = new Pair();
        JsonObject configuration = pair.RuntimeConfiguration();
        configuration["mounts"]!.AsArray().Add(pair.Mount("data", "data"));
        string mount = pair.Up();
        pair.Runtime.Kill();
        Assert.Throws<IOException>(() => Directory.GetFiles(mount));

        pair.StartRuntime(configuration);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "again");
        Eventually.True(() => Reads(Path.Combine(mount, "f"), "again"), Pair.Limit, "the mount of the new runtime");
        Assert.AreEqual(1, MountTable.Targets().Count(target => target == mount), "mounts at the target");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Stop_OfBothDaemons_LeavesNoMountAndNoProcess()
    {
        using var pair = new Pair(LinkKind.Tls);
        string mount = pair.Up();
        Assert.AreEqual(0, pair.Runtime.Stop(), pair.Runtime.Log);
        Assert.DoesNotContain(mount, MountTable.Targets());
        Assert.AreEqual(0, pair.Agent.Stop(), pair.Agent.Log);
        Assert.IsFalse(File.Exists(pair.Agent.Socket), "the control socket");
    }

    [TestMethod]
    [TestCategory("root")]
    public void AgentStop_WithALiveRuntime_IsQuick()
    {
        using var pair = new Pair(LinkKind.Tls);
        pair.Up();
        Assert.AreEqual(0, pair.Agent.Stop(), pair.Agent.Log);
        Assert.DoesNotContain("Unexpected exception", pair.Agent.Log);
    }

    [TestMethod]
    [TestCategory("root")]
    public void RuntimeStopped_WhileItMounts_LeavesNoMount()
    {
        using var pair = new Pair();
        Daemon agent = pair.StartAgent();
        JsonObject mount = pair.Mount("data", "data"), configuration = pair.RuntimeConfiguration();
        configuration["mounts"]!.AsArray().Add(mount);
        for (int round = 1; round <= 3; round++)
        {
            Daemon runtime = pair.StartRuntime(configuration);
            Eventually.True(() => agent.Log.Split("mounted by").Length > round, Pair.Limit, "the host's side of the mount");
            Assert.AreEqual(0, runtime.Stop(), runtime.Log);
            Assert.DoesNotContain(mount["target"]!.GetValue<string>(), MountTable.Targets(), runtime.Log);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void SilentHost_SignalThatDoesNotKill_KeepsTheTruthOfTheAnswer()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        string target = Path.Combine(mount, "made");
        pair.Agent.Signal("STOP");
        RunningProgram caller;
        try
        {
            // A handler, so that the signal interrupts without killing, as a Go program's SIGURG does.
            string ready = Path.Combine(pair.Folder, "ready");
            caller = RunningProgram.Start("bash", ["-c", "trap : USR1; python3 -c 'import os,signal,sys; signal.signal(signal.SIGUSR1, lambda *a: None); open(sys.argv[2], \"w\"); os.mkdir(sys.argv[1])' \"$1\" \"$2\" & child=$!; until test -e \"$2\"; do sleep 0.05; done; sleep 0.5; kill -USR1 $child; sleep 2; kill -USR1 $child; echo signalled; wait $child; wait $child", "bash", target, ready]);
            caller.WaitForLine(line => line == "signalled", Pair.Limit);
        }
        finally
        {
            pair.Agent.Signal("CONT");
        }

        using (caller)
        {
            Assert.IsTrue(caller.WaitForExit(Pair.Limit), "the caller did not end");
            Assert.AreEqual(0, caller.ExitCode, caller.Error);
        }

        Assert.IsTrue(Directory.Exists(Path.Combine(pair.ExportRoot, "made")), "the directory on the host");
    }

    // On any other file system that is no pipe or terminal, a signal that does not kill ends no open(2).
    [TestMethod]
    [TestCategory("root")]
    public void SignalWhileTheHostIsAway_LeavesACallerThatLivesWaiting()
    {
        using var pair = new Pair();
        using LinkProxy proxy = LinkProxy.Up(pair, out string mount);
        using RunningProgram program = Shell.StartPython(
            $"new, go = b'{mount}/new', '{pair.Folder}/go'" +
            """

            import signal
            c = ctypes.CDLL(None, use_errno=True)
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.siginterrupt(signal.SIGALRM, False)
            say('ready')
            wait(go)
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            say(c.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600) >= 0 or errno.errorcode[ctypes.get_errno()])
            """,
            "/");
        Eventually.True(() => program.Output.Contains("ready", StringComparison.Ordinal) || program.HasExited, Pair.Limit, "the program");
        proxy.CloseNow();
        File.WriteAllText(Path.Combine(pair.Folder, "go"), "");
        Survival.FaultyPair.Pause(TimeSpan.FromSeconds(2));
        proxy.Closed = false;
        CollectionAssert.AreEqual(new[] { "ready", "True" }, Shell.End(program));
    }

    [TestMethod]
    [TestCategory("root")]
    public void SilentHost_CallersAreKillable_AndTheMountCanBeDetached()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "x");
        pair.Agent.Signal("STOP");
        try
        {
            // More callers than lanes: those that wait for a lane must be killable too.
            RunningProgram[] callers = [.. Enumerable.Range(0, 6).Select(_ => RunningProgram.Start("stat", [Path.Combine(mount, "f")]))];
            foreach (RunningProgram caller in callers)
            {
                Assert.IsFalse(caller.WaitForExit(TimeSpan.FromMilliseconds(300)), "the host is stopped and cannot have answered");
            }

            foreach (RunningProgram caller in callers)
            {
                ExternalProgram.Check("kill", ["-KILL", caller.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)], Pair.Limit);
            }

            foreach (RunningProgram caller in callers)
            {
                Assert.IsTrue(caller.WaitForExit(Pair.Limit), "a killed caller still waits");
                caller.Dispose();
            }

            Eventually.True(() => pair.Runtime.Ctl("host", "list").Output.Contains("down", StringComparison.OrdinalIgnoreCase), Pair.Limit, "keep-alive notices the silence");
            pair.Runtime.Ctl("umount", "--lazy", mount).EnsureSuccess();
        }
        finally
        {
            pair.Agent.Signal("CONT");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void HostAwayForLongerThanGiveUpAfter_CallsEndWithAnError()
    {
        using var pair = new Pair();
        string mount = pair.Up(entry => entry["giveUpAfter"] = "1s");
        pair.Agent.Kill();
        ProgramResult result = ExternalProgram.Run("stat", [Path.Combine(mount, "f")], Pair.Limit);
        Assert.IsFalse(result.TimedOut);
        Assert.Contains("Input/output error", result.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void TwoDpusOnOneHost_AndTwoHostsOnOneDpu_SeeTheirOwn()
    {
        using var first = new Pair(LinkKind.Tls);
        using var second = new Pair(LinkKind.Tls);
        first.Authority.Issue(LinkRole.Dpu, "dpu2", TimeSpan.FromHours(1));
        first.AgentConfiguration["peers"]!.AsArray().Add(first.Peer("dpu2"));
        string other = Directory.CreateDirectory(Path.Combine(first.Folder, "other")).FullName;
        first.AgentConfiguration["exports"]!.AsArray().Add(Pair.Export("other", other, peers: "dpu2"));
        File.WriteAllText(Path.Combine(first.ExportRoot, "who"), "data of host1");
        File.WriteAllText(Path.Combine(other, "who"), "other of host1");
        first.StartAgent();

        Daemon one = first.StartRuntime();
        Daemon two = first.StartRuntime(name: "dpu2");
        WaitHostUp(one);
        WaitHostUp(two);
        string mountOne = Directory.CreateDirectory(Path.Combine(first.MountRoot, "one")).FullName;
        string mountTwo = Directory.CreateDirectory(Path.Combine(first.MountRoot, "two")).FullName;
        one.Ctl("mount", "host1:data", mountOne).EnsureSuccess();
        two.Ctl("mount", "host1:other", mountTwo).EnsureSuccess();
        Assert.AreEqual("data of host1", File.ReadAllText(Path.Combine(mountOne, "who")));
        Assert.AreEqual("other of host1", File.ReadAllText(Path.Combine(mountTwo, "who")));

        // What is another's, or is not there at all, looks the same.
        ProgramResult stolen = one.Ctl("mount", "host1:other", mountTwo + "x");
        ProgramResult missing = one.Ctl("mount", "host1:missing", mountTwo + "x");
        Assert.AreEqual(4, stolen.ExitCode, stolen.Error);
        Assert.AreEqual(missing.Error.Replace("missing", "other", StringComparison.Ordinal), stolen.Error);

        // A second host, with its own authority, on the same DPU machine.
        string mountThree = second.Up();
        File.WriteAllText(Path.Combine(second.ExportRoot, "who"), "second host");
        Assert.AreEqual("second host", File.ReadAllText(Path.Combine(mountThree, "who")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void OneRuntime_WithTwoHosts_MountsBoth()
    {
        using var first = new Pair();
        using var second = new Pair();
        first.StartAgent();
        second.StartAgent();
        JsonObject configuration = first.RuntimeConfiguration();
        configuration["hosts"]!.AsArray().Add(new JsonObject { ["name"] = "host2", ["endpoint"] = second.Endpoint, ["uid"] = 0 });
        JsonObject a = first.Mount("data", "a");
        JsonObject b = first.Mount("data", "b");
        b["host"] = "host2";
        configuration["mounts"]!.AsArray().Add(a);
        configuration["mounts"]!.AsArray().Add(b);
        first.StartRuntime(configuration);
        File.WriteAllText(Path.Combine(first.ExportRoot, "f"), "1");
        File.WriteAllText(Path.Combine(second.ExportRoot, "f"), "2");
        Eventually.True(() => Reads(Path.Combine(first.MountRoot, "a/f"), "1") && Reads(Path.Combine(first.MountRoot, "b/f"), "2"), Pair.Limit, "both mounts");
    }

    internal static void WaitHostUp(Daemon runtime) =>
        Eventually.True(
            () => runtime.Ctl("host", "show", "host1", "--json").Output.Contains("UP", StringComparison.OrdinalIgnoreCase),
            Pair.Limit,
            $"the host's link to be up; the runtime's log: {runtime.Log}");

    private static bool Reads(string path, string content)
    {
        try
        {
            return File.ReadAllText(path) == content;
        }
        catch (IOException)
        {
            // Expected until the mount stands.
            return false;
        }
    }
}
