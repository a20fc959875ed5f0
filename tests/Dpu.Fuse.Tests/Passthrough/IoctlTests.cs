using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>ioctl(2): four numbers with their sizes reach the host's file system, no other one does.</summary>
[TestClass]
public sealed class IoctlTests
{
    private const uint FS_NODUMP_FL = 0x40;
    private const uint FS_IMMUTABLE_FL = 0x10;
    private static readonly uint[] Listed = [linux_fs.FS_IOC_GETFLAGS, linux_fs.FS_IOC_SETFLAGS, linux_fs.FS_IOC_FSGETXATTR, linux_fs.FS_IOC_FSSETXATTR];

    [TestMethod]
    [TestCategory("root")]
    public void Flags_OfFileAndDirectory_AreReadAndChanged()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "");
        Directory.CreateDirectory(export.In("d"));
        ulong f = export.Lookup("f").nodeid;
        ulong d = export.Lookup("d").nodeid;
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDONLY, out ulong file));
        Assert.AreEqual(0, export.OpenDir(d, out ulong directory));
        foreach ((ulong node, ulong handle, uint kind) in new[] { (f, file, 0u), (d, directory, FuseConstants.FUSE_IOCTL_DIR) })
        {
            byte[] flags = new byte[4];
            Assert.AreEqual(4, Call(export, node, handle, linux_fs.FS_IOC_GETFLAGS, kind, [], flags));
            byte[] changed = BitConverter.GetBytes(BitConverter.ToUInt32(flags) | FS_NODUMP_FL);
            Assert.AreEqual(0, Call(export, node, handle, linux_fs.FS_IOC_SETFLAGS, kind, changed, []));
            Assert.AreEqual(4, Call(export, node, handle, linux_fs.FS_IOC_GETFLAGS, kind, [], flags));
            CollectionAssert.AreEqual(changed, flags);
            byte[] all = new byte[28];
            Assert.AreEqual(28, Call(export, node, handle, linux_fs.FS_IOC_FSGETXATTR, kind, [], all));
            Assert.AreEqual(0x80u, BitConverter.ToUInt32(all) & 0x80, "FS_XFLAG_NODUMP");
            BitConverter.TryWriteBytes(all, BitConverter.ToUInt32(all) & ~0x80u);
            Assert.AreEqual(0, Call(export, node, handle, linux_fs.FS_IOC_FSSETXATTR, kind, all, []));
            Assert.AreEqual(4, Call(export, node, handle, linux_fs.FS_IOC_GETFLAGS, kind, [], flags));
            Assert.AreEqual(0u, BitConverter.ToUInt32(flags) & FS_NODUMP_FL);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void EveryOtherNumber_IsNotPassedOn()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "content");
        ulong f = export.Lookup("f").nodeid;
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDWR, out ulong handle));
        byte[] input = new byte[28];
        byte[] output = new byte[28];

        // FIBMAP, FIGETBSZ, FIFREEZE, FITHAW, FITRIM, FICLONE, FIDEDUPERANGE, FIONREAD, FS_IOC_GETVERSION, FS_IOC_SETVERSION,
        // FS_IOC_GETFSLABEL, FS_IOC_FIEMAP, FS_IOC_ENABLE_VERITY, FS_IOC_SET_ENCRYPTION_POLICY, EXT4_IOC_MIGRATE,
        // EXT4_IOC_SHUTDOWN, EXT4_IOC_SWAP_BOOT, BLKDISCARD, TCGETS; then the neighbours of those that are listed.
        uint[] numbers =
        [
            1, 2, 0xC0045877, 0xC0045878, 0xC0185879, 0x40049409, 0xC0189436, 0x541B, 0x80087601, 0x40087602, 0x81009431, 0xC020660B,
            0x40806685, 0x800C6613, 0x6609, 0x8004587D, 0x6611, 0x1277, 0x5401, 0, uint.MaxValue,
            .. Listed.SelectMany(number => new[] { number - 1, number + 1, number ^ 0x10000, number ^ 0x80000000 }).Except(Listed),
        ];
        foreach (uint number in numbers)
        {
            Assert.AreEqual(-errno.ENOTTY, Call(export, f, handle, number, 0, input, output), $"{number:x}");
        }

        Assert.AreEqual("content", File.ReadAllText(export.In("f")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void WrongSizesAndForgedHandles_AreRefused()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "");
        File.WriteAllText(export.In("g"), "");
        ulong f = export.Lookup("f").nodeid;
        ulong g = export.Lookup("g").nodeid;
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDONLY, out ulong handle));
        foreach (int size in new[] { 0, 3, 5, 8, 27, 29, 4096 })
        {
            byte[] data = new byte[size];
            foreach (uint number in Listed)
            {
                Assert.AreEqual(-errno.EINVAL, Call(export, f, handle, number, 0, data, data), $"{number:x} with {size} bytes");
            }
        }

        byte[] flags = new byte[4];
        Assert.AreEqual(-errno.EBADF, Call(export, g, handle, linux_fs.FS_IOC_GETFLAGS, 0, [], flags), "of another node");
        Assert.AreEqual(-errno.EBADF, Call(export, f, handle + 1, linux_fs.FS_IOC_GETFLAGS, 0, [], flags), "never given");
        Assert.AreEqual(-errno.EBADF, Call(export, f, handle, linux_fs.FS_IOC_GETFLAGS, FuseConstants.FUSE_IOCTL_DIR, [], flags), "no directory's");
        Assert.AreEqual(0, export.Release(f, handle));
        Assert.AreEqual(-errno.EBADF, Call(export, f, handle, linux_fs.FS_IOC_SETFLAGS, 0, flags, []), "given back");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Changes_AreRefusedInAReadOnlyExport_OutsideOfIt_AndToStrangers()
    {
        byte[] flags = new byte[4];
        using (var readOnly = new PeerExport(o => o with { ReadOnly = true }, prepare: e => File.WriteAllText(e.In("f"), "")))
        {
            ulong node = readOnly.Lookup("f").nodeid;
            Assert.AreEqual(0, readOnly.Open(node, fcntl.O_RDONLY, out ulong open));
            Assert.AreEqual(4, Call(readOnly, node, open, linux_fs.FS_IOC_GETFLAGS, 0, [], flags));
            Assert.AreEqual(-errno.EROFS, Call(readOnly, node, open, linux_fs.FS_IOC_SETFLAGS, 0, flags, []));
            Assert.AreEqual(-errno.EROFS, Call(readOnly, node, open, linux_fs.FS_IOC_FSSETXATTR, 0, new byte[28], []));
        }

        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "");
        PeerExport.HostOwner(export.In("f"), 1000, 1000);
        PeerExport.Mode(export.In("f"), 0x1b6);
        ulong f = export.Lookup("f").nodeid;
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDONLY, out ulong handle));
        Assert.AreEqual(4, Call(export, f, handle, linux_fs.FS_IOC_GETFLAGS, 0, [], flags));
        byte[] immutable = BitConverter.GetBytes(BitConverter.ToUInt32(flags) | FS_IMMUTABLE_FL);
        (export.Uid, export.Gid) = (1001, 1001);
        Assert.AreEqual(-errno.EPERM, Call(export, f, handle, linux_fs.FS_IOC_SETFLAGS, 0, flags, []), "a stranger");
        (export.Uid, export.Gid) = (1000, 1000);
        Assert.AreEqual(-errno.EPERM, Call(export, f, handle, linux_fs.FS_IOC_SETFLAGS, 0, immutable, []), "the owner, root's flag");
        Assert.AreEqual(0, Call(export, f, handle, linux_fs.FS_IOC_SETFLAGS, 0, flags, []), "the owner");
        File.Move(export.In("f"), export.Out("f"));
        Assert.AreEqual(-errno.ESTALE, Call(export, f, handle, linux_fs.FS_IOC_SETFLAGS, 0, flags, []));
        Assert.AreEqual(-errno.ESTALE, Call(export, f, handle, linux_fs.FS_IOC_GETFLAGS, 0, [], flags));
    }

    private static int Call(PeerExport export, ulong node, ulong handle, uint number, uint flags, byte[] input, byte[] output)
    {
        var request = new fuse_ioctl_in { fh = handle, cmd = number, flags = flags, in_size = (uint)input.Length, out_size = (uint)output.Length };
        return export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.Ioctl(caller, node, request, input, output, out _));
    }
}
