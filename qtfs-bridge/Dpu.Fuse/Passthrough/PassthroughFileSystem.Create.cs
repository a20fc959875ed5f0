using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// What makes files. Each runs under the caller's identity and umask, so that owner, group and default ACLs are the kernel's.
public sealed unsafe partial class PassthroughFileSystem
{
    // A name that comes and goes between the two ways of opening it, this often, is an attack or a very busy one.
    private const int CreateAttempts = 16;

    /// <summary>Ten years, in seconds: no kernel's clock arithmetic overflows.</summary>
    private const ulong ForEver = 315_360_000;

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int MkDir(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_mkdir_in request, out fuse_entry_out entry)
    {
        entry = default;
        byte* text = stackalloc byte[FileName.MaxSize];
        using NodePin directory = _nodes.Pin(parent);
        int error = BeginCreation(caller, directory, name, text, request.umask);
        if (error >= 0)
        {
            error = Result(mkdirat(directory.Descriptor, text, request.mode & ModeBits));
        }

        return error < 0 ? error : EnterMade(directory.Descriptor, text, stat.S_IFDIR, out entry);
    }

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int MkNod(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_mknod_in request, out fuse_entry_out entry)
    {
        entry = default;
        uint type = request.mode & stat.S_IFMT;
        if (type is not (0 or stat.S_IFREG or stat.S_IFIFO or stat.S_IFSOCK or stat.S_IFCHR or stat.S_IFBLK))
        {
            return -errno.EINVAL;
        }

        // A whiteout of overlayfs is a character device 0:0, which can be opened by nobody.
        if (type is stat.S_IFCHR or stat.S_IFBLK && !_options.AllowDeviceNodes && !(type == stat.S_IFCHR && request.rdev == 0))
        {
            return -errno.EPERM;
        }

        if (type == stat.S_IFSOCK && request.rdev != 0 && _options.Binder is { } binder)
        {
            return BindSocket(binder, caller, parent, name, request, out entry);
        }

        byte* text = stackalloc byte[FileName.MaxSize];
        using NodePin directory = _nodes.Pin(parent);
        int error = BeginCreation(caller, directory, name, text, request.umask);
        if (error >= 0)
        {
            // new_decode_dev of the kernel.
            ulong device = makedev((request.rdev & 0xfff00) >> 8, (request.rdev & 0xff) | ((request.rdev >> 12) & 0xfff00));
            error = Result(mknodat(directory.Descriptor, text, type | (request.mode & ModeBits), device));
        }

        return error < 0 ? error : EnterMade(directory.Descriptor, text, type == 0 ? stat.S_IFREG : type, out entry);
    }

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int SymLink(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, out fuse_entry_out entry)
    {
        entry = default;
        byte* text = stackalloc byte[FileName.MaxSize];
        byte* content = stackalloc byte[limits.PATH_MAX];
        int error = target.IsEmpty ? -errno.ENOENT : FileName.CopyText(target, content, limits.PATH_MAX);
        if (error < 0)
        {
            return error;
        }

        using NodePin directory = _nodes.Pin(parent);
        error = BeginCreation(caller, directory, name, text, mask: 0);
        if (error >= 0)
        {
            error = Result(symlinkat(content, directory.Descriptor, text));
        }

        return error < 0 ? error : EnterMade(directory.Descriptor, text, stat.S_IFLNK, out entry);
    }

    // Somebody may have put another file in its place meanwhile. One of another type is EIO to the peer's kernel; ESTALE makes
    // it look at the name again.
    private int EnterMade(int directory, byte* name, uint type, out fuse_entry_out entry)
    {
        int error = Enter(directory, name, out entry);
        if (error >= 0 && (entry.attr.mode & stat.S_IFMT) != type)
        {
            _nodes.Forget(entry.nodeid, 1);
            entry = default;
            return -errno.ESTALE;
        }

        return error;
    }

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int Create(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_create_in request, out fuse_entry_out entry, out fuse_open_out reply)
    {
        entry = default;
        reply = default;
        byte* text = stackalloc byte[FileName.MaxSize];
        using NodePin directory = _nodes.Pin(parent);
        int error = CheckOpenFlags(request.flags);
        if (error >= 0)
        {
            error = BeginCreation(caller, directory, name, text, request.umask);
        }

        if (error >= 0 && !_handles.HasRoom)
        {
            // Before the file exists: a failed creation should leave none behind.
            _handles.CountRefusal();
            error = -errno.ENFILE;
        }

        if (error < 0)
        {
            return error;
        }

        int flags = OpenFlags(request.flags);
        int opened = CreateNew(directory.Descriptor, text, flags, request.mode, out int path);
        for (int attempt = 0; opened == -errno.EEXIST && ((int)request.flags & fcntl.O_EXCL) == 0; attempt++)
        {
            if (attempt == CreateAttempts)
            {
                return -errno.EAGAIN;
            }

            opened = OpenExisting(caller, directory.Descriptor, text, request, out path);
            if (opened == -errno.ENOENT)
            {
                error = _identity.Assume(caller, UseFor(directory.Tree, IdentityUse.Creation));
                opened = error < 0 ? error : CreateNew(directory.Descriptor, text, flags, request.mode, out path);
            }
        }

        return opened < 0 ? HandleLimit(opened) : Answer(opened, path, directory.Descriptor, request.flags, out entry, out reply);
    }

