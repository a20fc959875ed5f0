using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

[TestClass]
public sealed class AttributeTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Lookup_File_AnswersTheHostsAttributesAndTimeouts()
    {
        using var export = new PeerExport(o => o with { EntryTimeout = TimeSpan.FromMilliseconds(1500), AttributeTimeout = TimeSpan.FromMilliseconds(250) });
        File.WriteAllText(export.In("f"), "hello");
        PeerExport.Mode(export.In("f"), 0x9a4);
        PeerExport.HostOwner(export.In("f"), 12, 34);
        PeerExport.Mode(export.In("f"), 0x9a4);
        fuse_entry_out entry = export.Lookup("f");
        statx host = PeerExport.HostStatus(export.In("f"));
        Assert.AreEqual((1UL, 500_000_000u, 0UL, 250_000_000u), (entry.entry_valid, entry.entry_valid_nsec, entry.attr_valid, entry.attr_valid_nsec));
        fuse_attr attr = entry.attr;
        Assert.AreEqual((host.stx_ino, 5UL, host.stx_blocks, (uint)host.stx_mode, 1u), (attr.ino, attr.size, attr.blocks, attr.mode, attr.nlink));
        Assert.AreEqual((12u, 34u, host.stx_blksize), (attr.uid, attr.gid, attr.blksize));
        Assert.AreEqual(((ulong)host.stx_mtime.tv_sec, host.stx_mtime.tv_nsec), (attr.mtime, attr.mtimensec));
        Assert.AreEqual(((ulong)host.stx_ctime.tv_sec, host.stx_ctime.tv_nsec), (attr.ctime, attr.ctimensec));
        Assert.AreEqual(0, export.GetAttr(PeerExport.RootId, out fuse_attr root));
        Assert.AreEqual(PeerExport.HostStatus(export.Root).stx_ino, root.ino);
        Assert.AreEqual(-errno.ENOENT, export.TryLookup(PeerExport.RootId, "absent", out _));
        Assert.AreEqual(-errno.ENOTDIR, export.TryLookup(entry.nodeid, "x", out _));
        Assert.AreEqual(-errno.ENAMETOOLONG, export.TryLookup(PeerExport.RootId, new string('n', 256), out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Socket_Entry_IsNeverCached()
    {
        using var export = new PeerExport(o => o with { EntryTimeout = TimeSpan.FromSeconds(9) });
        Assert.AreEqual(0, export.MkNod(PeerExport.RootId, "s", stat.S_IFSOCK | 0x1ff, 0, out fuse_entry_out entry));
        Assert.AreEqual(0UL, entry.entry_valid);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SetAttr_EachField_ChangesTheHostsFileAndNoOther()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "hello");
        ulong node = export.Lookup("f").nodeid;
        Assert.AreEqual(0, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_UID, uid = 7, gid = 8, mode = 1, size = 1 }, out fuse_attr attr));
        Assert.AreEqual((7u, 0u, 5UL), (attr.uid, attr.gid, attr.size));
        Assert.AreEqual(0, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_GID, gid = 8 }, out attr));
        Assert.AreEqual((7u, 8u), (attr.uid, attr.gid));
        Assert.AreEqual(0, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_MODE | FuseConstants.FATTR_UID | FuseConstants.FATTR_CTIME, uid = 9, mode = stat.S_IFREG | 0x9ed, ctime = 1 }, out attr));
        Assert.AreEqual((9u, stat.S_IFREG | 0x9edu), (attr.uid, attr.mode), "the mode comes after the owner, which takes set-id bits away");
        Assert.AreNotEqual(1UL, attr.ctime);
        Assert.AreEqual(0, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE, size = 3 }, out attr));
        Assert.AreEqual("hel", File.ReadAllText(export.In("f")));
        Assert.AreEqual(0, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_ATIME, atime = 100, atimensec = 5, mtime = 9 }, out attr));
        Assert.AreEqual((100UL, 5u), (attr.atime, attr.atimensec));
        Assert.AreNotEqual(9UL, attr.mtime);
        Assert.AreEqual(0, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_MTIME, mtime = unchecked((ulong)-5), mtimensec = 7 }, out attr));
        Assert.AreEqual((100UL, unchecked((ulong)-5), 7u), (attr.atime, attr.mtime, attr.mtimensec), "before 1970");
        ulong start = PeerExport.HostStatus(export.Root).stx_mtime.tv_sec > 0 ? 1_000_000_000UL : 0;
        Assert.AreEqual(0, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_MTIME_NOW | FuseConstants.FATTR_ATIME_NOW }, out attr));
        Assert.IsTrue(attr.atime > start && attr.mtime > start && attr.mtime < 1UL << 40);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SetAttr_BadValues_Refused()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "hello");
        Directory.CreateDirectory(export.In("d"));
        ulong node = export.Lookup("f").nodeid;
        ulong folder = export.Lookup("d").nodeid;
        Assert.AreEqual(-errno.EINVAL, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_MTIME, mtimensec = 1_000_000_000 }, out _));
        Assert.AreEqual(-errno.EINVAL, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_ATIME, atimensec = (1 << 30) - 1 }, out _), "UTIME_NOW is the host's, not the wire's");
        Assert.AreEqual(-errno.EFBIG, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE, size = ulong.MaxValue }, out _));
        Assert.AreEqual(-errno.EISDIR, export.SetAttr(folder, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE, size = 1 }, out _));
        Assert.AreEqual(-errno.EPERM, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_UID, uid = uint.MaxValue }, out _));
        Assert.AreEqual(-errno.EBADF, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE | FuseConstants.FATTR_FH, fh = 0 }, out _), "handle 0 is not stdin");
        Assert.AreEqual(-errno.EBADF, export.GetAttr(node, out _, handle: 0));
        Assert.AreEqual("hello", File.ReadAllText(export.In("f")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void SetAttr_KillSuidGid_TakesSetIdBits()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "hello");
        PeerExport.Mode(export.In("f"), 0xded);
        ulong node = export.Lookup("f").nodeid;
        Assert.AreEqual(0, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE, size = 2 }, out fuse_attr attr));
        Assert.AreEqual(0xdedu, attr.mode & 0xfff, "the agent may keep them");
        Assert.AreEqual(0, export.SetAttr(node, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE | FuseConstants.FATTR_KILL_SUIDGID, size = 1 }, out attr));
        Assert.AreEqual(0x1edu, attr.mode & 0xfff);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Access_EveryMode_AsTheHostSays()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "x");
        PeerExport.Mode(export.In("f"), 0x1c4);
        ulong node = export.Lookup("f").nodeid;
        int Access(uint mask) => export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.Access(caller, node, mask));
        Assert.AreEqual(0, Access(7));
        (export.Uid, export.Gid) = (1234, 1234);
        Assert.AreEqual(0, Access(4));
        Assert.AreEqual(-errno.EACCES, Access(2));
        Assert.AreEqual(-errno.EACCES, Access(1));
        Assert.AreEqual(-errno.EINVAL, Access(8));
    }

    [TestMethod]
    [TestCategory("root")]
    public void StatFs_Root_IsTheHosts()
    {
        using PeerExport export = new();
        fuse_statfs_out reply = default;
        Assert.AreEqual(0, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.StatFs(caller, PeerExport.RootId, out reply)));
        var drive = new DriveInfo(export.Root);
        Assert.AreEqual((ulong)drive.TotalSize, reply.st.blocks * reply.st.frsize);
        Assert.AreEqual(255u, reply.st.namelen);
        Assert.IsTrue(reply.st.bfree <= reply.st.blocks && reply.st.bsize > 0);
        Assert.AreEqual(0, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.SyncFs(caller, PeerExport.RootId)));
    }
}
