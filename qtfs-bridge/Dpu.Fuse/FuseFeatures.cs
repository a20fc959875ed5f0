using static Dpu.Fuse.Wire.FuseConstants;

namespace Dpu.Fuse;

/// <summary>Sets of FUSE_INIT flags, the upper 32 of which travel in <c>flags2</c>.</summary>
public static class FuseFeatures
{
    /// <summary>
    /// What a connection uses unless its options say otherwise. FUSE_NO_EXPORT_SUPPORT, because node ids end with the mount:
    /// else overlayfs would keep them as file handles, and refuse its layers at the next mount (index=on). Not among them:
    /// FUSE_EXPORT_SUPPORT (the peer would look up "." and ".." ), <see cref="Locks"/> and the caching flags, which a file system must be made for.
    /// </summary>
    public const ulong Default = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA
        | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | FUSE_ABORT_ERROR
        | FUSE_MAX_PAGES | FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FUSE_CREATE_SUPP_GROUP | FUSE_HAS_IOCTL_DIR
        | FUSE_HANDLE_KILLPRIV_V2 | FUSE_DIRECT_IO_ALLOW_MMAP | FUSE_NO_EXPORT_SUPPORT;

    /// <summary>What makes the kernel ask the file system for every lock, instead of keeping locks itself.</summary>
    public const ulong Locks = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;

    /// <summary>What the dispatcher can decode; asking for another flag is refused when it is constructed.</summary>
    public const ulong Known = Default | Locks | FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT
        | FUSE_HANDLE_KILLPRIV | FUSE_CACHE_SYMLINKS | FUSE_EXPLICIT_INVAL_DATA | FUSE_HAS_EXPIRE_ONLY | FUSE_HAS_RESEND;
}