    /// <inheritdoc/>
    public override int TmpFile(in FuseCaller caller, ulong parent, in fuse_create_in request, out fuse_entry_out entry, out fuse_open_out reply)
    {
        entry = default;
        reply = default;
        using NodePin directory = _nodes.Pin(parent);
        int error = CheckOpenFlags(request.flags);
        if (error >= 0)
        {
            error = BeginCreation(caller, directory, request.umask);
        }

        if (error < 0)
        {
            return error;
        }

        // Without O_EXCL the file may get a name later by LINK.
        int exclusive = (int)request.flags & fcntl.O_EXCL;
        byte* self = stackalloc byte[2] { (byte)'.', 0 };
        int opened = Result(openat(directory.Descriptor, self, OpenFlags(request.flags) | fcntl.O_TMPFILE | exclusive, request.mode & ModeBits));
        if (opened < 0)
        {
            return HandleLimit(opened);
        }

        int path = PathOf(opened);
        if (path < 0)
        {
            _ = close(opened);
            return NodeLimit(path);
        }

        error = Answer(opened, path, directory.Descriptor, request.flags, out entry, out reply);

        // It has no name that could become another file's. overlayfs asks for the kernel's stand-in for one as long as the
        // file lives, and a look-up of that would find nothing (ESTALE).
        entry.entry_valid = error == 0 ? ForEver : 0;
        return error;
    }

    private int BeginCreation(in FuseCaller caller, in NodePin directory, ReadOnlySpan<byte> name, byte* text, uint mask)
    {
        int error = FileName.Copy(name, text);
        return error < 0 ? error : BeginCreation(caller, directory, mask);
    }

    private int BeginCreation(in FuseCaller caller, in NodePin directory, uint mask)
    {
        int error = BeginChange(caller, directory, IdentityUse.Creation);
        if (error >= 0 && !_nodes.HasRoom)
        {
            _nodes.CountRefusal();
            error = -errno.ENFILE;
        }

        // The thread's umask, because only the kernel knows whether a default ACL takes its place (umask(2)).
        FuseWorkerThread.Current.SetUmask(mask);
        return error;
    }

    // O_EXCL always: opening what is there would follow nothing but could block on a fifo or wake a device.
    private int CreateNew(int directory, byte* name, int flags, uint mode, out int path)
    {
        path = -1;
        int opened = Result(openat(directory, name, flags | fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_NOFOLLOW, mode & ModeBits));
        if (opened < 0)
        {
            return opened;
        }

        path = PathOf(opened);
        if (path >= 0)
        {
            return opened;
        }

        _ = close(opened);
        return path;
    }

    // The peer's kernel believed that there was nothing, so it has checked nothing: the host does, for the caller.
    private int OpenExisting(in FuseCaller caller, int directory, byte* name, in fuse_create_in request, out int path)
    {
        path = Result(openat(directory, name, PathFlags, 0));
        if (path < 0)
        {
            return path;
        }

        int opened = StatusOf(path, out statx status);
        if (opened == 0)
        {
            opened = CheckOpenable(status.stx_mode & stat.S_IFMT);
        }

        if (opened == 0)
        {
            opened = CheckFound(path, directory);
        }

        if (opened == 0)
        {
            opened = _identity.Assume(caller, IdentityUse.Checked);
        }

        if (opened == 0)
        {
            opened = ReopenFile(path, request.flags, request.open_flags);
        }

        if (opened < 0)
        {
            _ = close(path);

            // A file that vanished is ENOENT from openat above; the descriptor itself cannot be.
            return opened == -errno.ENOENT ? -errno.ESTALE : opened;
        }

        return opened;
    }

    // Makes node and handle of a file just opened; owns both descriptors.
    private int Answer(int opened, int path, int directory, uint flags, out fuse_entry_out entry, out fuse_open_out reply)
    {
        reply = default;
        int error = Adopt(path, directory, out entry);
        if (error < 0)
        {
            _ = close(opened);
            return error;
        }

        reply.fh = _handles.Add(opened, entry.nodeid, isDirectory: false);
        if (reply.fh == 0)
        {
            _ = close(opened);
            _nodes.Forget(entry.nodeid, 1);
            entry = default;
            return -errno.ENFILE;
        }

        _nodes.CountHandle(entry.nodeid, 1);
        reply.open_flags = ReplyFlags(flags);
        return 0;
    }

    private int PathOf(int opened)
    {
        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        return Result(openat(_descriptors, DescriptorPath.Format(opened, path), fcntl.O_PATH | fcntl.O_CLOEXEC, 0));
    }
}
