using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

[TestClass]
public sealed class FileTests
{
    private const ulong Root = PeerExport.RootId;

    [TestMethod]
    [TestCategory("root")]
    public void CreateWriteRead_RoundTrip_SeenByTheHost()
    {
        using PeerExport export = new();
        Assert.AreEqual(0, export.Create(Root, "f", fcntl.O_RDWR | fcntl.O_CREAT, 0x1a4, out fuse_entry_out entry, out ulong handle));
        Assert.AreEqual(5, export.Write(entry.nodeid, handle, 3, "hello"u8));
        Assert.AreEqual("\0\0\0hello", File.ReadAllText(export.In("f")));
        byte[] buffer = new byte[64];
        Assert.AreEqual(8, export.Read(entry.nodeid, handle, 0, buffer));
        Assert.AreEqual(0, export.Read(entry.nodeid, handle, 8, buffer));
        Assert.AreEqual(-errno.EINVAL, export.Read(entry.nodeid, handle, -1, buffer));
        Assert.AreEqual(-errno.EINVAL, export.Write(entry.nodeid, handle, -1, "x"u8));
        Assert.AreEqual(0, export.GetAttr(entry.nodeid, out fuse_attr attr, handle));
        Assert.AreEqual(8UL, attr.size);
        Assert.AreEqual(0, Sync(export, entry.nodeid, handle, 0));
        Assert.AreEqual(0, Sync(export, entry.nodeid, handle, FuseConstants.FUSE_FSYNC_FDATASYNC));
        Assert.AreEqual(0, Flush(export, entry.nodeid, handle));
        Assert.AreEqual(0, export.Release(entry.nodeid, handle));
        Assert.AreEqual(-errno.EBADF, Flush(export, entry.nodeid, handle));
        Assert.AreEqual(-errno.EBADF, Sync(export, entry.nodeid, handle, 0));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ScatteredPieces_ReadAndWritten_InOrder()
    {
        using PeerExport export = new();
        Assert.AreEqual(0, export.Create(Root, "f", fcntl.O_RDWR, 0x1a4, out fuse_entry_out entry, out ulong handle));
        int done = export.Call((PassthroughFileSystem fs, in FuseCaller caller) =>
        {
            unsafe
            {
                byte* bytes = stackalloc byte[6] { 1, 2, 3, 4, 5, 6 };
                iovec* pieces = stackalloc iovec[2];
                pieces[0] = new iovec { iov_base = bytes + 4, iov_len = 2 };
                pieces[1] = new iovec { iov_base = bytes, iov_len = 4 };
                return fs.Write(caller, entry.nodeid, new fuse_write_in { fh = handle, size = 6 }, pieces, 2);
            }
        });
        Assert.AreEqual(6, done);
        CollectionAssert.AreEqual((byte[])[5, 6, 1, 2, 3, 4], File.ReadAllBytes(export.In("f")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Open_EachFlag_AsOnTheHost()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "hello");
        Directory.CreateDirectory(export.In("d"));
        ulong f = export.Lookup("f").nodeid;
        byte[] buffer = new byte[8];
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDONLY, out ulong read));
        Assert.AreEqual(-errno.EBADF, export.Write(f, read, 0, "x"u8));
        Assert.AreEqual(0, export.Open(f, fcntl.O_WRONLY | fcntl.O_APPEND, out ulong append));
        Assert.AreEqual(-errno.EBADF, export.Read(f, append, 0, buffer));
        Assert.AreEqual(1, export.Write(f, append, 0, "!"u8, openFlags: fcntl.O_WRONLY | fcntl.O_APPEND));
        Assert.AreEqual("hello!", File.ReadAllText(export.In("f")), "O_APPEND wins over the offset");
        Assert.AreEqual(1, export.Write(f, append, 0, "J"u8, openFlags: fcntl.O_WRONLY));
        Assert.AreEqual("Jello!", File.ReadAllText(export.In("f")), "fcntl(F_SETFL) has taken O_APPEND away");
        Assert.AreEqual(1, export.Write(f, append, 1, "a"u8, FuseConstants.FUSE_WRITE_CACHE, fcntl.O_WRONLY | fcntl.O_APPEND));
        Assert.AreEqual("Jallo!", File.ReadAllText(export.In("f")), "a page of mmap(2) goes where it lies");
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDWR | fcntl.O_DIRECT, out ulong direct, out uint flags));
        Assert.AreEqual(FuseConstants.FOPEN_DIRECT_IO, flags);
        Assert.AreEqual(3, export.Read(f, direct, 1, buffer.AsSpan(1, 3)), "no alignment is asked of us");
        Assert.AreEqual(0, export.Open(f, fcntl.O_WRONLY | fcntl.O_TRUNC, out _, out flags));
        Assert.AreEqual(0u, flags);
        Assert.AreEqual(0, new FileInfo(export.In("f")).Length);
        Assert.AreEqual(-errno.EINVAL, export.Open(f, fcntl.O_ACCMODE, out _));
        Assert.AreEqual(-errno.EISDIR, export.Open(export.Lookup("d").nodeid, fcntl.O_RDONLY, out _));
        Assert.AreEqual(-errno.ENOTDIR, export.OpenDir(f, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Open_FlagsThatWouldChangeItsMeaning_AreDropped()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "hello");
        ulong f = export.Lookup("f").nodeid;
        byte[] buffer = new byte[8];
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDONLY | fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_ASYNC, out ulong handle));
        Assert.AreEqual(5, export.Read(f, handle, 0, buffer));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Create_ExclusiveOrNot_AsOnTheHost()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "hello");
        Assert.AreEqual(-errno.EEXIST, export.Create(Root, "f", fcntl.O_RDWR | fcntl.O_EXCL, 0x1a4, out _, out _));
        Assert.AreEqual(0, export.Create(Root, "f", fcntl.O_RDWR, 0x1a4, out fuse_entry_out same, out ulong handle));
        Assert.AreEqual(export.Lookup("f").nodeid, same.nodeid);
        byte[] buffer = new byte[8];
        Assert.AreEqual(5, export.Read(same.nodeid, handle, 0, buffer));
        Assert.AreEqual(0, export.Create(Root, "f", fcntl.O_RDWR | fcntl.O_TRUNC, 0x1a4, out _, out _));
        Assert.AreEqual(0, new FileInfo(export.In("f")).Length);
        Assert.AreEqual(0, export.MkDir(Root, "d", 0x1ff, out _));
        Assert.AreEqual(-errno.EISDIR, export.Create(Root, "d", fcntl.O_RDWR, 0x1a4, out _, out _));
        Assert.AreEqual(0, export.Create(Root, "unwritable", fcntl.O_RDWR | fcntl.O_EXCL, 0x100, out _, out _), "a new file's mode does not count for its maker");
    }

    [TestMethod]
    [TestCategory("root")]
    public void TmpFile_ThenLink_GetsAName()
    {
        using PeerExport export = new();
        Assert.AreEqual(0, export.TmpFile(Root, fcntl.O_RDWR, 0x1a4, out fuse_entry_out entry, out ulong handle));
        Assert.AreEqual(0u, entry.attr.nlink);
        Assert.AreEqual(2, export.Write(entry.nodeid, handle, 0, "ab"u8));
        Assert.IsEmpty(Directory.GetFileSystemEntries(export.Root));
        Assert.AreEqual(0, export.Link(entry.nodeid, Root, "named", out fuse_entry_out named));
        Assert.AreEqual(entry.nodeid, named.nodeid);
        Assert.AreEqual("ab", File.ReadAllText(export.In("named")));
        Assert.AreEqual(0, export.TmpFile(Root, fcntl.O_RDWR | fcntl.O_EXCL, 0x1a4, out fuse_entry_out secret, out _));
        Assert.AreEqual(-errno.ENOENT, export.Link(secret.nodeid, Root, "never", out _));
        Assert.AreEqual(-errno.EINVAL, export.TmpFile(Root, fcntl.O_RDONLY, 0x1a4, out _, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Write_KillSuidGid_TakesSetIdBits()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "x");
        PeerExport.Mode(export.In("f"), 0xded);
        ulong f = export.Lookup("f").nodeid;
        Assert.AreEqual(0, export.Open(f, fcntl.O_WRONLY, out ulong handle));
        Assert.AreEqual(1, export.Write(f, handle, 0, "y"u8));
        Assert.AreEqual(0xdedu, PeerExport.HostStatus(export.In("f")).stx_mode & 0xfffu);
        Assert.AreEqual(1, export.Write(f, handle, 0, "y"u8, FuseConstants.FUSE_WRITE_KILL_SUIDGID));
        Assert.AreEqual(0x1edu, PeerExport.HostStatus(export.In("f")).stx_mode & 0xfffu);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SpaceAndHoles_AllocatedFoundAndCopied()
    {
        using PeerExport export = new();
        Assert.AreEqual(0, export.Create(Root, "a", fcntl.O_RDWR, 0x1a4, out fuse_entry_out a, out ulong from));
        Assert.AreEqual(0, export.Create(Root, "b", fcntl.O_RDWR, 0x1a4, out fuse_entry_out b, out ulong to));
        int Allocate(ulong offset, ulong length, int mode) => export.Call((PassthroughFileSystem fs, in FuseCaller caller) =>
            fs.FAllocate(caller, a.nodeid, new fuse_fallocate_in { fh = from, offset = offset, length = length, mode = (uint)mode }));
        Assert.AreEqual(0, Allocate(0, 1 << 20, 0));
        Assert.AreEqual(1 << 20, new FileInfo(export.In("a")).Length);
        Assert.AreEqual(-errno.EFBIG, Allocate(ulong.MaxValue, 1, 0));
        Assert.AreEqual(-errno.EINVAL, Allocate(0, 0, 0));
        Assert.AreEqual(0, export.SetAttr(a.nodeid, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE }, out _));
        Assert.AreEqual(4, export.Write(a.nodeid, from, 1 << 20, "data"u8));
        fuse_lseek_out found = default;
        int Seek(ulong offset, int whence) => export.Call((PassthroughFileSystem fs, in FuseCaller caller) =>
            fs.LSeek(caller, a.nodeid, new fuse_lseek_in { fh = from, offset = offset, whence = (uint)whence }, out found));
        Assert.AreEqual(0, Seek(0, unistd.SEEK_DATA));
        Assert.AreEqual(1UL << 20, found.offset);
        Assert.AreEqual(0, Seek(0, unistd.SEEK_HOLE));
        Assert.AreEqual(0UL, found.offset);
        Assert.AreEqual(-errno.ENXIO, Seek(1UL << 30, unistd.SEEK_DATA));
        Assert.AreEqual(-errno.ENXIO, Seek(ulong.MaxValue, unistd.SEEK_DATA));
        Assert.AreEqual(-errno.EINVAL, Seek(0, unistd.SEEK_END));
        int Copy(ulong handle, ulong length) => export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.CopyFileRange(
            caller, a.nodeid, new fuse_copy_file_range_in { fh_in = from, off_in = 1 << 20, nodeid_out = b.nodeid, fh_out = handle, off_out = 1, len = length }));
        Assert.AreEqual(4, Copy(to, ulong.MaxValue));
        Assert.AreEqual("\0data", File.ReadAllText(export.In("b")));
        Assert.AreEqual(-errno.EBADF, Copy(from, 4), "the target's handle must be of the target's node");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ReadOnly_EveryChange_IsErofsAndNothingChanges()
    {
        using var export = new PeerExport(o => o with { ReadOnly = true }, e =>
        {
            File.WriteAllText(e.In("f"), "hello");
            Directory.CreateDirectory(e.In("d"));
        });
        ulong f = export.Lookup("f").nodeid;
        const int refused = -errno.EROFS;
        Assert.AreEqual(refused, export.MkDir(Root, "x", 0x1ff, out _));
        Assert.AreEqual(refused, export.MkNod(Root, "x", stat.S_IFREG, 0, out _));
        Assert.AreEqual(refused, export.SymLink(Root, "x", "y", out _));
        Assert.AreEqual(refused, export.Create(Root, "x", fcntl.O_RDONLY, 0x1ff, out _, out _));
        Assert.AreEqual(refused, export.TmpFile(Root, fcntl.O_RDWR, 0x1ff, out _, out _));
        Assert.AreEqual(refused, export.Link(f, Root, "x", out _));
        Assert.AreEqual(refused, export.Unlink(Root, "f"));
        Assert.AreEqual(refused, export.RmDir(Root, "d"));
        Assert.AreEqual(refused, export.Rename(Root, "f", Root, "g"));
        Assert.AreEqual(refused, export.Open(f, fcntl.O_WRONLY, out _));
        Assert.AreEqual(refused, export.Open(f, fcntl.O_RDWR, out _));
        Assert.AreEqual(refused, export.Open(f, fcntl.O_RDONLY | fcntl.O_TRUNC, out _));
        Assert.AreEqual(refused, export.SetAttr(f, new fuse_setattr_in { valid = FuseConstants.FATTR_MODE, mode = 0 }, out _));
        Assert.AreEqual(refused, export.SetXAttr(f, "user.x", "1"u8));
        Assert.AreEqual(refused, export.RemoveXAttr(f, "user.x"));
        Assert.AreEqual(refused, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.FAllocate(caller, f, default)));
        Assert.AreEqual(refused, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.CopyFileRange(caller, f, default)));
        Assert.AreEqual(refused, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.Access(caller, f, unistd.W_OK)));

        // Reading leaves no trace either: an old access time would be renewed (relatime).
        Assert.AreEqual(0, Touch(export.In("f")));
        Assert.AreEqual(0, export.Open(f, fcntl.O_RDONLY, out ulong handle));
        byte[] buffer = new byte[8];
        Assert.AreEqual(5, export.Read(f, handle, 0, buffer));
        Assert.AreEqual(-errno.EBADF, export.Write(f, handle, 0, "x"u8));
        Assert.AreEqual(100L, PeerExport.HostStatus(export.In("f")).stx_atime.tv_sec);
        Assert.AreEqual("hello", File.ReadAllText(export.In("f")));
        Assert.HasCount(4, export.List(Root, plus: true));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ReadOnly_SquashedReaderOfAnothersFile_StillReads()
    {
        // O_NOATIME is the owner's; the second attempt without it must work.
        using var export = new PeerExport(o => o with { ReadOnly = true, Identity = IdentityPolicy.RootSquashing }, e => File.WriteAllText(e.In("f"), "hello"));
        PeerExport.Mode(export.In("f"), 0x1a4);
        Assert.AreEqual(0, export.Open(export.Lookup("f").nodeid, fcntl.O_RDONLY, out _));
    }

    private static int Sync(PeerExport export, ulong node, ulong handle, uint flags) =>
        export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.FSync(caller, node, new fuse_fsync_in { fh = handle, fsync_flags = flags }));

    private static int Flush(PeerExport export, ulong node, ulong handle) =>
        export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.Flush(caller, node, new fuse_flush_in { fh = handle }));

    private static unsafe int Touch(string path)
    {
        timespec* times = stackalloc timespec[2];
        times[0].tv_sec = times[1].tv_sec = 100;
        fixed (byte* text = PeerExport.Bytes(path + '\0'))
        {
            return LibC.Result(LibC.utimensat(fcntl.AT_FDCWD, text, times, 0));
        }
    }
}
