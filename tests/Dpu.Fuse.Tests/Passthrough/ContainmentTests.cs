using Dpu.Fuse.Wire;
using Dpu.Linux;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>One test for each way out of an export that the threat model names.</summary>
[TestClass]
public sealed class ContainmentTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void IsBelow_AnyRootAndName_TrueOnlyBehindASlash() => Prop.ForAll<byte[], byte[], byte>((root, name, between) =>
    {
        byte[] full = [(byte)'/', .. root.Where(b => b != 0)];
        byte[] path = [.. full, between, .. name];
        bool expected = full.Length == 1 || between == '/';
        return ExportBoundary.IsBelow(path, full) == expected && ExportBoundary.IsBelow(full, full) && (name.Length == 0 || !ExportBoundary.IsBelow(full, path));
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void IsBelow_EveryKindOfPath_AsExpected()
    {
        Assert.IsTrue(ExportBoundary.IsBelow("/srv/export/a (deleted)"u8, "/srv/export"u8));
        Assert.IsTrue(ExportBoundary.IsBelow("/anything"u8, "/"u8));
        Assert.IsFalse(ExportBoundary.IsBelow("/srv/exportX"u8, "/srv/export"u8));
        Assert.IsFalse(ExportBoundary.IsBelow("/srv/export (deleted)"u8, "/srv/export"u8));
        Assert.IsFalse(ExportBoundary.IsBelow("(unreachable)/srv/export/a"u8, "/srv/export"u8));
        Assert.IsFalse(ExportBoundary.IsBelow("socket:[1]"u8, "/"u8));
        Assert.IsFalse(ExportBoundary.IsBelow(""u8, ""u8));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("..")]
    [DataRow(".")]
    [DataRow("")]
    [DataRow("/")]
    [DataRow("a/b")]
    [DataRow("../outside/secret")]
    [DataRow("/etc/passwd")]
    [DataRow("a\0b")]
    public void EveryCall_NameThatIsNoComponent_Refused(string name)
    {
        using PeerExport export = WithSecret();
        Directory.CreateDirectory(export.In("a"));
        File.WriteAllText(export.In("f"), "x");
        ulong file = export.Lookup("f").nodeid;
        const ulong root = PeerExport.RootId;
        string before = HostState(export);
        Assert.AreEqual(-errno.EINVAL, export.TryLookup(root, name, out _));
        Assert.AreEqual(-errno.EINVAL, export.MkDir(root, name, 0x1ff, out _));
        Assert.AreEqual(-errno.EINVAL, export.MkNod(root, name, stat.S_IFREG, 0, out _));
        Assert.AreEqual(-errno.EINVAL, export.SymLink(root, name, "x", out _));
        Assert.AreEqual(-errno.EINVAL, export.Create(root, name, fcntl.O_RDWR, 0x1ff, out _, out _));
        Assert.AreEqual(-errno.EINVAL, export.Link(file, root, name, out _));
        Assert.AreEqual(-errno.EINVAL, export.Unlink(root, name));
        Assert.AreEqual(-errno.EINVAL, export.RmDir(root, name));
        Assert.AreEqual(-errno.EINVAL, export.Rename(root, name, root, "t"));
        Assert.AreEqual(-errno.EINVAL, export.Rename(root, "f", root, name));
        Assert.AreEqual(before, HostState(export));
    }

    [TestMethod]
    [TestCategory("root")]
    public void SymLink_ToOutside_IsAFileThatNothingFollows()
    {
        using PeerExport export = WithSecret();
        const ulong root = PeerExport.RootId;
        Assert.AreEqual(0, export.SymLink(root, "file", export.Out("secret"), out fuse_entry_out file));
        Assert.AreEqual(0, export.SymLink(root, "folder", export.Outside, out fuse_entry_out folder));
        statx before = PeerExport.HostStatus(export.Out("secret"));
        Assert.AreEqual(stat.S_IFLNK, file.attr.mode & stat.S_IFMT);
        Assert.AreEqual(-errno.ELOOP, export.Open(file.nodeid, fcntl.O_RDONLY, out _));
        Assert.AreEqual(-errno.ELOOP, export.Create(root, "file", fcntl.O_RDWR, 0x1ff, out _, out _));
        Assert.AreEqual(-errno.ENOTDIR, export.OpenDir(folder.nodeid, out _));
        Assert.AreEqual(-errno.ENOTDIR, export.TryLookup(folder.nodeid, "secret", out _));
        Assert.AreEqual(-errno.ENOTDIR, export.MkDir(folder.nodeid, "made", 0x1ff, out _));
        Assert.AreEqual(-errno.EINVAL, export.SetAttr(file.nodeid, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE }, out _));
        _ = export.SetAttr(file.nodeid, new fuse_setattr_in { valid = FuseConstants.FATTR_MODE, mode = 0x1ff }, out _);
        Assert.AreEqual(0, export.SetAttr(file.nodeid, new fuse_setattr_in { valid = FuseConstants.FATTR_UID, uid = 77 }, out fuse_attr owned));
        Assert.AreEqual(0, export.SetAttr(file.nodeid, new fuse_setattr_in { valid = FuseConstants.FATTR_MTIME, mtime = 5 }, out fuse_attr timed));
        Assert.AreEqual((77u, 5UL), (owned.uid, timed.mtime));
        _ = export.SetXAttr(file.nodeid, "trusted.mark", "1"u8);
        Assert.AreEqual(0, export.Link(file.nodeid, root, "again", out fuse_entry_out again));
        Assert.AreEqual(file.nodeid, again.nodeid);
        statx after = PeerExport.HostStatus(export.Out("secret"));
        Assert.AreEqual((before.stx_mode, before.stx_uid, before.stx_mtime.tv_sec, before.stx_nlink), (after.stx_mode, after.stx_uid, after.stx_mtime.tv_sec, after.stx_nlink));
        Assert.AreEqual(before.stx_ctime, after.stx_ctime);
    }

    [TestMethod]
    [TestCategory("root")]
    public void MagicLink_OfProc_IsNotFollowed()
    {
        using var export = new PeerExport(o => o with { Root = "/proc/self" });
        fuse_entry_out root = export.Lookup("root");
        Assert.AreEqual(stat.S_IFLNK, root.attr.mode & stat.S_IFMT);
        Assert.AreEqual(-errno.ENOTDIR, export.TryLookup(root.nodeid, "etc", out _));
        Assert.AreEqual(-errno.ELOOP, export.Open(export.Lookup("exe").nodeid, fcntl.O_RDONLY, out _));
        Assert.AreEqual(-errno.ENOTDIR, export.OpenDir(export.Lookup("cwd").nodeid, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void DirectoryMovedOut_NextOperation_IsStale()
    {
        using PeerExport export = WithSecret();
        Directory.CreateDirectory(export.In("d/sub"));
        File.WriteAllText(export.In("d/f"), "x");
        ulong d = export.Lookup("d").nodeid;
        ulong sub = export.Lookup("d/sub").nodeid;
        ulong f = export.Lookup("d/f").nodeid;
        Assert.AreEqual(0, export.OpenDir(d, out ulong list));
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDWR, out ulong open));
        Directory.Move(export.In("d"), export.Out("d"));
        File.WriteAllText(export.Out("d/new"), "host's");
        string before = HostState(export);

        const ulong root = PeerExport.RootId;
        byte[] buffer = new byte[4096];
        Assert.AreEqual(-errno.ESTALE, export.TryLookup(d, "new", out _));
        Assert.AreEqual(-errno.ESTALE, export.TryLookup(d, "absent", out _));
        Assert.AreEqual(-errno.ESTALE, export.TryLookup(sub, "absent", out _));
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(d, out _));
        Assert.AreEqual(-errno.ESTALE, export.Open(f, fcntl.O_RDONLY, out _));
        Assert.AreEqual(-errno.ESTALE, export.OpenDir(sub, out _));
        Assert.AreEqual(-errno.ESTALE, export.ReadDir(d, list, 0, plus: false, buffer, out _));
        Assert.AreEqual(-errno.ESTALE, export.ReadDir(d, list, 0, plus: true, buffer, out _));
        Assert.AreEqual(-errno.ESTALE, export.SetAttr(f, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE }, out _));
        Assert.AreEqual(-errno.ESTALE, export.MkDir(d, "made", 0x1ff, out _));
        Assert.AreEqual(-errno.ESTALE, export.MkNod(d, "made", stat.S_IFREG, 0, out _));
        Assert.AreEqual(-errno.ESTALE, export.Create(d, "made", fcntl.O_RDWR, 0x1ff, out _, out _));
        Assert.AreEqual(-errno.ESTALE, export.TmpFile(d, fcntl.O_RDWR, 0x1ff, out _, out _));
        Assert.AreEqual(-errno.ESTALE, export.SymLink(d, "made", "x", out _));
        Assert.AreEqual(-errno.ESTALE, export.Unlink(d, "new"));
        Assert.AreEqual(-errno.ESTALE, export.RmDir(d, "sub"));
        Assert.AreEqual(-errno.ESTALE, export.Rename(d, "new", root, "stolen"));
        Assert.AreEqual(-errno.ESTALE, export.Rename(root, "inside", d, "pushed"));
        Assert.AreEqual(-errno.ESTALE, export.Link(f, root, "link", out _));
        Assert.AreEqual(-errno.ESTALE, export.GetXAttr(f, "user.x", buffer));
        Assert.AreEqual(-errno.ESTALE, export.SetXAttr(f, "user.x", "1"u8));
        Assert.AreEqual(-errno.ESTALE, export.ListXAttr(f, buffer));
        Assert.AreEqual(-errno.ESTALE, export.RemoveXAttr(f, "user.x"));
        Assert.AreEqual(-errno.ESTALE, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.StatX(caller, d, default, out _)));
        Assert.AreEqual(-errno.ESTALE, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.StatFs(caller, d, out _)));
        Assert.AreEqual(-errno.ESTALE, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.Access(caller, f, 0)));
        Assert.AreEqual(-errno.ESTALE, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.FSyncDir(caller, d, new fuse_fsync_in { fh = list })));
        Assert.AreEqual(before, HostState(export));

        // A file that is open stays so, as for a process of the host, with what fstat(2) says; and what comes back is back.
        Assert.AreEqual(1, export.Read(f, open, 0, buffer));
        Assert.AreEqual(0, export.GetAttr(f, out _));
        Assert.AreEqual(0, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.StatX(caller, f, default, out _)));
        Assert.AreEqual(0, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.Release(caller, f, new fuse_release_in { fh = open })));
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(f, out _));
        Assert.AreEqual(-errno.ESTALE, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.StatX(caller, f, default, out _)));
        Directory.Move(export.Out("d"), export.In("d"));
        Assert.AreEqual(0, export.TryLookup(d, "new", out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void RootRenamed_StaysTheExport_AndItsOldNeighboursStayOutside()
    {
        using PeerExport export = WithSecret();
        Directory.CreateDirectory(export.In("d"));
        ulong d = export.Lookup("d").nodeid;
        string moved = export.Root + " (deleted)";
        Directory.Move(export.Root, moved);
        Assert.AreEqual(0, export.GetAttr(d, out _), "a living root whose name ends like a deleted one");
        Directory.CreateDirectory(export.Root);
        Directory.Move(Path.Combine(moved, "d"), export.In("d"));
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(d, out _), "the root's old path is not the export");
        Directory.Move(export.In("d"), moved + "X");
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(d, out _), "a sibling whose name begins like the root's");
    }

    [TestMethod]
    [TestCategory("root")]
    public void RootRemoved_ANewDirectoryOfThatText_IsNotTheExport()
    {
        using PeerExport export = new();
        Directory.CreateDirectory(export.In("d"));
        ulong d = export.Lookup("d").nodeid;
        Directory.Move(export.In("d"), export.Out("d"));
        Directory.Delete(export.Root);
        Directory.CreateDirectory(export.Root + " (deleted)");
        Directory.Move(export.Out("d"), export.Root + " (deleted)/d");
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(d, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void DeletedFile_StillInside_AnswersByNodeAndHandle()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f (deleted)"), "abc");
        ulong f = export.Lookup("f (deleted)").nodeid;
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDWR, out ulong handle));
        File.Delete(export.In("f (deleted)"));
        Assert.AreEqual(0, export.GetAttr(f, out fuse_attr attr));
        Assert.AreEqual(0u, attr.nlink);
        Assert.AreEqual(0, export.GetAttr(f, out _, handle));
        Assert.AreEqual(0, export.SetAttr(f, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE | FuseConstants.FATTR_FH, fh = handle, size = 1 }, out attr));
        Assert.AreEqual(1UL, attr.size);
    }

    [TestMethod]
    [TestCategory("root")]
    public void HardLinkMovedOut_LookedUpInside_IsRefreshed()
    {
        using PeerExport export = WithSecret();
        File.WriteAllText(export.In("a"), "x");
        ulong node = export.Lookup("a").nodeid;
        Assert.AreEqual(0, export.Link(node, PeerExport.RootId, "b", out _));
        File.Move(export.In("a"), export.Out("a"));
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(node, out _));
        Assert.AreEqual(node, export.Lookup("b").nodeid);
        Assert.AreEqual(0, export.GetAttr(node, out _));
        Assert.AreEqual(0, export.Open(node, fcntl.O_RDONLY, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ForgedNodesAndHandles_EveryCall_StaleOrBad() => Prop.ForAll<ulong, ulong, int>((a, b, shift) =>
    {
        ulong forged = (a << (shift & 63)) ^ b;
        PeerExport export = s_shared!;
        if (forged == PeerExport.RootId)
        {
            return true;
        }

        byte[] buffer = new byte[64];
        return export.GetAttr(forged, out _) == -errno.ESTALE
            && export.TryLookup(forged, "f", out _) == -errno.ESTALE
            && export.Open(forged, fcntl.O_RDONLY, out _) == -errno.ESTALE
            && export.MkDir(forged, "x", 0x1ff, out _) == -errno.ESTALE
            && export.Unlink(forged, "f") == -errno.ESTALE
            && export.Read(PeerExport.RootId, forged, 0, buffer) == -errno.EBADF
            && export.Write(PeerExport.RootId, forged, 0, buffer) == -errno.EBADF
            && export.ReadDir(PeerExport.RootId, forged, 0, plus: true, buffer, out _) == -errno.EBADF
            && export.Release(PeerExport.RootId, forged) == -errno.EBADF;
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("root")]
    public void ReusedSlot_OldIdsOfNodeAndHandle_AreRefused()
    {
        using PeerExport export = WithSecret();
        File.WriteAllText(export.In("a"), "a");
        File.WriteAllText(export.In("b"), "b");
        ulong old = export.Lookup("a").nodeid;
        Assert.AreEqual(0, export.Open(old, fcntl.O_RDONLY, out ulong oldHandle));
        Assert.AreEqual(0, export.Release(old, oldHandle));
        Assert.AreEqual(-errno.EBADF, export.Release(old, oldHandle), "twice");
        export.FileSystem.Forget(old, 1);
        ulong fresh = export.Lookup("b").nodeid;
        Assert.AreEqual((uint)old, (uint)fresh, "the slot is used again");
        Assert.AreEqual(0, export.Open(fresh, fcntl.O_RDONLY, out ulong handle));
        Assert.AreEqual((uint)oldHandle, (uint)handle);
        byte[] buffer = new byte[8];
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(old, out _));
        Assert.AreEqual(-errno.EBADF, export.Read(fresh, oldHandle, 0, buffer));
        Assert.AreEqual(-errno.EBADF, export.Read(old, handle, 0, buffer), "a handle of another node");
        Assert.AreEqual(-errno.EBADF, export.ReadDir(fresh, handle, 0, plus: false, buffer, out _), "a handle of another kind");
        Assert.AreEqual(1, export.Read(fresh, handle, 0, buffer));
    }

    [TestMethod]
    [TestCategory("root")]
    public void SpecialFiles_Open_RefusedWithoutBlocking()
    {
        using var export = new PeerExport(o => o with { AllowDeviceNodes = true });
        const ulong root = PeerExport.RootId;
        foreach ((string name, uint type, uint device) in (ReadOnlySpan<(string, uint, uint)>)[("fifo", stat.S_IFIFO, 0), ("socket", stat.S_IFSOCK, 0), ("null", stat.S_IFCHR, 0x103), ("loop", stat.S_IFBLK, 0x700)])
        {
            Assert.AreEqual(0, export.MkNod(root, name, type | 0x1b6, device, out fuse_entry_out entry), name);
            Assert.AreEqual((type, device), (entry.attr.mode & stat.S_IFMT, entry.attr.rdev));
            Assert.AreEqual(-errno.ENXIO, export.Open(entry.nodeid, fcntl.O_WRONLY, out _), name);
            Assert.AreEqual(-errno.ENXIO, export.Create(root, name, fcntl.O_WRONLY, 0x1b6, out _, out _), name);
            Assert.AreEqual(-errno.EEXIST, export.Create(root, name, fcntl.O_WRONLY | fcntl.O_EXCL, 0x1b6, out _, out _), name);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void DeviceNodes_NotAllowed_OnlyAWhiteoutIsMade()
    {
        using PeerExport export = new();
        Assert.AreEqual(-errno.EPERM, export.MkNod(PeerExport.RootId, "c", stat.S_IFCHR, 0x103, out _));
        Assert.AreEqual(-errno.EPERM, export.MkNod(PeerExport.RootId, "b", stat.S_IFBLK, 0, out _));
        Assert.AreEqual(0, export.MkNod(PeerExport.RootId, "w", stat.S_IFCHR, 0, out _));
        Assert.AreEqual(-errno.EINVAL, export.MkNod(PeerExport.RootId, "d", stat.S_IFDIR, 0, out _));
    }

    private static PeerExport? s_shared;

    [ClassInitialize]
    public static void MakeShared(TestContext context) => s_shared = WithSecret();

    [ClassCleanup]
    public static void DropShared() => s_shared?.Dispose();

    internal static PeerExport WithSecret() => new(prepare: export =>
    {
        File.WriteAllText(export.Out("secret"), "secret");
        File.WriteAllText(export.In("inside"), "inside");
    });

    private static string HostState(PeerExport export) =>
        string.Join('\n', Directory.GetFileSystemEntries(export.Folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal));
}
