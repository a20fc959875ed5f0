using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>
/// An exported temporary directory (<see cref="Root"/>) beside one that is not (<see cref="Outside"/>), and a peer that
/// calls the file system. The calls run on whichever thread, which is the daemon itself again after each.
/// </summary>
internal sealed unsafe class PeerExport : IDisposable
{
    public const ulong RootId = 1;
    private readonly string _folder = Directory.CreateTempSubdirectory("dpu-export-").FullName;

    public PeerExport(Func<PassthroughOptions, PassthroughOptions>? configure = null, Action<PeerExport>? prepare = null)
    {
        Root = Path.Combine(_folder, "export");
        Outside = Path.Combine(_folder, "outside");
        Directory.CreateDirectory(Root);
        Directory.CreateDirectory(Outside);

        // mkdtemp makes it 0700, which would keep other users away from what the tests let them reach.
        foreach (string folder in (string[])[_folder, Root, Outside])
        {
            Mode(folder, 0x1ed);
        }

        prepare?.Invoke(this);
        var options = new PassthroughOptions { Root = Root, Identity = IdentityPolicy.Trusting };
        FileSystem = new PassthroughFileSystem(configure?.Invoke(options) ?? options);
    }

    public PassthroughFileSystem FileSystem { get; }

    public string Root { get; set; }

    public string Outside { get; }

    public string Folder => _folder;

    public uint Uid { get; set; }

    public uint Gid { get; set; }

    public uint[] Groups { get; set; } = [];

    private FuseCaller Caller => new() { Uid = Uid, Gid = Gid, SupplementaryGroups = Groups };

    public static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    /// <summary>chmod without the umask of this thread.</summary>
    public static void Mode(string path, uint mode)
    {
        fixed (byte* text = Bytes(path + '\0'))
        {
            Assert.AreEqual(0, LibC.Result(LibC.fchmodat(fcntl.AT_FDCWD, text, mode, 0)), path);
        }
    }

    public static statx HostStatus(string path)
    {
        statx status;
        fixed (byte* text = Bytes(path + '\0'))
        {
            int error = LibC.Result(LibC.statx(fcntl.AT_FDCWD, text, fcntl.AT_SYMLINK_NOFOLLOW, stat.STATX_BASIC_STATS, &status));
            Assert.AreEqual(0, error, path);
        }

        return status;
    }

    public static void HostOwner(string path, uint uid, uint gid)
    {
        fixed (byte* text = Bytes(path + '\0'))
        {
            Assert.AreEqual(0, LibC.Result(LibC.fchownat(fcntl.AT_FDCWD, text, uid, gid, fcntl.AT_SYMLINK_NOFOLLOW)), path);
        }
    }

    public string In(string name) => Path.Combine(Root, name);

    public string Out(string name) => Path.Combine(Outside, name);

    public int TryLookup(ulong parent, ReadOnlySpan<byte> name, out fuse_entry_out entry) => Left(FileSystem.Lookup(Caller, parent, name, out entry));

    public int TryLookup(ulong parent, string name, out fuse_entry_out entry) => TryLookup(parent, Bytes(name), out entry);

    /// <summary>Looks a path up component by component; fails the test where one is missing.</summary>
    public fuse_entry_out Lookup(string path)
    {
        fuse_entry_out entry = new() { nodeid = RootId };
        foreach (string name in path.Split('/'))
        {
            Assert.AreEqual(0, TryLookup(entry.nodeid, name, out entry), path);
        }

        return entry;
    }

    public int GetAttr(ulong node, out fuse_attr attr, ulong? handle = null)
    {
        var request = new fuse_getattr_in { fh = handle ?? 0, getattr_flags = handle is null ? 0 : FuseConstants.FUSE_GETATTR_FH };
        int error = Left(FileSystem.GetAttr(Caller, node, request, out fuse_attr_out reply));
        attr = reply.attr;
        return error;
    }

    public int SetAttr(ulong node, in fuse_setattr_in request, out fuse_attr attr)
    {
        int error = Left(FileSystem.SetAttr(Caller, node, request, out fuse_attr_out reply));
        attr = reply.attr;
        return error;
    }

    public int MkDir(ulong parent, string name, uint mode, out fuse_entry_out entry, uint umask = 0) =>
        Left(FileSystem.MkDir(Caller, parent, Bytes(name), new fuse_mkdir_in { mode = mode, umask = umask }, out entry));

    public int MkNod(ulong parent, string name, uint mode, uint device, out fuse_entry_out entry) =>
        Left(FileSystem.MkNod(Caller, parent, Bytes(name), new fuse_mknod_in { mode = mode, rdev = device }, out entry));

    public int SymLink(ulong parent, string name, string target, out fuse_entry_out entry) =>
        Left(FileSystem.SymLink(Caller, parent, Bytes(name), Bytes(target), out entry));

    public int ReadLink(ulong node, out string target)
    {
        Span<byte> buffer = stackalloc byte[4096];
        int size = Left(FileSystem.ReadLink(Caller, node, buffer));
        target = size < 0 ? string.Empty : Encoding.UTF8.GetString(buffer[..size]);
        return Math.Min(0, size);
    }

    public int Unlink(ulong parent, string name) => Left(FileSystem.Unlink(Caller, parent, Bytes(name)));

