using System.Text;
using Dpu.Fuse.Ring;
using Dpu.Fuse.Tests.Passthrough;
using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Server;

/// <summary>Real mounts whose requests come by io_uring. They need a kernel that has it, as the refusal says.</summary>
[TestClass, DoNotParallelize] // Each counts the process's descriptors and memory.
public sealed unsafe class RingMountTests
{
    private static readonly FuseRingOptions Deep = new();
    private static readonly FuseRingOptions Wide = new() { Depth = 1, ThreadsPerQueue = 2 };

    [TestInitialize]
    public void Initialize() => Assert.IsNull(FuseRingSupport.FindRefusal(), "these tests need a kernel with FUSE over io_uring");

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    [DataRow(8, 1)]
    [DataRow(1, 2)]
    public void Mount_OfMemory_ReadsAndWrites(int depth, int threads)
    {
        using var mount = new TestMount(ring: new FuseRingOptions { Depth = depth, ThreadsPerQueue = threads });
        byte[] data = new byte[(3 << 20) + 17];
        new Random(1).NextBytes(data);
        File.WriteAllBytes(mount.Path("file"), data);
        CollectionAssert.AreEqual(data, File.ReadAllBytes(mount.Path("file")));
        Directory.CreateDirectory(mount.Path("a/b/c"));
        File.WriteAllText(mount.Path("a/b/c/text"), "words");
        Assert.AreEqual("words", File.ReadAllText(mount.Path("a/b/c/text")));
        File.Delete(mount.Path("file"));
        Assert.IsFalse(File.Exists(mount.Path("file")));
        Assert.IsTrue(mount.Server.UsesRings, mount.Server.RingRefusal);
        Assert.IsNull(mount.Server.RingRefusal);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Mount_OfManyEntries_ListsEach()
    {
        using var mount = new TestMount(ring: Deep);
        mount.Files.AddFiles("many", 20_000);
        Assert.HasCount(20_000, Directory.GetFiles(mount.Path("many")).Distinct());
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Unmount_ByAnother_EndsTheServer()
    {
        using var mount = new TestMount(ring: Deep);
        File.WriteAllText(mount.Path("a"), "1");
        Shell.Run("umount", mount.Path());
        Assert.AreEqual(FuseServerEndReason.Unmounted, mount.WaitForEnd().Reason);
        Assert.AreEqual(1, mount.Files.Destroyed);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Unmount_WhileUsed_IsBusyThenLazy()
    {
        using var mount = new TestMount(stopLimit: TimeSpan.FromMilliseconds(200), ring: Deep);
        using (FileStream open = File.Create(mount.Path("open")))
        {
            Assert.AreEqual(errno.EBUSY, Assert.ThrowsExactly<FuseMountException>(() => mount.Device.Unmount(lazy: false)).Error);
            mount.Device.Unmount(lazy: true);
            open.Write("still served"u8);
            open.Flush();
        }

        Assert.AreEqual(FuseServerEndReason.Unmounted, mount.WaitForEnd().Reason);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Abort_OfHangingRequest_FreesTheCaller()
    {
        using var mount = new TestMount(ring: Wide);
        File.WriteAllText(mount.Path("blocked"), "x");
        mount.Files.Gate.Reset();
        Task<Exception?> reader = MountTests.ReadInBackground(mount.Path("blocked"));
        Assert.IsTrue(mount.Files.Blocked.Wait(TestMount.Limit));
        Assert.IsNotNull(mount.Server.OldestRequestAge, "the guard of a connection looks at it");
        mount.Device.Abort();
        Assert.IsTrue(reader.Wait(TestMount.Limit), "the reader still hangs");
        Assert.IsInstanceOfType<IOException>(reader.Result);
        mount.Files.Gate.Set();
        Assert.AreEqual(FuseServerEndReason.Aborted, mount.WaitForEnd().Reason);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Mount_AgainAndAgain_LeaksNeitherDescriptorNorThread()
    {
        void Once()
        {
            using var mount = new TestMount(ring: Deep);
            File.WriteAllText(mount.Path("a"), "1");
            mount.Server.Dispose();
            mount.WaitForEnd();
            Assert.IsTrue(SpinWait.SpinUntil(() => MountTests.ThreadsNamed("dpu-test") == 0, TestMount.Limit), "a thread is left behind");
        }

        Once();
        int descriptors = Directory.GetFiles("/proc/self/fd").Length;
        int mappings = File.ReadAllLines("/proc/self/maps").Length;
        for (int i = 0; i < 10; i++)
        {
            Once();
        }

        Assert.IsLessThanOrEqualTo(descriptors + 1, Directory.GetFiles("/proc/self/fd").Length);

        // The runtime maps memory of its own at times; ten mounts had 160 slots.
        Assert.IsLessThan(mappings + 80, File.ReadAllLines("/proc/self/maps").Length, "slots are left behind");
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Locks_MoreWaitersThanSlots_HoldNothingElseUp()
    {
        const int Waiters = 60;
        using var export = new PeerExport(o => o with { HostLocks = true });
        string target = Directory.CreateDirectory(Path.Combine(export.Folder, "mnt")).FullName;
        using FuseDevice device = FuseDevice.Mount(new FuseMountOptions { Target = target, Subtype = "dpu-test" });
        var dispatcher = new FuseDispatcher(export.FileSystem, new FuseDispatcherOptions { Features = FuseFeatures.Default | FuseFeatures.Locks });
        using FuseServer server = FuseServer.Start(device, dispatcher, new FuseServerOptions { Name = "dpu-test", Ring = new FuseRingOptions { Depth = 16 } });
        File.WriteAllText(Path.Combine(target, "lock"), "");

        // While one has the lock, the others wait; a file is made all the same; then each gets it once.
        string output = Shell.Run("bash", "-c", $$"""
            cd "$1"; exec 9<lock; flock 9
            for i in $(seq {{Waiters}}); do (flock lock -c 'echo had') & done
            sleep 0.5; timeout 5 touch made && test -e made && echo made
            flock -u 9; wait
            """, "bash", target);
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.AreEqual("made", lines[0], "the waiters held it up, or did not wait");
        Assert.HasCount(Waiters + 1, lines);
        Assert.IsTrue(server.UsesRings, server.RingRefusal);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Requests_OnARing_AllocateNothing()
    {
        const int Calls = 2000;
        using var export = new PeerExport();
        string target = Directory.CreateDirectory(Path.Combine(export.Folder, "mnt")).FullName;
        using FuseDevice device = FuseDevice.Mount(new FuseMountOptions { Target = target, Subtype = "dpu-test" });
        var dispatcher = new FuseDispatcher(export.FileSystem, new FuseDispatcherOptions());
        using FuseServer server = FuseServer.Start(device, dispatcher, new FuseServerOptions { Name = "dpu-test", Ring = Deep });
        File.WriteAllText(Path.Combine(target, "file"), "content");
        byte[] path = Encoding.UTF8.GetBytes(Path.Combine(target, "file") + "\0");
        double least = double.PositiveInfinity;
        for (int round = 0; round < 4; round++)
        {
            long allocated = GC.GetTotalAllocatedBytes(precise: true);
            for (int i = 0; i < Calls; i++)
            {
                fixed (byte* name = path)
                {
                    Assert.AreEqual(0, LibC.truncate(name, 3));
                }
            }

            least = Math.Min(least, (GC.GetTotalAllocatedBytes(precise: true) - allocated) / (double)Calls);
        }

        Assert.IsLessThan(1.0, least, "bytes a request, of all threads");
        Assert.IsTrue(server.UsesRings, server.RingRefusal);
    }

    [TestMethod, TestCategory("root"), Timeout(60_000)]
    public void Ring_ThatCannotBeMade_LeavesTheDevice()
    {
        // More submissions than any ring has.
        using var mount = new TestMount(ring: new FuseRingOptions { Depth = 40_000 });
        File.WriteAllText(mount.Path("a"), "1");
        Assert.AreEqual("1", File.ReadAllText(mount.Path("a")));
        Assert.IsFalse(mount.Server.UsesRings);
        Assert.Contains("io_uring", mount.Server.RingRefusal!);
    }
}
