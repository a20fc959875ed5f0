using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Open files.
public sealed unsafe partial class PassthroughFileSystem
{
    // Not O_APPEND: each write says whether it appends, for fcntl(F_SETFL) may change that, and a page that mmap(2) has
    // changed is written where it lies, whatever the descriptor says.
    private static readonly int PassedOpenFlags =
        fcntl.O_ACCMODE | fcntl.O_TRUNC | fcntl.O_NONBLOCK | fcntl.O_SYNC | fcntl.O_NOATIME;

    /// <inheritdoc/>
    public override int Open(in FuseCaller caller, ulong node, in fuse_open_in request, out fuse_open_out reply)
    {
        reply = default;
        int error = CheckOpenFlags(request.flags);
        if (error < 0)
        {
            return error;
        }

        using NodePin file = _nodes.Pin(node);
        error = Begin(caller, file);
        if (error < 0)
        {
            return error;
        }

        error = CheckOpenable(file.Type);
        if (error < 0)
        {
            return error;
        }

        // Where the kernel is behind a file, a read may wait for what never comes: nobody waits here.
        uint further = file.Tree == TreeKind.Ordinary ? 0 : (uint)fcntl.O_NONBLOCK;
        int opened = ReopenFile(file.Descriptor, request.flags | further, request.open_flags);
        if (opened < 0)
        {
            return HandleLimit(opened);
        }

        reply.fh = _handles.Add(opened, node, isDirectory: false, file.Tree);
        if (reply.fh == 0)
        {
            _ = close(opened);
            return -errno.ENFILE;
        }

        _nodes.CountHandle(node, 1);
        reply.open_flags = file.Tree == TreeKind.Ordinary ? ReplyFlags(request.flags) : SpecialReplyFlags(opened);
        return 0;
    }

    /// <inheritdoc/>
    public override int Read(in FuseCaller caller, ulong node, in fuse_read_in request, iovec* destination, int count)
    {
        using FilePin file = PinToRead(caller, request.fh, node);
        if (!file.Valid)
        {
            return file.Error;
        }

        if (request.offset > long.MaxValue)
        {
            return -errno.EINVAL;
        }

        if (file.Tree != TreeKind.Ordinary)
        {
            return ReadSpecial(caller, file, request, destination, count);
        }

        int read;
        do
        {
            read = (int)Result(preadv(file.Descriptor, destination, count, (long)request.offset));
        }
        while (read == -errno.EINTR);

        return read;
    }

    /// <inheritdoc/>
    public override int Write(in FuseCaller caller, ulong node, in fuse_write_in request, iovec* source, int count)
    {
        using FilePin file = PinToWrite(caller, request.fh, node);
        if (!file.Valid)
        {
            return file.Error;
        }

        if (request.offset > long.MaxValue)
        {
            return -errno.EINVAL;
        }

        if (file.Tree != TreeKind.Ordinary)
        {
            return WriteSpecial(caller, file, request, source, count);
        }

        // Whose write it is decides about reserved blocks, quotas and set-id bits.
        int error = _identity.Assume(caller, IdentityUse.Checked);
        if (error >= 0 && (request.write_flags & FuseConstants.FUSE_WRITE_KILL_SUIDGID) != 0 && _identity.KeepsPrivilege(caller))
        {
            // The host's kernel takes the bits from others by itself.
            error = KillPrivileges(file.Descriptor);
        }

        if (error < 0)
        {
            return error;
        }

        int flags = WriteFlags(request);
        int written;
        do
        {
            written = (int)Result(flags == 0
                ? pwritev(file.Descriptor, source, count, (long)request.offset)
                : pwritev2(file.Descriptor, source, count, (long)request.offset, flags));
        }
        while (written == -errno.EINTR);

        return written;
    }

    /// <inheritdoc/>
    public override int Release(in FuseCaller caller, ulong node, in fuse_release_in request)
    {
        bool removed = _handles.Remove(request.fh, node, isDirectory: false);
        if (removed)
        {
            _nodes.CountHandle(node, -1);
        }

        _locks.Release(node, request.fh);
        return removed ? 0 : -errno.EBADF;
    }

