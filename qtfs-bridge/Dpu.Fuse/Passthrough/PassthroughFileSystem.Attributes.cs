using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Attributes.
public sealed unsafe partial class PassthroughFileSystem
{
    private const uint ModeBits = 0xfff;
    private const uint NanosecondsPerSecond = 1_000_000_000;
    private const uint TimeBits = FuseConstants.FATTR_ATIME | FuseConstants.FATTR_ATIME_NOW | FuseConstants.FATTR_MTIME | FuseConstants.FATTR_MTIME_NOW;

    /// <inheritdoc/>
    public override int GetAttr(in FuseCaller caller, ulong node, in fuse_getattr_in request, out fuse_attr_out reply)
    {
        reply = default;
        if ((request.getattr_flags & FuseConstants.FUSE_GETATTR_FH) != 0 && !IsUnopened(request.fh))
        {
            using HandlePin handle = _handles.Pin(request.fh, node, isDirectory: false);
            return handle.Valid ? Attributes(handle.Descriptor, handle.Tree, out reply) : -errno.EBADF;
        }

        using NodePin file = _nodes.Pin(node);
        if (!file.Valid)
        {
            return file.Error;
        }

        // No identity: reading attributes needs no permission on the file itself, but where processes may be hidden.
        int error = file.Tree == TreeKind.Ordinary ? CheckReadable(file) : Begin(caller, file);
        return error < 0 ? error : Attributes(file.Descriptor, file.Tree, out reply);
    }

    /// <inheritdoc/>
    public override int StatX(in FuseCaller caller, ulong node, in fuse_statx_in request, out fuse_statx_out reply)
    {
        reply = default;
        if ((request.getattr_flags & FuseConstants.FUSE_GETATTR_FH) != 0 && !IsUnopened(request.fh))
        {
            using HandlePin handle = _handles.Pin(request.fh, node, isDirectory: false);
            return handle.Valid ? ExtendedAttributes(handle.Descriptor, out reply) : -errno.EBADF;
        }

        using NodePin file = _nodes.Pin(node);
        if (!file.Valid)
        {
            return file.Error;
        }

        int error = file.Tree == TreeKind.Ordinary ? CheckReadable(file) : Begin(caller, file);
        return error < 0 ? error : ExtendedAttributes(file.Descriptor, out reply);
    }

    // fstat(2) comes without a handle. A file that the peer has open shows its attributes by that handle wherever it is
    // now, so nothing is kept back by asking where.
    private int CheckReadable(in NodePin file) => _nodes.HasHandles(file) ? 0 : _boundary.Check(file.Descriptor);

    /// <inheritdoc/>
    public override int SetAttr(in FuseCaller caller, ulong node, in fuse_setattr_in request, out fuse_attr_out reply)
    {
        reply = default;
        const uint others = FuseConstants.FATTR_UID | FuseConstants.FATTR_GID | FuseConstants.FATTR_MODE | TimeBits;
        if ((request.valid & FuseConstants.FATTR_FH) != 0 && (request.valid & others) == 0 && !IsUnopened(request.fh))
        {
            return Resize(caller, node, request, out reply);
        }

        using NodePin file = _nodes.Pin(node);
        int error = BeginChange(caller, file);
        if (error < 0)
        {
            return error;
        }

        int opened = -1;
        bool byHandle = (request.valid & FuseConstants.FATTR_FH) != 0 && !IsUnopened(request.fh);
        using HandlePin handle = byHandle ? _handles.Pin(request.fh, node, isDirectory: false) : default;
        if (byHandle)
        {
            if (!handle.Valid)
            {
                return -errno.EBADF;
            }

            opened = handle.Descriptor;
        }

        error = (request.valid & (others | FuseConstants.FATTR_SIZE)) == 0 ? ChangeNothing(caller, file) : Change(file, opened, request);
        return error < 0 ? error : Attributes(file.Descriptor, file.Tree, out reply);
    }

    // A change that names nothing is how the peer's kernel says, without its reason, that set-id bits should go
    // (FUSE_HANDLE_KILLPRIV_V2): before a write, which will take them itself, or for chown(2) with two times -1. The latter
    // is the owner's right only, and whether another caller asks for the former cannot be seen.
    private int ChangeNothing(in FuseCaller caller, in NodePin file)
    {
        if (file.Type != stat.S_IFREG)
        {
            return 0;
        }

        int error = StatusOf(file.Descriptor, out statx status);
        bool may = _identity.KeepsPrivilege(caller) || status.stx_uid == _identity.ToHostUser(caller.Uid);
        return error == 0 && may ? KillPrivileges(file.Descriptor) : error;
    }

