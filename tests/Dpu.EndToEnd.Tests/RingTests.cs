using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Mounts whose requests come by io_uring: what a mount on /dev/fuse holds, they hold.</summary>
[TestClass]
[DoNotParallelize] // They stop, kill and cut.
public sealed class RingTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Files_ThroughARing_AreAsOnTheHost()
    {
        using var pair = new Pair();
        string mount = pair.Up(Ring);
        Assert.AreEqual("io_uring", Transport(pair), pair.Runtime.Log);
        byte[] data = new byte[(5 << 20) + 123];
        new Random(7).NextBytes(data);
        File.WriteAllBytes(Path.Combine(mount, "large"), data);
        CollectionAssert.AreEqual(data, File.ReadAllBytes(Path.Combine(pair.ExportRoot, "large")));
        CollectionAssert.AreEqual(data, File.ReadAllBytes(Path.Combine(mount, "large")));

        // Long names and values: their requests and answers share a slot's memory.
        string name = new('n', 255);
        Shell.Check($"mkdir d; touch d/{name}; ln -s {new string('t', 1000)} link; readlink link | wc -c; setfattr -n user.k -v {new string('v', 3000)} d/{name}; getfattr -n user.k d/{name} | wc -c; mv d/{name} {name}; ls", mount);
        Assert.IsTrue(File.Exists(Path.Combine(pair.ExportRoot, name)));
        for (int i = 0; i < 500; i++)
        {
            File.WriteAllText(Path.Combine(pair.ExportRoot, "d", $"f{i}"), "x");
        }

        Assert.HasCount(500, Directory.GetFiles(Path.Combine(mount, "d")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ManyAtOnce_ThroughARing_EachGetsItsOwn()
    {
        using var pair = new Pair();
        string mount = pair.Up(Ring);
        const int Threads = 16, Rounds = 200;
        byte[][] contents = [.. Enumerable.Range(0, Threads).Select(i =>
        {
            byte[] content = new byte[(i + 1) * 50_000];
            new Random(i).NextBytes(content);
            File.WriteAllBytes(Path.Combine(pair.ExportRoot, $"f{i}"), content);
            return content;
        })];
        Parallel.For(0, Threads, new ParallelOptions { MaxDegreeOfParallelism = Threads }, i =>
        {
            for (int round = 0; round < Rounds / (i + 1); round++)
            {
                CollectionAssert.AreEqual(contents[i], File.ReadAllBytes(Path.Combine(mount, $"f{i}")));
                File.WriteAllText(Path.Combine(mount, $"w{i}"), $"{i} {round}");
                Assert.AreEqual($"{i} {round}", File.ReadAllText(Path.Combine(pair.ExportRoot, $"w{i}")));
            }
        });
    }

    [TestMethod]
    [TestCategory("root")]
    public void Agent_KilledAndRestarted_TheMountGoesOn()
    {
        using var pair = new Pair();
        string mount = pair.Up(Ring);
        File.WriteAllText(Path.Combine(mount, "before"), "1");
        pair.Agent.Kill();

        // Its caller waits, and is answered by the next agent.
        using RunningProgram caller = RunningProgram.Start("cat", [Path.Combine(mount, "before")]);
        Assert.IsFalse(caller.WaitForExit(TimeSpan.FromMilliseconds(300)), "there is no host that can have answered");
        pair.StartAgent();
        Assert.IsTrue(caller.WaitForExit(Pair.Limit), pair.Runtime.Log);
        Assert.AreEqual(0, caller.ExitCode, caller.Error);
        File.WriteAllText(Path.Combine(mount, "after"), "2");
        Assert.AreEqual("2", File.ReadAllText(Path.Combine(pair.ExportRoot, "after")));
        Assert.AreEqual("io_uring", Transport(pair));
    }

    [TestMethod]
    [TestCategory("root")]
    public void SilentHost_CallersAreKillable_AndTheMountCanBeDetached()
    {
        using var pair = new Pair();
        string mount = pair.Up(Ring);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "x");
        pair.Agent.Signal("STOP");
        try
        {
            // More callers than slots: those that wait for one must be killable too.
            RunningProgram[] callers = [.. Enumerable.Range(0, 40).Select(_ => RunningProgram.Start("stat", [Path.Combine(mount, "f")]))];
            Assert.IsFalse(callers[^1].WaitForExit(TimeSpan.FromMilliseconds(300)), "the host is stopped and cannot have answered");
            long killed = Environment.TickCount64;
            ExternalProgram.Check("kill", ["-KILL", .. callers.Select(caller => caller.Id.ToString(CultureInfo.InvariantCulture))], Pair.Limit);
            foreach (RunningProgram caller in callers)
            {
                Assert.IsTrue(caller.WaitForExit(Pair.Limit), "a killed caller still waits");
                caller.Dispose();
            }

            // The grace is a second; the rest is this machine's other work.
            Assert.IsLessThan(6000, Environment.TickCount64 - killed, "milliseconds until the last killed caller was gone");
            pair.Runtime.Ctl("umount", "--lazy", mount).EnsureSuccess();
        }
        finally
        {
            pair.Agent.Signal("CONT");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void KilledCaller_WhoseRequestWasCarriedOut_LeavesTheMountWorking()
    {
        using var pair = new Pair();
        string mount = pair.Up(Ring);
        pair.Agent.Signal("STOP");
        RunningProgram[] callers;
        try
        {
            callers = [.. Enumerable.Range(0, 5).Select(i => RunningProgram.Start("sh", ["-c", $"exec 3>{Path.Combine(mount, $"made{i}")}"]))];
            Assert.IsFalse(callers[0].WaitForExit(TimeSpan.FromMilliseconds(300)));
            ExternalProgram.Check("kill", ["-KILL", .. callers.Select(caller => caller.Id.ToString(CultureInfo.InvariantCulture))], Pair.Limit);
            foreach (RunningProgram caller in callers)
            {
                Assert.IsTrue(caller.WaitForExit(Pair.Limit), "a killed caller still waits");
                caller.Dispose();
            }
        }
        finally
        {
            pair.Agent.Signal("CONT");
        }

        // The answers that nobody takes any more are given back, on connections that stand.
        File.WriteAllText(Path.Combine(mount, "f"), "x");
        Assert.AreEqual("x", File.ReadAllText(Path.Combine(pair.ExportRoot, "f")));
        Assert.DoesNotContain("broke the protocol", pair.Runtime.Log);
    }

    [TestMethod]
    [TestCategory("root")]
    public void HostAwayForLongerThanGiveUpAfter_CallsEndWithAnError()
    {
        using var pair = new Pair();
        string mount = pair.Up(entry =>
        {
            Ring(entry);
            entry["giveUpAfter"] = "1s";
        });
        pair.Agent.Kill();
        ProgramResult result = ExternalProgram.Run("stat", [Path.Combine(mount, "f")], Pair.Limit);
        Assert.IsFalse(result.TimedOut);
        Assert.Contains("Input/output error", result.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Runtime_KilledAndRestarted_MountsAgainOverItsDeadMount()
    {
        using var pair = new Pair();
        JsonObject configuration = pair.RuntimeConfiguration(), entry = pair.Mount("data", "data");
        Ring(entry);
        configuration["mounts"]!.AsArray().Add(entry);
        string mount = pair.Up(Ring);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "again");
        pair.Runtime.Kill();
        Assert.Throws<IOException>(() => Directory.GetFiles(mount));
        pair.StartRuntime(configuration);
        Eventually.True(() => ExternalProgram.Run("cat", [Path.Combine(mount, "f")], Pair.Limit).Output.TrimEnd() == "again", Pair.Limit, "the mount of the new runtime");
        Assert.AreEqual(1, MountTable.Targets().Count(target => target == mount), "mounts at the target");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Unmount_OfABusyMount_IsRefusedThenLazy()
    {
        using var pair = new Pair();
        string mount = pair.Up(Ring);
        using (FileStream open = File.Create(Path.Combine(mount, "open")))
        {
            Assert.AreNotEqual(0, pair.Runtime.Ctl("umount", mount).ExitCode);
            pair.Runtime.Ctl("umount", "--lazy", mount).EnsureSuccess();
            open.Write("still served"u8);
            open.Flush();
        }

        Assert.AreEqual("still served", File.ReadAllText(Path.Combine(pair.ExportRoot, "open")));
        Pair.WaitUnmounted(mount);
    }

    [TestMethod]
    [TestCategory("root")]
    public void WaitingLocks_MoreThanSlots_HoldNothingElseUp()
    {
        // Two processors: more for one than it has slots.
        const int Waiters = 150;
        using var pair = new Pair();
        string mount = pair.Up(Ring);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "lock"), "");
        string output = Shell.Check($$"""
            exec 9<lock; flock 9
            for i in $(seq {{Waiters}}); do (flock lock -c 'echo had') & done
            sleep 2; timeout 5 touch made && test -e made && echo made
            flock -u 9; wait
            """, mount);
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.AreEqual("made", lines[0], "the waiters held it up, or did not wait");
        Assert.HasCount(Waiters + 1, lines);
    }

    [TestMethod]
    [TestCategory("root")]
    public void TlsLink_FallsBackToTheDevice_AndSaysWhy()
    {
        using var pair = new Pair(LinkKind.Tls);
        string mount = pair.Up(Ring);
        File.WriteAllText(Path.Combine(mount, "f"), "x");
        Assert.AreEqual("x", File.ReadAllText(Path.Combine(pair.ExportRoot, "f")));
        Assert.AreEqual("fuse", Transport(pair));
        Assert.Contains("the transport is /dev/fuse, not io_uring: the link is encrypted by TLS", pair.Runtime.Log);
    }

    private static void Ring(JsonObject mount) => mount["transport"] = "io_uring";

    private static string Transport(Pair pair) =>
        JsonNode.Parse(pair.Runtime.Ctl("mounts", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray().Single()!["transport"]!.GetValue<string>();
}