    /// <inheritdoc/>
    public override int FSync(in FuseCaller caller, ulong node, in fuse_fsync_in request)
    {
        using FilePin file = PinToRead(caller, request.fh, node);
        return file.Valid ? Sync(file.Descriptor, request.fsync_flags) : file.Error;
    }

    /// <inheritdoc/>
    public override int Flush(in FuseCaller caller, ulong node, in fuse_flush_in request)
    {
        // Also where the peer has the file open and we have lost it: its process has let go of the locks that it had by others.
        _locks.Flush(node, request.lock_owner);
        using HandlePin file = _handles.Pin(request.fh, node, isDirectory: false);
        if (!file.Valid)
        {
            return -errno.EBADF;
        }

        // Closing a copy makes the host's file system flush, and say what went wrong with earlier writes (EDQUOT, EIO).
        int copy = Result(fcntl_int(file.Descriptor, fcntl.F_DUPFD_CLOEXEC, 0));
        return copy < 0 ? HandleLimit(copy) : Result(close(copy));
    }

    /// <inheritdoc/>
    public override int FAllocate(in FuseCaller caller, ulong node, in fuse_fallocate_in request)
    {
        if (_options.ReadOnly)
        {
            return -errno.EROFS;
        }

        using FilePin file = PinToWrite(caller, request.fh, node);
        if (!file.Valid)
        {
            return file.Error;
        }

        if (request.offset > long.MaxValue || request.length > long.MaxValue)
        {
            return -errno.EFBIG;
        }

        int error = _identity.Assume(caller, IdentityUse.Checked);
        while (error == 0)
        {
            error = Result(fallocate(file.Descriptor, (int)request.mode, (long)request.offset, (long)request.length));
            if (error != -errno.EINTR)
            {
                break;
            }

            error = 0;
        }

        return error;
    }

    /// <inheritdoc/>
    public override int LSeek(in FuseCaller caller, ulong node, in fuse_lseek_in request, out fuse_lseek_out reply)
    {
        reply = default;
        using FilePin file = PinToRead(caller, request.fh, node);
        if (!file.Valid)
        {
            return file.Error;
        }

        if (request.whence is not (unistd.SEEK_DATA or unistd.SEEK_HOLE))
        {
            return -errno.EINVAL;
        }

        if (request.offset > long.MaxValue)
        {
            return -errno.ENXIO;
        }

        long found = Result((nint)lseek(file.Descriptor, (long)request.offset, (int)request.whence));
        reply.offset = (ulong)Math.Max(0, found);
        return (int)Math.Min(0, found);
    }

    /// <inheritdoc/>
    public override int CopyFileRange(in FuseCaller caller, ulong node, in fuse_copy_file_range_in request)
    {
        if (_options.ReadOnly)
        {
            return -errno.EROFS;
        }

        using FilePin source = PinToRead(caller, request.fh_in, node);
        using FilePin target = PinToWrite(caller, request.fh_out, request.nodeid_out);
        if (!source.Valid || !target.Valid)
        {
            return Math.Min(source.Error, target.Error);
        }

        if (request.off_in > long.MaxValue || request.off_out > long.MaxValue || request.flags != 0)
        {
            return -errno.EINVAL;
        }

        int error = _identity.Assume(caller, IdentityUse.Checked);
        if (error < 0)
        {
            return error;
        }

        // The reply counts in 32 bits, so that the largest answer must fit an int; a page less keeps it aligned.
        const ulong most = int.MaxValue & ~0xffffu;
        long from = (long)request.off_in;
        long to = (long)request.off_out;
        return (int)Result(copy_file_range(source.Descriptor, &from, target.Descriptor, &to, (nuint)Math.Min(request.len, most), 0));
    }

    /// <summary>Opens a node's file or directory once more, for use; the caller has checked its type.</summary>
    private int Reopen(int descriptor, int flags)
    {
        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        byte* number = DescriptorPath.Format(descriptor, path);
        if (_options.ReadOnly)
        {
            // A reader should leave no trace, where that is permitted: the owner's or CAP_FOWNER's (open(2)).
            int quiet = Result(openat(_descriptors, number, flags | fcntl.O_NOATIME, 0));
            if (quiet != -errno.EPERM)
            {
                return quiet;
            }

            flags &= ~fcntl.O_NOATIME;
        }

        return Result(openat(_descriptors, number, flags, 0));
    }

