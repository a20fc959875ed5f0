using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>More nodes than descriptors: what a node does after it was shut and opened again.</summary>
[TestClass]
public sealed class WindowTests
{
    private const ulong Root = PeerExport.RootId;
    private const int Small = 64;

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(20_000L, 9744)]
    [DataRow(256L, 32)]
    [DataRow(long.MaxValue, 131_072)]
    public void DefaultLimit_AnyLimitOfTheProcess_LeavesTheRestToFiles(long descriptors, int expected) =>
        Assert.AreEqual(expected, DescriptorWindow.DefaultLimit(descriptors));

    [TestMethod]
    [TestCategory("unit")]
    public void Slot_ShutAndOpened_PinsTellWhich()
    {
        ulong state = 0;
        SlotState.PublishShut(ref state, 3);
        Assert.IsFalse(SlotState.TryShut(ref state), "shut");
        SlotState.Open(ref state);
        Assert.IsFalse(SlotState.TryShut(ref state), "pinned");
        Assert.IsFalse(SlotState.Unpin(ref state));
        Assert.IsTrue(SlotState.TryShut(ref state));
        Assert.IsTrue(SlotState.TryPin(ref state, 3, out bool open));
        Assert.IsFalse(open);
        Assert.IsFalse(SlotState.Unpin(ref state));
        SlotState.Open(ref state);
        Assert.IsTrue(SlotState.TryPin(ref state, 3, out open));
        Assert.IsTrue(open);
        Assert.IsTrue(SlotState.TryKill(ref state, 3, out bool free));
        Assert.IsFalse(free || SlotState.Unpin(ref state));
        Assert.IsTrue(SlotState.Unpin(ref state), "the last one frees");
        SlotState.Retire(ref state);
        Assert.IsFalse(SlotState.IsShut(state) || SlotState.TryShut(ref state), "dead");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ManyNodes_HeldThroughASmallWindow_AllWork()
    {
        const int folders = 50;
        const int files = 100;
        using PeerExport export = WithWindow(Small);
        for (int d = 0; d < folders; d++)
        {
            Directory.CreateDirectory(export.In($"d{d}"));
            for (int f = 0; f < files; f++)
            {
                File.WriteAllText(export.In($"d{d}/f{f}"), $"{d}/{f}");
            }
        }

        ulong[] parents = new ulong[folders];
        ulong[,] nodes = new ulong[folders, files];
        ForAll(d => parents[d] = export.Lookup($"d{d}").nodeid, (d, f) =>
        {
            Assert.AreEqual(0, export.TryLookup(parents[d], $"f{f}", out fuse_entry_out entry));
            nodes[d, f] = entry.nodeid;
        });
        Assert.AreEqual(folders * (files + 1), export.FileSystem.OpenNodes);
        byte[] buffer = new byte[16];
        ForAll(d => Assert.HasCount(files + 2, export.List(parents[d])), (d, f) =>
        {
            Assert.AreEqual(0, export.GetAttr(nodes[d, f], out fuse_attr attr));
            Assert.AreEqual((ulong)$"{d}/{f}".Length, attr.size);
            Assert.AreEqual(0, export.Open(nodes[d, f], fcntl.O_RDONLY, out ulong handle));
            int size = export.Read(nodes[d, f], handle, 0, buffer);
            CollectionAssert.AreEqual(PeerExport.Bytes($"{d}/{f}"), buffer[..size]);
            Assert.AreEqual(0, export.Release(nodes[d, f], handle));
        });

        // Names that the peer changes, and files that it then reaches by their old nodes.
        ForAll(d => { }, (d, f) =>
        {
            Assert.AreEqual(0, export.Rename(parents[d], $"f{f}", parents[folders - 1 - d], $"r{f}-{d}"));
            Assert.AreEqual(0, export.SetAttr(nodes[d, f], new fuse_setattr_in { valid = FuseConstants.FATTR_MODE, mode = 0x100 | (uint)f }, out _));
        });
        Assert.AreEqual(0x100u | 7, PeerExport.HostStatus(export.In($"d{folders - 1}/r7-0")).stx_mode & 0xfffu);
        Assert.IsGreaterThan(0L, Window(export).Reopened);

        void ForAll(Action<int> folder, Action<int, int> file)
        {
            for (int d = 0; d < folders; d++)
            {
                folder(d);
                for (int f = 0; f < files; f++)
                {
                    file(d, f);
                }

                AssertBounded(export, Small);
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void EveryKindOfFile_AfterItWasShut_IsTheSameNode()
    {
        using PeerExport export = WithWindow(Small);
        Assert.AreEqual(0, export.SymLink(Root, "link", "no/where", out fuse_entry_out link));
        Assert.AreEqual(0, export.MkNod(Root, "fifo", stat.S_IFIFO | 0x1a4, 0, out fuse_entry_out fifo));
        Assert.AreEqual(0, export.MkNod(Root, "one", stat.S_IFREG | 0x1a4, 0, out fuse_entry_out one));
        Assert.AreEqual(0, export.Link(one.nodeid, Root, "two", out fuse_entry_out two));
        Assert.AreEqual(one.nodeid, two.nodeid);
        Directory.CreateDirectory(export.In("deep/" + string.Join('/', Enumerable.Repeat("x", 200))));
        ulong[] chain = [.. Enumerable.Range(0, 200).Select(depth => export.Lookup("deep" + string.Concat(Enumerable.Repeat("/x", depth))).nodeid)];
        ShutAll(export);
        Assert.AreEqual(0, export.ReadLink(link.nodeid, out string target));
        Assert.AreEqual("no/where", target);
        Assert.AreEqual(0, export.GetAttr(fifo.nodeid, out fuse_attr attr));
        Assert.AreEqual(stat.S_IFIFO, attr.mode & stat.S_IFMT);
        Assert.AreEqual(-errno.ENXIO, export.Open(fifo.nodeid, fcntl.O_WRONLY, out _));
        ShutAll(export);
        Assert.AreEqual((one.nodeid, one.nodeid), (export.Lookup("two").nodeid, export.Lookup("one").nodeid));

        // The handle follows the file, not the path; and the way back to names of directories is whole.
        Directory.Move(export.In("deep"), export.In("moved"));
        ShutAll(export);
        Assert.AreEqual(0, export.TryLookup(chain[150], "x", out fuse_entry_out deep));
        Assert.AreEqual(chain[151], deep.nodeid);
        Assert.AreEqual(0, export.MkDir(chain[199], "made", 0x1ff, out _));
        Assert.IsTrue(Directory.Exists(export.In("moved/" + string.Join('/', Enumerable.Repeat("x", 199)) + "/made")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void MovedOut_AfterItWasShut_IsStaleUntilItComesBack()
    {
        using PeerExport export = WithWindow(Small);
        Directory.CreateDirectory(export.In("d"));
        File.WriteAllText(export.In("d/f"), "x");
        ulong d = export.Lookup("d").nodeid;
        ulong f = export.Lookup("d/f").nodeid;
        ShutAll(export);
        Directory.Move(export.In("d"), export.Out("d"));
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(d, out _));
        Assert.AreEqual(-errno.ESTALE, export.TryLookup(d, "f", out _));
        Assert.AreEqual(-errno.ESTALE, export.OpenDir(d, out _));
        Assert.AreEqual(-errno.ESTALE, export.MkDir(d, "made", 0x1ff, out _));
        Assert.AreEqual(-errno.ESTALE, export.Open(f, fcntl.O_RDONLY, out _));
        Assert.AreEqual(-errno.ESTALE, export.SetAttr(f, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE }, out _));
        ShutAll(export);
        Directory.Move(export.Out("d"), export.In("d"));
        Assert.AreEqual((0, 0), (export.GetAttr(d, out _), export.GetAttr(f, out fuse_attr attr)));
        Assert.AreEqual(1UL, attr.size);
    }

    [TestMethod]
    [TestCategory("root")]
    public void DeletedAfterItWasShut_IsStale_AndItsInodeNumberBelongsToTheNext()
    {
        using PeerExport export = WithWindow(Small);
        int reused = 0;
        for (int i = 0; i < 20; i++)
        {
            File.WriteAllText(export.In("f"), "old");
            fuse_entry_out old = export.Lookup("f");
            ShutAll(export);
            File.Delete(export.In("f"));
            File.WriteAllText(export.In("f"), "another");
            reused += PeerExport.HostStatus(export.In("f")).stx_ino == old.attr.ino ? 1 : 0;

            // Both ways round: the old node first, or the new file first.
            if (i % 2 == 0)
            {
                Assert.AreEqual(-errno.ESTALE, export.GetAttr(old.nodeid, out _));
            }

            fuse_entry_out next = export.Lookup("f");
            Assert.AreNotEqual(old.nodeid, next.nodeid);
            Assert.AreEqual(7UL, next.attr.size);
            Assert.AreEqual(next.nodeid, export.Lookup("f").nodeid);
            Assert.AreEqual(-errno.ESTALE, export.GetAttr(old.nodeid, out _));
            Assert.AreEqual(-errno.ESTALE, export.Open(old.nodeid, fcntl.O_RDONLY, out _));
            Assert.AreEqual(0, export.GetAttr(next.nodeid, out _));
            File.Delete(export.In("f"));
            export.FileSystem.Forget(old.nodeid, 1);
            export.FileSystem.Forget(next.nodeid, 2);
        }

        Assert.AreEqual(0L, export.FileSystem.ForgetViolations);
        Console.WriteLine($"inode numbers used again: {reused} of 20");
    }

    [TestMethod]
    [TestCategory("root")]
    public void DeletedWhileOpen_ThroughASmallWindow_StaysUsable()
    {
        using PeerExport export = WithWindow(Small);

        // Shut before it is deleted: the handle's descriptor keeps the file, by which the node finds it.
        Assert.AreEqual(0, export.Create(Root, "f", fcntl.O_RDWR, 0x1a4, out fuse_entry_out f, out ulong handle));
        ShutAll(export);
        Assert.AreEqual(0, export.Unlink(Root, "f"));
        Assert.AreEqual(3, export.Write(f.nodeid, handle, 0, "abc"u8));
        Assert.AreEqual(0, export.GetAttr(f.nodeid, out fuse_attr attr));
        Assert.AreEqual((0u, 3UL), (attr.nlink, attr.size));
        ShutAll(export);
        Assert.AreEqual(0, export.SetAttr(f.nodeid, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE | FuseConstants.FATTR_FH, fh = handle, size = 1 }, out attr));
        Assert.AreEqual(1UL, attr.size);

        // Deleted while its node is open, and held by nothing else: never shut.
        File.WriteAllText(export.In("g"), "abc");
        ulong g = export.Lookup("g").nodeid;
        Assert.AreEqual(0, export.Unlink(Root, "g"));
        ShutAll(export);
        Assert.AreEqual(0, export.GetAttr(g, out attr));
        Assert.AreEqual((0u, 3UL), (attr.nlink, attr.size));
        Assert.AreEqual(0, export.Open(g, fcntl.O_RDONLY, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void DeletedByTheHost_MoreThanTheWindowHolds_NewNamesAreFound_AndWhatIsOpenStays()
    {
        const int many = 10 * Small;
        using PeerExport export = WithWindow(Small);
        var nodes = new List<ulong>();
        File.WriteAllText(export.In("open"), "abc");
        ulong open = export.Lookup("open").nodeid;
        Assert.AreEqual(0, export.Open(open, fcntl.O_RDWR, out ulong handle));
        File.Delete(export.In("open"));
        for (int i = 0; i < many; i++)
        {
            // The peer never forgets them: its kernel has no reason to.
            File.WriteAllText(export.In("f"), "old");
            Assert.AreEqual(0, export.TryLookup(Root, "f", out fuse_entry_out entry), $"{i}");
            nodes.Add(entry.nodeid);
            File.Delete(export.In("f"));
        }

        // And the open one's.
        AssertBounded(export, Small + 1);
        int kept = nodes.Count(node => export.GetAttr(node, out fuse_attr attr) == 0 && attr is { nlink: 0, size: 3 });
        Console.WriteLine($"kept {kept} of {many}");
        Assert.IsLessThanOrEqualTo(Small, kept);
        Assert.IsGreaterThan(0, kept, "the last ones may be in use without a handle");
        Assert.IsTrue(nodes.All(node => export.GetAttr(node, out _) is 0 or -errno.ESTALE));

        // Its handle keeps the file, by which the node finds it.
        Assert.AreEqual(3, export.Write(open, handle, 3, "def"u8));
        Assert.AreEqual(0, export.GetAttr(open, out fuse_attr status));
        Assert.AreEqual((0u, 6UL), (status.nlink, status.size));
    }

    [TestMethod]
    [TestCategory("root")]
    public void SquashAll_NodesOpenedAgainByTheAgent_GiveNobodyMore()
    {
        using PeerExport export = WithWindow(Small, o => o with { Identity = new IdentityPolicy { Squash = Squash.All } });
        File.WriteAllText(export.In("secret"), "key");
        PeerExport.Mode(export.In("secret"), 0x180);
        Directory.CreateDirectory(export.In("private/inner"));
        PeerExport.Mode(export.In("private/inner"), 0x1ed);
        ulong inner = export.Lookup("private/inner").nodeid;
        ulong folder = export.Lookup("private").nodeid;
        PeerExport.Mode(export.In("private"), 0x1c0);
        ulong secret = export.Lookup("secret").nodeid;
        foreach (Func<int> call in (Func<int>[])[
            () => export.Open(secret, fcntl.O_RDONLY, out _),
            () => export.Open(secret, fcntl.O_WRONLY, out _),
            () => export.SetAttr(secret, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE }, out _),
            () => export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.Access(caller, secret, unistd.R_OK)),
            () => export.OpenDir(folder, out _),
            () => export.TryLookup(folder, "inner", out _),
            () => export.MkDir(folder, "made", 0x1ff, out _),
            () => export.Unlink(folder, "inner"),
            () => export.MkDir(inner, "made", 0x1ff, out _),
            () => export.Rename(folder, "inner", inner, "x"),
            () => export.Link(secret, folder, "x", out _) is -errno.EPERM or -errno.EACCES ? -errno.EACCES : 0])
        {
            ShutAll(export);
            Assert.AreEqual(-errno.EACCES, call());
        }

        Assert.AreEqual("key", File.ReadAllText(export.In("secret")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void TwoFileSystems_OneWindow_AWalkTakesFromItself()
    {
        var window = new DescriptorWindow(Small);
        using (PeerExport walker = new(o => o with { DescriptorWindow = window }))
        using (PeerExport neighbour = new(o => o with { DescriptorWindow = window }))
        {
            for (int i = 0; i < 500; i++)
            {
                File.WriteAllText(walker.In($"f{i}"), "x");
                File.WriteAllText(neighbour.In($"f{i}"), "x");
            }

            for (int i = 0; i < 10; i++)
            {
                _ = neighbour.Lookup($"f{i}");
            }

            for (int i = 0; i < 500; i++)
            {
                _ = walker.Lookup($"f{i}");
                Assert.IsLessThanOrEqualTo(Small, window.Used);
            }

            Assert.AreEqual((10, 54), (neighbour.FileSystem.NodeDescriptors, walker.FileSystem.NodeDescriptors));
            for (int i = 0; i < 500; i++)
            {
                _ = neighbour.Lookup($"f{i}");
            }

            Assert.AreEqual(Small, neighbour.FileSystem.NodeDescriptors + walker.FileSystem.NodeDescriptors);
            Assert.IsLessThanOrEqualTo(2, Math.Abs(neighbour.FileSystem.NodeDescriptors - walker.FileSystem.NodeDescriptors), "as much of it each");
        }

        Assert.AreEqual(0, window.Used);
    }

    [TestMethod]
    [TestCategory("root")]
    public void FileSystemWithoutHandles_KeepsItsDescriptors_AndLeavesOthersTheirShare()
    {
        var window = new DescriptorWindow(16);

        // name_to_handle_at(2) is EOPNOTSUPP there.
        string queues = Directory.CreateTempSubdirectory("dpu-queues-").FullName;
        Shell.Run("mount", "-t", "ramfs", "none", queues);
        using var unmount = new AtEnd(() =>
        {
            Shell.Run("umount", "-l", queues);
            Directory.Delete(queues);
        });
        string[] names = [.. Enumerable.Range(0, 17).Select(i => $"q{i}")];
        Array.ForEach(names, name => File.Create(Path.Combine(queues, name)).Dispose());
        using PeerExport plain = new(o => o with { DescriptorWindow = window, Root = queues });
        ulong[] nodes = [.. names[..16].Select(name => plain.Lookup(name).nodeid)];
        Assert.AreEqual(-errno.ENFILE, plain.TryLookup(Root, names[16], out _));
        Assert.AreEqual((16, 16, 1L), (plain.FileSystem.OpenNodes, plain.FileSystem.NodeDescriptors, plain.FileSystem.Refused));
        foreach (ulong node in nodes)
        {
            Assert.AreEqual(0, plain.GetAttr(node, out _));
        }

        using PeerExport other = new(o => o with { DescriptorWindow = window });
        for (int i = 0; i < 40; i++)
        {
            Assert.AreEqual(0, other.MkDir(Root, $"d{i}", 0x1ff, out fuse_entry_out made));
            Assert.AreEqual(0, other.GetAttr(made.nodeid, out _));
            Assert.IsLessThanOrEqualTo(window.Share + 1, other.FileSystem.NodeDescriptors);
        }

        plain.FileSystem.Forget(nodes[0], 1);
        Assert.AreEqual(0, plain.TryLookup(Root, names[16], out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void OpeningAgain_AnyPolicy_AllocatesNothing()
    {
        using PeerExport export = WithWindow(8, o => o with { Identity = IdentityPolicy.RootSquashing });
        byte[][] names = [.. Enumerable.Range(0, 40).Select(i => PeerExport.Bytes($"f{i}"))];
        ulong[] nodes = new ulong[names.Length];
        for (int i = 0; i < names.Length; i++)
        {
            File.WriteAllText(export.In($"f{i}"), "x");
            nodes[i] = export.Lookup($"f{i}").nodeid;
        }

        long Round()
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            int failed = 0;
            for (int i = 0; i < names.Length; i++)
            {
                var caller = new FuseCaller { Uid = 1000, Gid = 1000 };
                failed += export.FileSystem.GetAttr(caller, nodes[i], default, out _);
                failed += export.FileSystem.Lookup(caller, Root, names[(i * 7) % names.Length], out fuse_entry_out entry);
                export.FileSystem.Forget(entry.nodeid, 1);
            }

            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.AreEqual(0, failed);
            return allocated;
        }

        _ = Round();
        long reopened = Window(export).Reopened;
        Assert.AreEqual(0L, Round());
        Assert.IsGreaterThan(reopened, Window(export).Reopened);
        Assert.AreEqual(0, FuseWorkerThread.Leave());
    }

    internal static DescriptorWindow Window(PeerExport export) => s_windows.TryGetValue(export, out DescriptorWindow? window) ? window : throw new AssertFailedException("made without a window");

    internal static PeerExport WithWindow(int limit, Func<PassthroughOptions, PassthroughOptions>? configure = null)
    {
        var window = new DescriptorWindow(limit);
        var export = new PeerExport(o => (configure?.Invoke(o) ?? o) with { DescriptorWindow = window });
        s_windows.Add(export, window);
        return export;
    }

    /// <summary>Makes the hand shut every node that can be.</summary>
    internal static void ShutAll(PeerExport export)
    {
        while (export.FileSystem.ShutOneNode())
        {
        }
    }

    internal static void AssertBounded(PeerExport export, int limit)
    {
        Assert.IsLessThanOrEqualTo(limit, export.FileSystem.NodeDescriptors);
        Assert.IsLessThanOrEqualTo(limit + 1, ResourceTests.Descriptors(export.Folder), "and the root");
        Assert.AreEqual(export.FileSystem.NodeDescriptors, Window(export).Used);
    }

    private static readonly System.Runtime.CompilerServices.ConditionalWeakTable<PeerExport, DescriptorWindow> s_windows = [];

    private sealed class AtEnd(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}