    // ftruncate(2): goes on for an open file that has no name any more, as reading and writing do.
    private int Resize(in FuseCaller caller, ulong node, in fuse_setattr_in request, out fuse_attr_out reply)
    {
        reply = default;
        if (_options.ReadOnly)
        {
            return -errno.EROFS;
        }

        using HandlePin handle = _handles.Pin(request.fh, node, isDirectory: false);
        if (!handle.Valid)
        {
            return -errno.EBADF;
        }

        int error = _identity.Assume(caller, IdentityUse.Checked);
        if (error >= 0 && (request.valid & FuseConstants.FATTR_SIZE) != 0)
        {
            error = request.size > long.MaxValue ? -errno.EFBIG : Result(ftruncate(handle.Descriptor, (long)request.size));
        }

        if (error >= 0 && (request.valid & FuseConstants.FATTR_KILL_SUIDGID) != 0 && _identity.KeepsPrivilege(caller))
        {
            error = KillPrivileges(handle.Descriptor);
        }

        return error < 0 ? error : Attributes(handle.Descriptor, handle.Tree, out reply);
    }

    /// <inheritdoc/>
    public override int Access(in FuseCaller caller, ulong node, uint mask)
    {
        using NodePin file = _nodes.Pin(node);
        int error = Begin(caller, file, IdentityUse.Checked);
        if (error < 0)
        {
            return error;
        }

        if ((mask & ~(uint)(unistd.R_OK | unistd.W_OK | unistd.X_OK)) != 0)
        {
            return -errno.EINVAL;
        }

        if (_options.ReadOnly && (mask & unistd.W_OK) != 0 && file.Type is stat.S_IFREG or stat.S_IFDIR or stat.S_IFLNK)
        {
            return -errno.EROFS;
        }

        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        return Result(faccessat2(_descriptors, DescriptorPath.Format(file.Descriptor, path), (int)mask, fcntl.AT_EACCESS));
    }

    // The order is that of one request of the kernel (notify_change): the owner first, for it takes set-id bits away, then
    // the mode, which may give them back, and the times last, for a new size changes them.
    private int Change(in NodePin file, int opened, in fuse_setattr_in request)
    {
        uint valid = request.valid;
        int error = 0;
        if ((valid & (FuseConstants.FATTR_UID | FuseConstants.FATTR_GID)) != 0)
        {
            error = ChangeOwner(file, request);
        }

        if (error >= 0 && (valid & FuseConstants.FATTR_MODE) != 0)
        {
            error = ChangeMode(file.Descriptor, request.mode);
        }

        if (error >= 0 && (valid & FuseConstants.FATTR_SIZE) != 0)
        {
            error = ChangeSize(file, opened, request);
        }

        return error >= 0 && (valid & TimeBits) != 0 ? ChangeTimes(file.Descriptor, request) : error;
    }

    private int ChangeOwner(in NodePin file, in fuse_setattr_in request)
    {
        uint uid = uint.MaxValue;
        uint gid = uint.MaxValue;
        if (((request.valid & FuseConstants.FATTR_UID) != 0 && !_identity.TryOwner(request.uid, out uid))
            || ((request.valid & FuseConstants.FATTR_GID) != 0 && !_identity.TryOwningGroup(request.gid, out gid)))
        {
            return -errno.EPERM;
        }

        byte empty = 0;
        return Result(fchownat(file.Descriptor, &empty, uid, gid, fcntl.AT_EMPTY_PATH));
    }

    private int ChangeMode(int descriptor, uint mode)
    {
        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        return Result(fchmodat(_descriptors, DescriptorPath.Format(descriptor, path), mode & ModeBits, 0));
    }

    private int ChangeSize(in NodePin file, int opened, in fuse_setattr_in request)
    {
        if (file.Type != stat.S_IFREG)
        {
            return file.Type == stat.S_IFDIR ? -errno.EISDIR : -errno.EINVAL;
        }

        if (request.size > long.MaxValue)
        {
            return -errno.EFBIG;
        }

        int error;
        if (opened >= 0)
        {
            error = Result(ftruncate(opened, (long)request.size));
        }
        else
        {
            byte* path = stackalloc byte[DescriptorPath.MaxSize];
            DescriptorPath.Format(file.Descriptor, path);
            error = Result(truncate(path, (long)request.size));
        }

        return error >= 0 && (request.valid & FuseConstants.FATTR_KILL_SUIDGID) != 0 ? KillPrivileges(file.Descriptor) : error;
    }

    private int ChangeTimes(int descriptor, in fuse_setattr_in request)
    {
        timespec* times = stackalloc timespec[2];
        if (!TryTime(request.valid, FuseConstants.FATTR_ATIME, FuseConstants.FATTR_ATIME_NOW, request.atime, request.atimensec, out times[0])
            || !TryTime(request.valid, FuseConstants.FATTR_MTIME, FuseConstants.FATTR_MTIME_NOW, request.mtime, request.mtimensec, out times[1]))
        {
            return -errno.EINVAL;
        }

        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        return Result(utimensat(_descriptors, DescriptorPath.Format(descriptor, path), times, 0));
    }