    public int RmDir(ulong parent, string name) => Left(FileSystem.RmDir(Caller, parent, Bytes(name)));

    public int Rename(ulong parent, string name, ulong newParent, string newName, uint flags = 0) =>
        Left(FileSystem.Rename(Caller, parent, Bytes(name), newParent, Bytes(newName), flags));

    public int Link(ulong node, ulong parent, string name, out fuse_entry_out entry) =>
        Left(FileSystem.Link(Caller, node, parent, Bytes(name), out entry));

    public int Open(ulong node, int flags, out ulong handle, out uint openFlags)
    {
        int error = Left(FileSystem.Open(Caller, node, new fuse_open_in { flags = (uint)flags }, out fuse_open_out reply));
        (handle, openFlags) = (reply.fh, reply.open_flags);
        return error;
    }

    public int Open(ulong node, int flags, out ulong handle) => Open(node, flags, out handle, out _);

    public int Create(ulong parent, string name, int flags, uint mode, out fuse_entry_out entry, out ulong handle, uint umask = 0)
    {
        var request = new fuse_create_in { flags = (uint)flags, mode = mode, umask = umask };
        int error = Left(FileSystem.Create(Caller, parent, Bytes(name), request, out entry, out fuse_open_out reply));
        handle = reply.fh;
        return error;
    }

    public int TmpFile(ulong parent, int flags, uint mode, out fuse_entry_out entry, out ulong handle)
    {
        int error = Left(FileSystem.TmpFile(Caller, parent, new fuse_create_in { flags = (uint)flags, mode = mode }, out entry, out fuse_open_out reply));
        handle = reply.fh;
        return error;
    }

    public int Read(ulong node, ulong handle, long offset, Span<byte> buffer)
    {
        fixed (byte* bytes = buffer)
        {
            var piece = new iovec { iov_base = bytes, iov_len = (nuint)buffer.Length };
            return Left(FileSystem.Read(Caller, node, new fuse_read_in { fh = handle, offset = (ulong)offset, size = (uint)buffer.Length }, &piece, 1));
        }
    }

    public int Write(ulong node, ulong handle, long offset, ReadOnlySpan<byte> buffer, uint flags = 0, int openFlags = 0)
    {
        fixed (byte* bytes = buffer)
        {
            var piece = new iovec { iov_base = bytes, iov_len = (nuint)buffer.Length };
            var request = new fuse_write_in { fh = handle, offset = (ulong)offset, size = (uint)buffer.Length, write_flags = flags, flags = (uint)openFlags };
            return Left(FileSystem.Write(Caller, node, request, &piece, 1));
        }
    }

    public int Release(ulong node, ulong handle) => Left(FileSystem.Release(Caller, node, new fuse_release_in { fh = handle }));

    public int OpenDir(ulong node, out ulong handle)
    {
        int error = Left(FileSystem.OpenDir(Caller, node, default, out fuse_open_out reply));
        handle = reply.fh;
        return error;
    }

    public int ReadDir(ulong node, ulong handle, ulong offset, bool plus, Span<byte> buffer, out int written)
    {
        var writer = new FuseDirectoryWriter(buffer);
        int error = Left(FileSystem.ReadDir(Caller, node, new fuse_read_in { fh = handle, offset = offset, size = (uint)buffer.Length }, plus, ref writer));
        written = writer.Written;
        return error;
    }

    /// <summary>Reads a whole directory in replies of <paramref name="size"/> bytes.</summary>
    public List<DirectoryLine> List(ulong node, bool plus = false, int size = 4096)
    {
        Assert.AreEqual(0, OpenDir(node, out ulong handle));
        List<DirectoryLine> lines = [];
        byte[] buffer = new byte[size];
        ulong offset = 0;
        while (true)
        {
            Assert.AreEqual(0, ReadDir(node, handle, offset, plus, buffer, out int written));
            if (written == 0)
            {
                break;
            }

            DirectoryLine.Parse(buffer.AsSpan(0, written), plus, lines);
            offset = lines[^1].Offset;
        }

        Assert.AreEqual(0, Left(FileSystem.ReleaseDir(Caller, node, new fuse_release_in { fh = handle })));
        return lines;
    }

    public int SetXAttr(ulong node, string name, ReadOnlySpan<byte> value, int flags = 0) =>
        Left(FileSystem.SetXAttr(Caller, node, Bytes(name), value, new fuse_setxattr_in { size = (uint)value.Length, flags = (uint)flags }));

    public int GetXAttr(ulong node, string name, Span<byte> value) => Left(FileSystem.GetXAttr(Caller, node, Bytes(name), value));

    public int ListXAttr(ulong node, Span<byte> list) => Left(FileSystem.ListXAttr(Caller, node, list));

    public int RemoveXAttr(ulong node, string name) => Left(FileSystem.RemoveXAttr(Caller, node, Bytes(name)));

    /// <summary>Any other call, as the peer's present user.</summary>
    public int Call(PeerCall call) => Left(call(FileSystem, Caller));

    public void Dispose()
    {
        FileSystem.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static int Left(int result)
    {
        Assert.AreEqual(0, FuseWorkerThread.Leave());
        return result;
    }
}

internal delegate int PeerCall(PassthroughFileSystem fileSystem, in FuseCaller caller);