    // As Reopen, for a regular file, with the flags of the peer and FUSE_OPEN_KILL_SUIDGID where its caller asks for that.
    private int ReopenFile(int descriptor, uint requested, uint kill)
    {
        int flags = OpenFlags(requested);
        int opened = Reopen(descriptor, flags);
        if (opened == -errno.EPERM && ((int)requested & fcntl.O_APPEND) != 0)
        {
            // A file that can only be appended to (chattr +a) is opened for writing with O_APPEND or not at all.
            opened = Reopen(descriptor, flags | fcntl.O_APPEND);
        }

        if (opened < 0 || (flags & fcntl.O_TRUNC) == 0 || (kill & FuseConstants.FUSE_OPEN_KILL_SUIDGID) == 0)
        {
            return opened;
        }

        // The host's kernel has done so already, unless it truncated as the daemon itself.
        int error = KillPrivileges(opened);
        if (error < 0)
        {
            _ = close(opened);
        }

        return error < 0 ? error : opened;
    }

    private int CheckOpenFlags(uint flags)
    {
        int access = (int)flags & fcntl.O_ACCMODE;
        if (access == fcntl.O_ACCMODE)
        {
            return -errno.EINVAL;
        }

        return _options.ReadOnly && (access != fcntl.O_RDONLY || ((int)flags & fcntl.O_TRUNC) != 0) ? -errno.EROFS : 0;
    }

    // A fifo would block the thread, a device would act, a socket and a symbolic link cannot be opened: the peer's kernel
    // does those itself.
    private static int CheckOpenable(uint type) => type switch
    {
        stat.S_IFREG => 0,
        stat.S_IFDIR => -errno.EISDIR,
        stat.S_IFLNK => -errno.ELOOP,
        _ => -errno.ENXIO,
    };

    // O_DIRECT is not passed on: it would ask of our buffers what the peer's program promised of its own.
    private static int OpenFlags(uint flags) => ((int)flags & PassedOpenFlags) | fcntl.O_CLOEXEC | fcntl.O_NOCTTY;

    // A page that mmap(2) has changed has a guessed handle, whose flags say nothing about it.
    private static int WriteFlags(in fuse_write_in request)
    {
        if ((request.write_flags & FuseConstants.FUSE_WRITE_CACHE) != 0)
        {
            return 0;
        }

        int sync = (int)request.flags & fcntl.O_SYNC;
        return (((int)request.flags & fcntl.O_APPEND) != 0 ? uio.RWF_APPEND : 0)
            | (sync == fcntl.O_SYNC ? uio.RWF_SYNC : sync != 0 ? uio.RWF_DSYNC : 0);
    }

    private static uint ReplyFlags(uint flags) => ((int)flags & fcntl.O_DIRECT) != 0 ? FuseConstants.FOPEN_DIRECT_IO : 0;

    private static int Sync(int descriptor, uint flags) =>
        Result((flags & FuseConstants.FUSE_FSYNC_FDATASYNC) != 0 ? fdatasync(descriptor) : fsync(descriptor));

    private int HandleLimit(int error)
    {
        if (error is -errno.EMFILE or -errno.ENFILE)
        {
            _handles.CountRefusal();
            return -errno.ENFILE;
        }

        return error;
    }

    /// <summary>
    /// Whether closing a file cannot fail or tell anything: it lies on a file system of this machine whose file operations
    /// (Linux, <c>struct file_operations</c>) have no flush. Of others, such as network file systems, it can.
    /// </summary>
    public bool ClosesQuietly(ulong node)
    {
        using NodePin file = _nodes.Pin(node);
        statfs state;
        return file.Valid && fstatfs(file.Descriptor, &state) == 0
            && state.f_type is magic.EXT4_SUPER_MAGIC or magic.XFS_SUPER_MAGIC or magic.BTRFS_SUPER_MAGIC or magic.TMPFS_MAGIC or magic.RAMFS_MAGIC;
    }
}