    private static bool TryTime(uint valid, uint set, uint now, ulong seconds, uint nanoseconds, out timespec time)
    {
        time = new timespec { tv_nsec = stat.UTIME_OMIT };
        if ((valid & now) != 0)
        {
            time.tv_nsec = stat.UTIME_NOW;
        }
        else if ((valid & set) != 0)
        {
            time = new timespec { tv_sec = (long)seconds, tv_nsec = nanoseconds };
            return nanoseconds < NanosecondsPerSecond;
        }

        return true;
    }

    // What a write without CAP_FSETID would do; the peer's kernel asks for it where its caller has none.
    private int KillPrivileges(int descriptor)
    {
        int error = StatusOf(descriptor, out statx status);
        if (error < 0)
        {
            return error;
        }

        uint mode = status.stx_mode & ModeBits;
        uint left = mode & ~stat.S_ISUID;
        if ((mode & stat.S_IXGRP) != 0)
        {
            left &= ~stat.S_ISGID;
        }

        return left == mode ? 0 : ChangeMode(descriptor, left);
    }

    private int Attributes(int descriptor, TreeKind tree, out fuse_attr_out reply)
    {
        reply = tree != TreeKind.Ordinary
            ? default
            : new fuse_attr_out { attr_valid = _attributeTimeout.Seconds, attr_valid_nsec = _attributeTimeout.Nanoseconds };
        int error = StatusOf(descriptor, out statx status);
        if (error == 0)
        {
            Fill(status, out reply.attr);
        }

        return error;
    }

    private int ExtendedAttributes(int descriptor, out fuse_statx_out reply)
    {
        // Not to be cached, whatever is granted: it is asked for seldom, and who bounds grants on the way knows FUSE_GETATTR.
        reply = default;
        int error = StatusOf(descriptor, stat.STATX_BASIC_STATS | stat.STATX_BTIME | KernelMounts.NumberBits, out statx status);
        if (error < 0)
        {
            return error;
        }

        // Device numbers of the host's file systems mean nothing to the peer, which puts its own in their place.
        reply.stat = new fuse_statx
        {
            mask = status.stx_mask & (stat.STATX_BASIC_STATS | stat.STATX_BTIME),
            blksize = status.stx_blksize,
            nlink = status.stx_nlink,
            uid = _identity.ToPeerUser(status.stx_uid),
            gid = _identity.ToPeerGroup(status.stx_gid),
            mode = status.stx_mode,
            ino = InodeNumber(status.stx_ino, DeviceOf(status)),
            size = status.stx_size,
            blocks = status.stx_blocks,
            atime = TimeOf(status.stx_atime),
            btime = TimeOf(status.stx_btime),
            ctime = TimeOf(status.stx_ctime),
            mtime = TimeOf(status.stx_mtime),
            rdev_major = status.stx_rdev_major,
            rdev_minor = status.stx_rdev_minor,
        };
        return 0;
    }

    private static fuse_sx_time TimeOf(in statx_timestamp time) => new() { tv_sec = time.tv_sec, tv_nsec = time.tv_nsec };

    private void Fill(in statx status, out fuse_attr attr) => attr = new fuse_attr
    {
        ino = InodeNumber(status.stx_ino, DeviceOf(status)),
        size = status.stx_size,
        blocks = status.stx_blocks,
        atime = (ulong)status.stx_atime.tv_sec,
        mtime = (ulong)status.stx_mtime.tv_sec,
        ctime = (ulong)status.stx_ctime.tv_sec,
        atimensec = status.stx_atime.tv_nsec,
        mtimensec = status.stx_mtime.tv_nsec,
        ctimensec = status.stx_ctime.tv_nsec,
        mode = status.stx_mode,
        nlink = status.stx_nlink,
        uid = _identity.ToPeerUser(status.stx_uid),
        gid = _identity.ToPeerGroup(status.stx_gid),

        // new_encode_dev of the kernel.
        rdev = (status.stx_rdev_minor & 0xff) | (status.stx_rdev_major << 8) | ((status.stx_rdev_minor & ~0xffu) << 12),
        blksize = status.stx_blksize,
    };

    // The peer sees one device. A number of another file system mounted below is spread over the high bits, so that two
    // files hardly ever look like one (tar and cp take equal numbers for hard links).
    private ulong InodeNumber(ulong inode, ulong device) =>
        device == _rootDevice ? inode : inode ^ (((device * 0x9E3779B97F4A7C15UL) | 1) & 0xffff_ffff_0000_0000UL);
}
