using System.Globalization;

namespace Dpu.EndToEnd.Tests;

/// <summary>Mounts that a view's programs ask a host for happen once, whatever is cut or killed meanwhile.</summary>
[TestClass]
public sealed class ViewMountCutTests
{
    private const string Once = """
        import time
        t = '/mnt/open/t'
        say('ready')
        while not os.path.exists(sys.argv[1]): time.sleep(0.01)

        """;

    [TestMethod]
    [TestCategory("root")]
    public void LinkThatIsCutAtRandom_DoublesAndLosesNothing()
    {
        using var lab = new MountLab("none", proxied: true);
        lab.Make("open/t/under");
        const int Seed = 20261123;
        lab.Proxy!.CutAtRandom(Seed, 6000);
        string[] said = lab.Python("""
            t = '/mnt/open/t'
            for i in range(20):
                done = m('none', t, 'tmpfs')
                if done != 'OK' or os.path.exists(t + '/under'): say('mount', i, done)
                os.mkdir(t + '/over')
                done = u(t)
                if done != 'OK' or not os.path.exists(t + '/under'): say('umount', i, done)
            say('end')
            """);
        lab.Proxy.CutAtRandom(0, 0);
        CollectionAssert.AreEqual(new[] { "end" }, said, $"with seed {Seed}");
        Assert.IsGreaterThan(10, lab.Proxy.Cuts);
        Assert.IsEmpty(lab.Mounted("open/t"));
        Assert.HasCount(20, lab.View.Pair.Agent.Log.Split('\n').Where(line => line.Contains("had tmpfs (none) mounted at open/t", StringComparison.Ordinal)));
    }

    [TestMethod]
    [TestCategory("root")]
    public void AgentThatIsKilledInIt_LeavesACallThatIsDoneOnce()
    {
        using var lab = new MountLab("none");
        lab.Make("open/t");
        foreach (string point in (string[])["MountBegun", "UnmountBegun", "MountMade", "UnmountMade"])
        {
            // What an agent of before has mounted is known to the next.
            bool isMount = point.StartsWith("Mount", StringComparison.Ordinal);
            using RunningProgram program = Start(lab, Once + (isMount ? "say(m('none', t, 'tmpfs'))" : "say(u(t))"));
            lab.View.Pair.Agent.Kill();
            lab.View.Pair.StartAgent(new Dictionary<string, string?> { ["DPU_CRASH_AT"] = point });
            File.WriteAllText($"{lab.View.Folder}/go", "");
            Eventually.True(() => lab.View.Pair.Agent.HasExited, Pair.Limit, $"the agent's death at {point}");
            lab.View.Pair.StartAgent();
            program.WaitForLine(line => line == "OK", Pair.Limit);
            Assert.HasCount(isMount ? 1 : 0, lab.Mounted("open/t"), point);
            File.Delete($"{lab.View.Folder}/go");
        }

        Assert.Contains("dpu_view_mount_unknown_total 0", lab.View.Metrics());
    }

    [TestMethod]
    [TestCategory("root")]
    public void AgentWithoutAKeeperThatIsKilledInIt_LeavesACallOfWhichNobodyKnows_AndThatIsCounted()
    {
        using var lab = new MountLab("none", agent: (agent, _) => agent["keeper"]!["socket"] = "none");
        lab.Make("open/t");
        using RunningProgram program = Start(lab, Once + "say(m('none', t, 'tmpfs'))");
        lab.View.Pair.Agent.Kill();
        lab.View.Pair.StartAgent(new Dictionary<string, string?> { ["DPU_CRASH_AT"] = "MountMade" });
        File.WriteAllText($"{lab.View.Folder}/go", "");
        Eventually.True(() => lab.View.Pair.Agent.HasExited, Pair.Limit, "the agent's death");
        lab.View.Pair.StartAgent();
        program.WaitForLine(line => line == "EIO", Pair.Limit);
        Assert.HasCount(1, lab.Mounted("open/t"), "never twice");
        Assert.Contains("dpu_view_mount_unknown_total 1", lab.View.Metrics());
        Assert.Contains("has lost its memory of such calls", lab.View.Pair.Runtime.Log);

        // Nobody knows any more for whom it was made.
        Assert.AreNotEqual(0, lab.Run("umount /mnt/open/t").ExitCode);
    }

    [TestMethod]
    [TestCategory("root")]
    public void RuntimeThatIsKilledInIt_AndCallersThatAre_LeaveItDoneOnceAndNobodyWaiting()
    {
        using var lab = new MountLab("none");
        lab.Make("open/t", "open/s");
        using RunningProgram waits = Start(lab, Once + "say(m('none', t, 'tmpfs'))");
        using RunningProgram dies = Start(lab, Once + "m('s', '/mnt/open/s', 'tmpfs')");
        string agent = lab.View.Pair.Agent.Id.ToString(CultureInfo.InvariantCulture);
        ExternalProgram.Check("kill", ["-STOP", agent], Pair.Limit);
        try
        {
            File.WriteAllText($"{lab.View.Folder}/go", "");
            Eventually.True(() => lab.View.Calls("d1", "mount").Intercepted == 2, Pair.Limit, "both calls");
            lab.View.Pair.Runtime.Kill();
            ExternalProgram.Check("kill", ["-KILL", dies.Id.ToString(CultureInfo.InvariantCulture)], Pair.Limit);
            Assert.IsTrue(dies.WaitForExit(Pair.Limit));
            lab.View.Pair.RestartRuntime(quick: true);
        }
        finally
        {
            ExternalProgram.Check("kill", ["-CONT", agent], Pair.Limit);
        }

        waits.WaitForLine(line => line == "OK", Pair.Limit);
        Assert.HasCount(1, lab.Mounted("open/t"));
        Assert.IsEmpty(lab.Mounted("open/s"), "nobody had asked the host for it yet");
        lab.Check("umount /mnt/open/t; mount -t tmpfs again /mnt/open/t; umount /mnt/open/t");
        Eventually.True(() => ExternalProgram.Run("pgrep", ["-P", "1", "-x", "dpu-finder"], Pair.Limit).Output.Length == 0, Pair.Limit, "the end of what the killed runtime left behind");
    }

    private static RunningProgram Start(MountLab lab, string program)
    {
        string file = $"{lab.View.Folder}/{Guid.NewGuid():N}.py";
        File.WriteAllText(file, MountLab.Calls + program);
        RunningProgram running = RunningProgram.Start(ViewLab.Program, ["--socket", lab.View.Socket, "d1", "--", "python3", file, $"{lab.View.Folder}/go"]);
        running.WaitForLine(line => line == "ready", Pair.Limit);
        return running;
    }
}
