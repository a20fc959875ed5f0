using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>Limits, leaks, allocations.</summary>
[TestClass]
public sealed class ResourceTests
{
    private const ulong Root = PeerExport.RootId;

    [TestMethod]
    [TestCategory("root")]
    public void Limits_OfNodesAndHandles_RefuseCountAndRecover()
    {
        using var export = new PeerExport(o => o with { MaxNodes = 3, MaxHandles = 2 });
        for (int i = 0; i < 4; i++)
        {
            File.WriteAllText(export.In($"f{i}"), "x");
        }

        ulong[] nodes = [.. Enumerable.Range(0, 3).Select(i => export.Lookup($"f{i}").nodeid)];
        Assert.AreEqual(-errno.ENFILE, export.TryLookup(Root, "f3", out _));
        Assert.AreEqual(-errno.ENFILE, export.Create(Root, "new", fcntl.O_RDWR, 0x1ff, out _, out _));
        Assert.AreEqual(-errno.ENFILE, export.MkDir(Root, "new", 0x1ff, out _));
        Assert.IsFalse(Path.Exists(export.In("new")), "what is refused must not happen");
        Assert.AreEqual(0, export.TryLookup(Root, "f0", out _), "a known node costs nothing");
        Assert.AreEqual(0, export.Open(nodes[0], fcntl.O_RDONLY, out ulong first));
        Assert.AreEqual(0, export.OpenDir(Root, out _));
        Assert.AreEqual(-errno.ENFILE, export.Open(nodes[1], fcntl.O_RDONLY, out _));
        Assert.AreEqual(-errno.ENFILE, export.OpenDir(Root, out _));
        Assert.AreEqual(5, export.FileSystem.Refused);
        Assert.AreEqual((3, 2), (export.FileSystem.OpenNodes, export.FileSystem.OpenHandles));
        Assert.AreEqual(0, export.Release(nodes[0], first));
        export.FileSystem.Forget(nodes[2], 1);
        Assert.AreEqual(0, export.TryLookup(Root, "f3", out _));
        Assert.AreEqual(0, export.Open(nodes[1], fcntl.O_RDONLY, out _));
        Assert.AreEqual(-errno.ENFILE, export.Create(Root, "f0", fcntl.O_RDWR, 0x1ff, out _, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Budget_OfAPeer_SpansItsMountsAndReturns()
    {
        var nodes = new ResourceBudget(2);
        var handles = new ResourceBudget(1);
        using (var first = new PeerExport(o => o with { NodeBudget = nodes, HandleBudget = handles }))
        using (var second = new PeerExport(o => o with { NodeBudget = nodes, HandleBudget = handles }))
        {
            foreach (PeerExport export in (PeerExport[])[first, second])
            {
                File.WriteAllText(export.In("a"), "x");
                File.WriteAllText(export.In("b"), "x");
            }

            ulong a = first.Lookup("a").nodeid;
            ulong b = second.Lookup("b").nodeid;
            Assert.AreEqual(-errno.ENFILE, first.TryLookup(Root, "b", out _));
            Assert.AreEqual(0, first.Open(a, fcntl.O_RDONLY, out _));
            Assert.AreEqual(-errno.ENFILE, second.Open(b, fcntl.O_RDONLY, out _));
            second.FileSystem.Destroy();
            Assert.AreEqual(0, first.TryLookup(Root, "b", out _));
        }

        Assert.AreEqual((0, 0), (nodes.Used, handles.Used));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Dispose_WithEverythingOpen_LeavesNoDescriptor()
    {
        string marker;
        using (PeerExport export = new())
        {
            marker = export.Folder;
            for (int i = 0; i < 50; i++)
            {
                Assert.AreEqual(0, export.Create(Root, $"f{i}", fcntl.O_RDWR, 0x1ff, out _, out _));
                Assert.AreEqual(0, export.MkDir(Root, $"d{i}", 0x1ff, out fuse_entry_out folder));
                Assert.AreEqual(0, export.OpenDir(folder.nodeid, out ulong list));
                Assert.AreEqual(0, export.ReadDir(folder.nodeid, list, 0, plus: true, new byte[4096], out _));
            }

            // Failures on every path hold nothing either.
            Assert.AreEqual(-errno.EEXIST, export.Create(Root, "f0", fcntl.O_EXCL, 0x1ff, out _, out _));
            Assert.AreEqual(-errno.EISDIR, export.Create(Root, "d0", fcntl.O_RDWR, 0x1ff, out _, out _));
            Assert.AreEqual(201, Descriptors(marker), "50 of each: node and handle, and the root");
            export.FileSystem.Destroy();
            Assert.AreEqual(1, Descriptors(marker));
            Assert.AreEqual((0, 0), (export.FileSystem.OpenNodes, export.FileSystem.OpenHandles));
            _ = export.Lookup("f0");
            export.FileSystem.Dispose();
            Assert.AreEqual(0, Descriptors(marker));
            Assert.AreEqual(-errno.ESTALE, export.GetAttr(Root, out _));
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Constructor_NoDirectory_SaysWhat()
    {
        IOException absent = Assert.ThrowsExactly<IOException>(() => new PassthroughFileSystem(new PassthroughOptions { Root = "/absent/folder" }));
        StringAssert.Contains(absent.Message, "/absent/folder");
        Assert.ThrowsExactly<IOException>(() => new PassthroughFileSystem(new PassthroughOptions { Root = "/etc/passwd" }));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void DescriptorLimit_Raised_IsTheHardOne()
    {
        long limit = FileDescriptorLimit.RaiseToHard();
        string line = File.ReadLines("/proc/self/limits").Single(line => line.StartsWith("Max open files", StringComparison.Ordinal));
        string[] parts = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        Assert.AreEqual(parts[4], parts[3]);
        Assert.AreEqual(parts[4], $"{limit}");
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(true)]
    [DataRow(false)]
    public void HotCalls_AnyPolicy_AllocateNothing(bool trusting)
    {
        using var export = new PeerExport(o => o with { Identity = trusting ? IdentityPolicy.Trusting : IdentityPolicy.RootSquashing });
        PeerExport.Mode(export.Root, 0x1ff);
        File.WriteAllText(export.In("f"), "hello");
        PeerExport.Mode(export.In("f"), 0x1b6);
        ulong f = export.Lookup("f").nodeid;
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDWR, out ulong handle));
        Assert.AreEqual(0, export.OpenDir(Root, out ulong list));
        byte[] buffer = new byte[4096];
        byte[] name = "f"u8.ToArray();
        long Round()
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (uint i = 0; i < 100; i++)
            {
                int failed = Calls(export.FileSystem, f, handle, list, name, buffer, 1000 + (i % 3));
                if (failed != 0)
                {
                    Assert.Fail($"call {failed}");
                }
            }

            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        _ = Round();
        Assert.AreEqual(0L, Round());
        Assert.AreEqual(0, FuseWorkerThread.Leave());
    }

    private static unsafe int Calls(PassthroughFileSystem fs, ulong node, ulong handle, ulong list, byte[] name, byte[] buffer, uint user)
    {
        var caller = new FuseCaller { Uid = user, Gid = user };
        fixed (byte* bytes = buffer)
        {
            var piece = new iovec { iov_base = bytes, iov_len = 5 };
            var writer = new FuseDirectoryWriter(buffer);
            return fs.Lookup(caller, Root, name, out fuse_entry_out entry) != 0 ? 1
                : fs.GetAttr(caller, node, default, out _) != 0 ? 2
                : fs.GetAttr(caller, node, new fuse_getattr_in { getattr_flags = FuseConstants.FUSE_GETATTR_FH, fh = handle }, out _) != 0 ? 3
                : fs.Read(caller, node, new fuse_read_in { fh = handle, size = 5 }, &piece, 1) != 5 ? 4
                : fs.Write(caller, node, new fuse_write_in { fh = handle, size = 5 }, &piece, 1) != 5 ? 5
                : fs.ReadDir(caller, Root, new fuse_read_in { fh = list, size = 4096 }, plus: true, ref writer) != 0 ? 6
                : Forgotten(fs, entry.nodeid);
        }
    }

    private static int Forgotten(PassthroughFileSystem fs, ulong node)
    {
        fs.Forget(node, 1);
        return 0;
    }

    internal static int Descriptors(string below) => Directory.GetFileSystemEntries("/proc/self/fd")
        .Count(entry => new FileInfo(entry).LinkTarget?.StartsWith(below, StringComparison.Ordinal) == true);
}
