using System.Diagnostics;

namespace Dpu.EndToEnd.Tests;

/// <summary>A DPU that was rebooted: the host keeps what its programs had for the grace time, or until the DPU's next boot begins.</summary>
[TestClass]
public sealed class DpuRebootTests
{
    [TestMethod]
    [TestCategory("root")]
    public void DpuGone_ItsLocksAndFilesEndWithTheGraceTime_AndItIsSaid()
    {
        using var pair = new Pair();
        pair.AgentConfiguration["sessionGrace"] = "3s";
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var dpu = new Locker(Path.Combine(mount, "f"));
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        Assert.AreEqual("0", dpu.Ask("set 0 posix w 0 0"));
        Assert.IsGreaterThan(0, Opened(pair));

        long gone = Stopwatch.GetTimestamp();
        pair.Runtime.Kill();
        Shell.Check($"umount -l {mount}", "/");
        Assert.AreEqual("EAGAIN", host.Ask("set 0 posix w 0 0"), "within the grace time");
        Assert.IsGreaterThan(0, Opened(pair));
        Eventually.True(() => host.Ask("set 0 posix w 0 0") == "0", Pair.Limit, "the end of the lock");
        Assert.IsGreaterThan(TimeSpan.FromSeconds(2.9), Stopwatch.GetElapsedTime(gone), "the grace time");
        Eventually.True(() => Opened(pair) == 0, Pair.Limit, "the end of what was open");
        Eventually.True(() => pair.Agent.Log.Contains("2006 MountExpired", StringComparison.Ordinal), Pair.Limit, "the event");
        Assert.Contains("no connection for 3 s; 1 owners' locks and 1 open files were let go", pair.Agent.Log);
    }

    [TestMethod]
    [TestCategory("root")]
    public void DpuBackWithAnotherBoot_TheLocksOfTheEarlierOneEndAtOnce_AndThoseOfThisOneDoNot()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var dpu = new Locker(Path.Combine(mount, "f"));
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        Assert.AreEqual("0", dpu.Ask("set 0 ofd w 0 0"));
        pair.Runtime.Kill();

        // The dead mount would be taken for the next one's.
        Shell.Check($"umount -l {mount}", "/");

        // Another runtime of the same boot: the earlier one's programs may live, and its session come back.
        pair.RestartRuntime();
        Pair.WaitMounted(mount);
        Assert.AreEqual("EAGAIN", host.Ask("set 0 ofd w 0 0"), "the grace time is 5 min");
        pair.Runtime.Kill();
        Shell.Check($"umount -l {mount}", "/");

        string boot = Path.Combine(pair.Folder, "boot_id");
        File.WriteAllText(boot, "6d0f1f3c-5d0e-4f0b-9c0f-0123456789ab\n");
        using RunningProgram rebooted = RunningProgram.Start(
            "unshare",
            [
                "--mount", "--propagation", "private", "bash", "-c", "mount --bind \"$0\" /proc/sys/kernel/random/boot_id; exec \"$1\" --config \"$2\"",
                boot, Repository.Program("Dpu.Runtime", "dpu-runtime"), Path.Combine(pair.Folder, "dpu1.json"),
            ]);
        Eventually.True(() => host.Ask("set 0 ofd w 0 0") == "0" || rebooted.HasExited, Pair.Limit, $"the end of the lock; {rebooted.Error}");
        Assert.IsFalse(rebooted.HasExited, rebooted.Error);
        Eventually.True(() => pair.Agent.Log.Split("2020 PeerRebooted").Length == 3, Pair.Limit, $"an event for each mount of the earlier boot; {pair.Agent.Log}");
        Assert.Contains("1 owners' locks and 1 open files were let go", pair.Agent.Log);
    }

    // The files of the export that the agent has open, beside those by which it knows names.
    private static int Opened(Pair pair) => Directory.GetFiles($"/proc/{pair.Agent.Id}/fd").Count(link =>
    {
        try
        {
            return File.ResolveLinkTarget(link, returnFinalTarget: false)?.FullName == Path.Combine(pair.ExportRoot, "f");
        }
        catch (FileNotFoundException)
        {
            // Closed since it was listed.
            return false;
        }
    });
}
