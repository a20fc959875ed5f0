using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.TestSupport;

namespace Dpu.Fuse.Tests.Server;

/// <summary>Real mounts, served by a file system in memory.</summary>
[TestClass, DoNotParallelize] // Each counts the process's descriptors and threads.
public sealed class MountTests
{
    private static readonly FuseMountOptions Nowhere = new() { Target = "/nonexistent/folder" };

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Mount_OfMemory_ReadsAndWrites()
    {
        using var mount = new TestMount();
        byte[] data = new byte[(3 << 20) + 17];
        new Random(1).NextBytes(data);
        File.WriteAllBytes(mount.Path("file"), data);
        CollectionAssert.AreEqual(data, File.ReadAllBytes(mount.Path("file")));
        Directory.CreateDirectory(mount.Path("a/b/c"));
        File.WriteAllText(mount.Path("a/b/c/text"), "words");
        Assert.AreEqual("words", File.ReadAllText(mount.Path("a/b/c/text")));
        File.Delete(mount.Path("file"));
        Assert.IsFalse(File.Exists(mount.Path("file")));
        Assert.AreEqual(FuseLimits.MaxWrite, mount.Dispatcher.Negotiation!.MaxWrite);
        Assert.AreEqual(0, mount.Server.RefusedReplies, "the kernel refused a reply as malformed");
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Mount_OfManyEntries_ListsEach()
    {
        using var mount = new TestMount();
        mount.Files.AddFiles("many", 20_000);
        string[] names = Directory.GetFiles(mount.Path("many")).Select(path => System.IO.Path.GetFileName(path)).Order(StringComparer.Ordinal).ToArray();
        Assert.HasCount(20_000, names);
        Assert.AreEqual("file-000000", names[0]);
        Assert.AreEqual("file-019999", names[^1]);
        Assert.HasCount(20_000, names.Distinct());
        Assert.IsTrue(mount.Dispatcher.Counters.Snapshot().Any(count => count.Opcode is fuse_opcode.FUSE_READDIRPLUS && count.Requests > 0));
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Mount_Flags_AreRestrictive()
    {
        using var mount = new TestMount();
        string line = File.ReadAllLines("/proc/self/mountinfo").Single(text => text.Contains(" fuse.dpu-test test:/x ", StringComparison.Ordinal));
        foreach (string flag in (string[])["nosuid", "nodev", "default_permissions", "allow_other", $"max_read={FuseLimits.MaxWrite}"])
        {
            Assert.IsTrue(line.Split(' ', ',').Contains(flag) || flag.StartsWith("max_read", StringComparison.Ordinal) && line.Contains(flag, StringComparison.Ordinal), $"{flag} is missing in {line}");
        }

        Assert.IsTrue(line.Contains($" 0:{mount.Device.ConnectionNumber} ", StringComparison.Ordinal));
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Mount_OnNothing_SaysWhat()
    {
        FuseMountException failure = Assert.ThrowsExactly<FuseMountException>(() => FuseDevice.Mount(Nowhere));
        Assert.AreEqual(errno.ENOENT, failure.Error);
        Assert.IsTrue(failure.Message.Contains("/nonexistent/folder", StringComparison.Ordinal) && failure.Message.Contains("make the directory", StringComparison.Ordinal), failure.Message);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Unmount_ByAnother_EndsTheServer()
    {
        using var mount = new TestMount();
        File.WriteAllText(mount.Path("a"), "1");
        Shell.Run("umount", mount.Path());
        Assert.AreEqual(FuseServerEndReason.Unmounted, mount.WaitForEnd().Reason);
        Assert.AreEqual(1, mount.Files.Destroyed);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void AbortAndUnmount_AfterTheEnd_DoNothing()
    {
        using var mount = new TestMount();
        mount.Device.Unmount(lazy: false);
        _ = mount.WaitForEnd();
        mount.Device.Dispose();
        Assert.IsFalse(mount.Device.Connected);
        mount.Device.Abort();
        mount.Device.Unmount(lazy: true);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Unmount_WhileUsed_IsBusyThenLazy()
    {
        using var mount = new TestMount(stopLimit: TimeSpan.FromMilliseconds(200));
        using (FileStream open = File.Create(mount.Path("open")))
        {
            Assert.AreEqual(errno.EBUSY, Assert.ThrowsExactly<FuseMountException>(() => mount.Device.Unmount(lazy: false)).Error);
            mount.Device.Unmount(lazy: true);
            Assert.AreEqual(0, mount.Mounts);
            open.Write("still served"u8);
            open.Flush();
            Assert.AreEqual(2, mount.Server.RunningThreads);
        }

        Assert.AreEqual(FuseServerEndReason.Unmounted, mount.WaitForEnd().Reason);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Unmount_UnderAnotherMount_LeavesThatAlone()
    {
        using var mount = new TestMount(stopLimit: TimeSpan.FromMilliseconds(200));
        Shell.Run("mount", "-t", "tmpfs", "none", mount.Path());
        try
        {
            Assert.AreEqual(errno.EBUSY, Assert.ThrowsExactly<FuseMountException>(() => mount.Device.Unmount(lazy: true)).Error);
            Assert.AreEqual(2, mount.Mounts);
        }
        finally
        {
            Shell.Run("umount", mount.Path());
        }

        mount.Device.Unmount(lazy: false);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Abort_OfHangingRequest_FreesTheCaller()
    {
        using var mount = new TestMount(threads: 2);
        File.WriteAllText(mount.Path("blocked"), "x");
        mount.Files.Gate.Reset();
        Task<Exception?> reader = ReadInBackground(mount.Path("blocked"));
        Assert.IsTrue(mount.Files.Blocked.Wait(TestMount.Limit));
        mount.Device.Abort();
        Assert.IsTrue(reader.Wait(TestMount.Limit), "the reader still hangs");
        Assert.IsInstanceOfType<IOException>(reader.Result);
        Assert.IsFalse(mount.Device.Connected);
        Assert.IsFalse(File.ReadAllText("/proc/self/mountinfo").Contains("fusectl", StringComparison.Ordinal) && !Directory.Exists("/sys/fs/fuse/connections"), "fusectl was left mounted");
        mount.Files.Gate.Set();
        Assert.AreEqual(FuseServerEndReason.Aborted, mount.WaitForEnd().Reason);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Guard_OfHangingRequest_AbortsAfterItsLimit()
    {
        var time = new ManualTime();
        using var mount = new TestMount(threads: 2, time: time);
        File.WriteAllText(mount.Path("blocked"), "x");
        using var guard = new FuseConnectionGuard(() => mount.Server.OldestRequestAge, mount.Device.Abort, TimeSpan.FromSeconds(60), time);
        mount.Files.Gate.Reset();
        Task<Exception?> reader = ReadInBackground(mount.Path("blocked"));
        Assert.IsTrue(mount.Files.Blocked.Wait(TestMount.Limit));
        time.Advance(TimeSpan.FromSeconds(60));
        Assert.IsFalse(guard.Aborted, "before the limit");
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.IsTrue(guard.Aborted);
        Assert.IsNull(guard.Failure);
        Assert.IsTrue(reader.Wait(TestMount.Limit), "the reader still hangs");
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Dispose_WithHangingRequest_ReturnsInBoundedTime()
    {
        var mount = new TestMount(threads: 1, stopLimit: TimeSpan.FromMilliseconds(100));
        File.WriteAllText(mount.Path("blocked"), "x");
        mount.Files.Gate.Reset();
        Task<Exception?> reader = ReadInBackground(mount.Path("blocked"));
        Assert.IsTrue(mount.Files.Blocked.Wait(TestMount.Limit));
        mount.Server.Dispose();
        Assert.AreEqual(1, mount.Server.RunningThreads, "the file system holds the thread");
        Assert.IsTrue(reader.Wait(TestMount.Limit), "the reader still hangs");
        mount.Dispose();
        mount.WaitForEnd();
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Start_OfThreadThatCannotEnter_EndsTheConnection()
    {
        var fault = new InvalidOperationException("no identity");
        using var mount = new TestMount(enterThread: () => throw fault);
        FuseServerEnd end = mount.WaitForEnd();
        Assert.AreEqual(FuseServerEndReason.Failed, end.Reason);
        Assert.AreSame(fault, end.Fault);
        Assert.ThrowsExactly<IOException>(() => File.ReadAllText(mount.Path("a")));
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void ReplaceStale_OfDeadMount_MountsAnew()
    {
        using var dead = new TestMount();
        dead.Device.Abort();
        dead.WaitForEnd();
        Assert.AreEqual(1, dead.Mounts);
        using (FuseDevice device = FuseDevice.Mount(new FuseMountOptions { Target = dead.Path(), ReplaceStale = true }))
        {
            Assert.AreEqual(1, dead.Mounts, "the dead one is still below");
            Assert.IsTrue(device.Connected);
        }

        Assert.AreEqual(0, dead.Mounts);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void ReplaceStale_OfLivingMount_LeavesIt()
    {
        using var living = new TestMount();
        using (FuseDevice device = FuseDevice.Mount(new FuseMountOptions { Target = living.Path(), ReplaceStale = true }))
        {
            Assert.AreEqual(2, living.Mounts);
        }

        File.WriteAllText(living.Path("a"), "alive");
        Assert.AreEqual("alive", File.ReadAllText(living.Path("a")));
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Mount_AgainAndAgain_LeaksNeitherDescriptorNorThread()
    {
        MountOnce();
        int descriptors = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 10; i++)
        {
            MountOnce();
        }

        Assert.AreEqual(0, ThreadsNamed("dpu-test"));
        Assert.IsLessThanOrEqualTo(descriptors + 1, Directory.GetFiles("/proc/self/fd").Length);
    }

    private static void MountOnce()
    {
        using var mount = new TestMount();
        File.WriteAllText(mount.Path("a"), "1");
        mount.Server.Dispose();
        mount.WaitForEnd();

        // The thread has said that it is done; that the system has ended it follows at once.
        Assert.IsTrue(SpinWait.SpinUntil(() => ThreadsNamed("dpu-test") == 0, TestMount.Limit), "a thread is left behind");
    }

    internal static int ThreadsNamed(string prefix) => Directory.GetDirectories("/proc/self/task").Count(task =>
    {
        try
        {
            return File.ReadAllText(System.IO.Path.Combine(task, "comm")).StartsWith(prefix, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false; // It ended between the listing and the reading.
        }
    });

    internal static Task<Exception?> ReadInBackground(string path) => Task.Factory.StartNew<Exception?>(() =>
    {
        try
        {
            File.ReadAllText(path);
            return null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return failure;
        }
    }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
