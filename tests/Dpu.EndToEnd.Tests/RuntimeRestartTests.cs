using System.Text.Json.Nodes;
using Dpu.Keeper;

namespace Dpu.EndToEnd.Tests;

/// <summary>A runtime that ends in any way, with a dpu-keeper: the next one goes on with its mounts as they were.</summary>
[TestClass]
public sealed class RuntimeRestartTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None, true)]
    [DataRow(ThreeMounts.Coherent, true)]
    [DataRow(ThreeMounts.Coherent, false)]
    public void RuntimeEnds_OpenFilesDirectoriesAndNames_GoOn(string cache, bool killed)
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up(entry => entry["cache"] = cache);
        string before = MountOf(mount);
        using RunningProgram program = Shell.StartPython(
            $"go = '{pair.Folder}/go'" +
            """

            os.mkdir('d')
            for i in range(1500): open('d/%d' % i, 'w').close()
            f = os.open('f', os.O_CREAT | os.O_RDWR)
            gone = os.open('gone', os.O_CREAT | os.O_RDWR)
            os.write(gone, b'still')
            os.unlink('gone')
            entries = os.scandir('d')
            seen = [next(entries).name for i in range(500)]
            os.chdir('d')
            say('ready')
            wait(go)
            os.write(f, b'in between')     # while no runtime is there
            say(os.pread(f, 100, 0), os.pread(gone, 100, 0))
            seen += [e.name for e in entries]
            say(len(seen), len(set(seen)))
            say(len(os.listdir('.')), os.fstat(gone).st_nlink)
            """,
            mount);
        Eventually.True(() => program.Output.Contains("ready", StringComparison.Ordinal) || program.HasExited, Pair.Limit, "the program's files");
        if (killed)
        {
            pair.Runtime.Kill();
        }
        else
        {
            Assert.AreEqual(0, pair.Runtime.Stop());
        }

        File.WriteAllText(Path.Combine(pair.Folder, "go"), "");
        Assert.AreEqual(before, MountOf(mount), "the mount has gone with the runtime");
        pair.RestartRuntime();
        string[] lines = Shell.End(program);
        CollectionAssert.AreEqual(new[] { "ready", "b'in between' b'still'", "1500 1500", "1500 0" }, lines, program.Error);
        Assert.AreEqual(before, MountOf(mount));
        Assert.AreEqual(1, pair.Counters()["takenOver"]!.GetValue<long>());
        Assert.AreEqual("in between", File.ReadAllText(Path.Combine(pair.ExportRoot, "f")));
    }

    // What tells the kernel waits in it for a request that only the next runtime answers, and no signal ends that.
    [TestMethod]
    [TestCategory("root")]
    public void RuntimeKilled_WhileItTellsTheKernelToForget_Ends()
    {
        using var pair = new Pair(keeper: true);
        pair.AgentConfiguration["peers"]![0]!["limits"] = new JsonObject { ["requestsPerSecond"] = 100 };
        string mount = pair.Up(entry => entry["cache"] = ThreeMounts.Coherent);
        string connection = ExternalProgram.Check("mountpoint", ["-d", mount], Pair.Limit).Trim().Split(':')[1];
        string there = Directory.CreateDirectory(Path.Combine(mount, "d")).FullName, onHost = Path.Combine(pair.ExportRoot, "d");
        using RunningProgram makes = Shell.StartPython(
            """
            for i in range(1000000):
                open('made', 'w').close()
                os.unlink('made')
            """,
            there);
        using RunningProgram changes = Shell.StartPython(
            """
            for i in range(1000000):
                open('changed', 'w').close()
                os.unlink('changed')
                select.select([], [], [], 0.01)
            """,
            onHost);
        using RunningProgram looks = Shell.StartPython("while True: os.path.exists('changed')", there);
        try
        {
            for (int i = 0; i < 4; i++)
            {
                Survival.FaultyPair.Pause(TimeSpan.FromSeconds(1));
                bool ended = pair.Runtime.TryKill(TimeSpan.FromSeconds(5));
                Assert.IsTrue(ended, $"killed for the {i + 1}th time:\n{pair.Runtime.Describe()}");
                pair.RestartRuntime(quick: true);
            }

            // Without keeper and runtime nobody goes on with the mount: it ends, whoever waits.
            Survival.FaultyPair.Pause(TimeSpan.FromSeconds(1));
            pair.Runtime.Kill();
            pair.Keeper!.Kill();
            Assert.IsTrue(makes.WaitForExit(Pair.Limit), "a program waits for a mount that has ended");
            Eventually.True(() => ExternalProgram.Run("pgrep", ["-f", $"dpu-teller {connection}$"], Pair.Limit).Output.Length == 0, Pair.Limit, "the end of what tells the kernel");
        }
        finally
        {
            // By force first, which ends what hangs on it, and the runtime that was killed.
            ExternalProgram.Run("umount", ["-f", mount], Pair.Limit);
            ExternalProgram.Run("umount", ["-l", mount], Pair.Limit);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void RuntimeKilledAtAnyTime_EachOperationHappensOnce(string cache)
    {
        const int Seconds = 9;
        int seed = Environment.TickCount;
        var random = new Random(seed);
        using var pair = new Pair(keeper: true);
        string mount = pair.Up(entry => entry["cache"] = cache);
        string before = MountOf(mount);
        using OnceWorkers workers = new(mount, Seconds);
        int kills = 0;
        List<string> logs = [];
        for (; !workers.HaveEnded; kills++)
        {
            workers.Work(TimeSpan.FromMilliseconds(random.Next(200)));
            pair.Runtime.Kill();
            logs.Add(pair.Runtime.Log);
            pair.RestartRuntime();
        }

        // Where a worker has failed, what the runtimes have warned of.
        logs.Add(pair.Runtime.Log);
        string warned = string.Join('\n', logs.SelectMany((log, life) => log.Split('\n').Where(line => line.Contains(" warn ", StringComparison.Ordinal) || line.Contains(" crit ", StringComparison.Ordinal) || line.StartsWith("   ", StringComparison.Ordinal)).Select(line => $"{life}: {line}")));
        Console.WriteLine(warned);
        Console.WriteLine($"seed {seed}: {kills} kills, {workers.Check(pair.ExportRoot, seed)} rounds");
        Assert.AreEqual(before, MountOf(mount));
        Assert.AreEqual(kills, pair.Counters()["takenOver"]!.GetValue<long>());
        Assert.AreEqual(0, pair.Counters()["unknownOutcome"]!.GetValue<long>());
        Console.WriteLine($"{pair.Counters()["recovered"]} requests that one runtime began and another one ended");
        Shell.Check("rm -r w0 w1 w2", mount);
        Eventually.True(() => pair.OpenNodes() < 20 + (2 * kills), Pair.Limit, "the end of references");
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void RuntimeKilled_LocksGoOn_AndWhoWaitsForOneGetsIt(string cache)
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up(entry => entry["cache"] = cache);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var holder = new Locker(Path.Combine(mount, "f"));
        using var waiter = new Locker(Path.Combine(mount, "f"));
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        Assert.AreEqual("0", holder.Ask("set 0 posix w 0 10"));
        waiter.Tell("wait 0 posix w 0 10");
        waiter.AssertWaits();
        pair.Runtime.Kill();
        pair.RestartRuntime();
        Assert.AreNotEqual("0", host.Ask("set 0 posix w 0 10"), "the host's program has a lock of the DPU's");
        waiter.AssertWaits();
        Assert.AreEqual("0", holder.Ask("set 0 posix u 0 10"));
        Assert.AreEqual("0", waiter.Answer());
        Assert.AreNotEqual("0", host.Ask("set 0 posix w 0 10"));
    }

    [TestMethod]
    [TestCategory("root")]
    public void RuntimeKilled_WhatTheHostChangedMeanwhile_IsSeen()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up(entry => entry["cache"] = ThreeMounts.Coherent);
        string host = pair.ExportRoot;
        for (int i = 0; i < 50; i++)
        {
            File.WriteAllText(Path.Combine(host, $"f{i}"), "old");
        }

        // Until then nothing is kept.
        Eventually.True(() => Asked(pair, () => File.Exists(Path.Combine(mount, "absent"))) == 0, Pair.Limit, "the cache");
        Shell.Check("ls -l >/dev/null; cat f* >/dev/null", mount);
        Assert.AreEqual("oldold", Shell.Check("cat f0 f1", mount));
        pair.Runtime.Kill();
        Shell.Check("for i in $(seq 0 24); do echo -n newer > f$i; done; rm f40; mv f41 g41; mkdir d", host);
        pair.RestartRuntime();

        // Until the host has said that anything may have changed, what was cached is believed, for a moment.
        Eventually.True(() => Shell.Check("cat f0 f24", mount) == "newernewer", Pair.Limit, "the new contents");
        Eventually.True(() => Shell.Run("stat f40 f41", mount).ExitCode != 0 && Shell.Run("stat g41 d f30", mount).ExitCode == 0, Pair.Limit, "the new names");
        Assert.AreEqual("50", Shell.Check("ls | wc -l", mount));
    }

    [TestMethod]
    [TestCategory("root")]
    public void UnmountedWithOrWithoutARuntime_NothingIsLeftWithTheKeeper()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        Assert.AreEqual("", pair.Runtime.Ctl("upgrade", "status").EnsureSuccess().Error);
        Assert.IsNotEmpty(OfMounts(pair));
        pair.Runtime.Ctl("umount", mount).EnsureSuccess();
        Eventually.True(() => OfMounts(pair).Count == 0, Pair.Limit, "the end of what the keeper has");

        pair.Runtime.Ctl("mount", "host1:data", mount).EnsureSuccess();
        pair.Runtime.Kill();
        Shell.Check($"umount -l {mount}", "/");
        pair.RestartRuntime();
        Pair.WaitMounted(mount);
        Assert.AreEqual(0, pair.Counters()["takenOver"]!.GetValue<long>(), "what was unmounted is made again, as the configuration names it");
        pair.Runtime.Ctl("umount", mount).EnsureSuccess();
        Eventually.True(() => OfMounts(pair).Count == 0, Pair.Limit, "the end of what the keeper has");
    }

    [TestMethod]
    [TestCategory("root")]
    public void KeeperDies_TheMountGoesOn_AndIsProtectedAgainOnceItIsBack()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        using var program = Shell.StartPython($"f = os.open('f', os.O_CREAT | os.O_RDWR); say('open'); wait('{pair.Folder}/go'); os.write(f, b'x'); say(os.pread(f, 9, 0))", mount);
        Eventually.True(() => program.Output.Contains("open", StringComparison.Ordinal), Pair.Limit, "the file");
        pair.Keeper!.Kill();
        Eventually.True(() => pair.Runtime.Ctl("upgrade", "status").ExitCode == 1, Pair.Limit, "that the keeper is missed");
        Assert.Contains("until a keeper is there", pair.Runtime.Log);
        File.WriteAllText(Path.Combine(mount, "meanwhile"), "works");
        pair.Keeper.Start();
        Eventually.True(() => pair.Runtime.Ctl("upgrade", "status").ExitCode == 0, Pair.Limit, "the protection");
        pair.Runtime.Kill();
        pair.RestartRuntime();
        File.WriteAllText(Path.Combine(pair.Folder, "go"), "");
        CollectionAssert.AreEqual(new[] { "open", "b'x'" }, Shell.End(program));
        Assert.AreEqual(1, pair.Counters()["takenOver"]!.GetValue<long>());
    }

    [TestMethod]
    [TestCategory("root")]
    public void RuntimeThatIsToldToEndItsMounts_Unmounts()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up(null, runtime => runtime["keeper"]!["onStop"] = "end");
        Assert.AreEqual(0, pair.Runtime.Stop());
        Pair.WaitUnmounted(mount);
        Assert.IsEmpty(OfMounts(pair));
    }

    [TestMethod]
    [TestCategory("root")]
    public void MachineThatShutsDown_Unmounts()
    {
        using var pair = new Pair(keeper: true);
        string systemctl = Path.Combine(pair.Folder, "systemctl");
        File.WriteAllText(systemctl, "#!/bin/sh\n[ \"$1\" = is-system-running ] && echo stopping\n");
        Shell.Check($"chmod +x {systemctl}", "/");

        // systemd gives each service such an id.
        pair.RuntimeEnvironment["PATH"] = $"{pair.Folder}:{Environment.GetEnvironmentVariable("PATH")}";
        pair.RuntimeEnvironment["INVOCATION_ID"] = "0123456789abcdef0123456789abcdef";
        string mount = pair.Up();
        Assert.AreEqual(0, pair.Runtime.Stop());
        Pair.WaitUnmounted(mount);
    }

    [TestMethod]
    [TestCategory("root")]
    public void RuntimeAway_CallerCanBeKilled_AndTheNextRuntimeDoesNotStumbleOverIt()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        pair.Runtime.Kill();
        using RunningProgram caller = RunningProgram.Start("cat", [Path.Combine(mount, "nothing")]);
        Eventually.True(() => File.ReadAllText($"/proc/{caller.Id}/wchan").Contains("request_wait", StringComparison.Ordinal), Pair.Limit, "the call");
        caller.Kill();
        Assert.IsTrue(caller.WaitForExit(Pair.Limit), "a caller cannot be killed while no runtime is there");
        pair.RestartRuntime();
        File.WriteAllText(Path.Combine(mount, "f"), "works");
        Assert.AreEqual("works", File.ReadAllText(Path.Combine(pair.ExportRoot, "f")));
    }

    private static long Asked(Pair pair, Action what)
    {
        what();
        long before = pair.Counters()["total"]!["requests"]!.GetValue<long>();
        what();
        return pair.Counters()["total"]!["requests"]!.GetValue<long>() - before;
    }

    private static IReadOnlyList<KeptEntry> OfMounts(Pair pair)
    {
        using var client = new KeeperClient(pair.Keeper!.Socket);
        return [.. client.List("runtime/").Where(entry => entry.Name.Contains("/mount/", StringComparison.Ordinal))];
    }

    private static string MountOf(string target) =>
        File.ReadLines("/proc/self/mountinfo").Single(line => line.Split(' ')[4] == target).Split(" - ")[0];
}
