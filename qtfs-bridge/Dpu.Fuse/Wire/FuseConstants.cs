// Constants of linux/fuse.h under their own names; proved against the header by tests/Dpu.Linux.Tests.
#pragma warning disable CA1707, CS1591, IDE1006

using Dpu.Linux;

namespace Dpu.Fuse.Wire;

/// <summary>Constants of <c>linux/fuse.h</c>.</summary>
[CConstants("sys/ioctl.h linux/fuse.h")]
public static class FuseConstants
{
    public const uint FUSE_KERNEL_VERSION = 7;
    public const uint FUSE_ROOT_ID = 1;
    public const uint FATTR_MODE = 1u << 0;
    public const uint FATTR_UID = 1u << 1;
    public const uint FATTR_GID = 1u << 2;
    public const uint FATTR_SIZE = 1u << 3;
    public const uint FATTR_ATIME = 1u << 4;
    public const uint FATTR_MTIME = 1u << 5;
    public const uint FATTR_FH = 1u << 6;
    public const uint FATTR_ATIME_NOW = 1u << 7;
    public const uint FATTR_MTIME_NOW = 1u << 8;
    public const uint FATTR_LOCKOWNER = 1u << 9;
    public const uint FATTR_CTIME = 1u << 10;
    public const uint FATTR_KILL_SUIDGID = 1u << 11;
    public const uint FOPEN_DIRECT_IO = 1u << 0;
    public const uint FOPEN_KEEP_CACHE = 1u << 1;
    public const uint FOPEN_NONSEEKABLE = 1u << 2;
    public const uint FOPEN_CACHE_DIR = 1u << 3;
    public const uint FOPEN_STREAM = 1u << 4;
    public const uint FOPEN_NOFLUSH = 1u << 5;
    [CName(Since = "6.2")]
    public const uint FOPEN_PARALLEL_DIRECT_WRITES = 1u << 6;
    [CName(Since = "6.9")]
    public const uint FOPEN_PASSTHROUGH = 1u << 7;
    public const uint FUSE_ASYNC_READ = 1u << 0;
    public const uint FUSE_POSIX_LOCKS = 1u << 1;
    public const uint FUSE_FILE_OPS = 1u << 2;
    public const uint FUSE_ATOMIC_O_TRUNC = 1u << 3;
    public const uint FUSE_EXPORT_SUPPORT = 1u << 4;
    public const uint FUSE_BIG_WRITES = 1u << 5;
    public const uint FUSE_DONT_MASK = 1u << 6;
    public const uint FUSE_SPLICE_WRITE = 1u << 7;
    public const uint FUSE_SPLICE_MOVE = 1u << 8;
    public const uint FUSE_SPLICE_READ = 1u << 9;
    public const uint FUSE_FLOCK_LOCKS = 1u << 10;
    public const uint FUSE_HAS_IOCTL_DIR = 1u << 11;
    public const uint FUSE_AUTO_INVAL_DATA = 1u << 12;
    public const uint FUSE_DO_READDIRPLUS = 1u << 13;
    public const uint FUSE_READDIRPLUS_AUTO = 1u << 14;
    public const uint FUSE_ASYNC_DIO = 1u << 15;
    public const uint FUSE_WRITEBACK_CACHE = 1u << 16;
    public const uint FUSE_NO_OPEN_SUPPORT = 1u << 17;
    public const uint FUSE_PARALLEL_DIROPS = 1u << 18;
    public const uint FUSE_HANDLE_KILLPRIV = 1u << 19;
    public const uint FUSE_POSIX_ACL = 1u << 20;
    public const uint FUSE_ABORT_ERROR = 1u << 21;
    public const uint FUSE_MAX_PAGES = 1u << 22;
    public const uint FUSE_CACHE_SYMLINKS = 1u << 23;
    public const uint FUSE_NO_OPENDIR_SUPPORT = 1u << 24;
    public const uint FUSE_EXPLICIT_INVAL_DATA = 1u << 25;
    public const uint FUSE_MAP_ALIGNMENT = 1u << 26;
    public const uint FUSE_SUBMOUNTS = 1u << 27;
    public const uint FUSE_HANDLE_KILLPRIV_V2 = 1u << 28;
    public const uint FUSE_SETXATTR_EXT = 1u << 29;
    public const uint FUSE_INIT_EXT = 1u << 30;
    public const ulong FUSE_SECURITY_CTX = 1UL << 32;
    public const ulong FUSE_HAS_INODE_DAX = 1UL << 33;
    [CName(Since = "6.3")]
    public const ulong FUSE_CREATE_SUPP_GROUP = 1UL << 34;
    [CName(Since = "6.2")]
    public const ulong FUSE_HAS_EXPIRE_ONLY = 1UL << 35;
    [CName(Since = "6.6")]
    public const ulong FUSE_DIRECT_IO_ALLOW_MMAP = 1UL << 36;
    [CName(Since = "6.9")]
    public const ulong FUSE_PASSTHROUGH = 1UL << 37;
    [CName(Since = "6.9")]
    public const ulong FUSE_NO_EXPORT_SUPPORT = 1UL << 38;
    [CName(Since = "6.9")]
    public const ulong FUSE_HAS_RESEND = 1UL << 39;
    [CName(Since = "6.12")]
    public const ulong FUSE_ALLOW_IDMAP = 1UL << 40;
    /// <summary>Set in <see cref="fuse_in_header.unique"/> of a request that the kernel sends again.</summary>
    [CName(Since = "6.9")]
    public const ulong FUSE_UNIQUE_RESEND = 1UL << 63;
    /// <summary>The uid and gid of a request for which an idmapped mount has no mapping.</summary>
    [CName(Since = "6.12")]
    public const uint FUSE_INVALID_UIDGID = uint.MaxValue;
    public const uint CUSE_UNRESTRICTED_IOCTL = 1u << 0;
    public const uint FUSE_RELEASE_FLUSH = 1u << 0;
    public const uint FUSE_RELEASE_FLOCK_UNLOCK = 1u << 1;
    public const uint FUSE_GETATTR_FH = 1u << 0;
    public const uint FUSE_LK_FLOCK = 1u << 0;
    public const uint FUSE_WRITE_CACHE = 1u << 0;
    public const uint FUSE_WRITE_LOCKOWNER = 1u << 1;
    public const uint FUSE_WRITE_KILL_SUIDGID = 1u << 2;
    public const uint FUSE_READ_LOCKOWNER = 1u << 1;
    public const uint FUSE_IOCTL_COMPAT = 1u << 0;
    public const uint FUSE_IOCTL_UNRESTRICTED = 1u << 1;
    public const uint FUSE_IOCTL_RETRY = 1u << 2;
    public const uint FUSE_IOCTL_32BIT = 1u << 3;
    public const uint FUSE_IOCTL_DIR = 1u << 4;
    public const uint FUSE_IOCTL_COMPAT_X32 = 1u << 5;
    public const uint FUSE_IOCTL_MAX_IOV = 256;
    public const uint FUSE_POLL_SCHEDULE_NOTIFY = 1u << 0;
    public const uint FUSE_FSYNC_FDATASYNC = 1u << 0;
    public const uint FUSE_ATTR_SUBMOUNT = 1u << 0;
    public const uint FUSE_ATTR_DAX = 1u << 1;
    public const uint FUSE_OPEN_KILL_SUIDGID = 1u << 0;
    public const uint FUSE_SETXATTR_ACL_KILL_SGID = 1u << 0;
    [CName(Since = "6.2")]
    public const uint FUSE_EXPIRE_ONLY = 1u << 0;
    public const uint FUSE_MIN_READ_BUFFER = 8192;
    public const uint FUSE_COMPAT_ENTRY_OUT_SIZE = 120;
    public const uint FUSE_COMPAT_ATTR_OUT_SIZE = 96;
    public const uint FUSE_COMPAT_MKNOD_IN_SIZE = 8;
    public const uint FUSE_COMPAT_WRITE_IN_SIZE = 24;
    public const uint FUSE_COMPAT_STATFS_SIZE = 48;
    public const uint FUSE_COMPAT_SETXATTR_IN_SIZE = 8;
    public const uint FUSE_COMPAT_INIT_OUT_SIZE = 8;
    public const uint FUSE_COMPAT_22_INIT_OUT_SIZE = 24;
    public const uint CUSE_INIT_INFO_MAX = 4096;
    public const uint FUSE_DEV_IOC_MAGIC = 229;
    public const ulong FUSE_SETUPMAPPING_FLAG_WRITE = 1UL << 0;
    public const ulong FUSE_SETUPMAPPING_FLAG_READ = 1UL << 1;
    /// <summary><c>_IOR(FUSE_DEV_IOC_MAGIC, 0, uint32_t)</c>.</summary>
    public const uint FUSE_DEV_IOC_CLONE = 0x8004e500;
}

/// <summary><c>enum fuse_opcode</c> of <c>linux/fuse.h</c>.</summary>
[CConstants("linux/fuse.h")]
public enum fuse_opcode : uint
{
    FUSE_LOOKUP = 1,
    FUSE_FORGET = 2,
    FUSE_GETATTR = 3,
    FUSE_SETATTR = 4,
    FUSE_READLINK = 5,
    FUSE_SYMLINK = 6,
    FUSE_MKNOD = 8,
    FUSE_MKDIR = 9,
    FUSE_UNLINK = 10,
    FUSE_RMDIR = 11,
    FUSE_RENAME = 12,
    FUSE_LINK = 13,
    FUSE_OPEN = 14,
    FUSE_READ = 15,
    FUSE_WRITE = 16,
    FUSE_STATFS = 17,
    FUSE_RELEASE = 18,
    FUSE_FSYNC = 20,
    FUSE_SETXATTR = 21,
    FUSE_GETXATTR = 22,
    FUSE_LISTXATTR = 23,
    FUSE_REMOVEXATTR = 24,
    FUSE_FLUSH = 25,
    FUSE_INIT = 26,
    FUSE_OPENDIR = 27,
    FUSE_READDIR = 28,
    FUSE_RELEASEDIR = 29,
    FUSE_FSYNCDIR = 30,
    FUSE_GETLK = 31,
    FUSE_SETLK = 32,
    FUSE_SETLKW = 33,
    FUSE_ACCESS = 34,
    FUSE_CREATE = 35,
    FUSE_INTERRUPT = 36,
    FUSE_BMAP = 37,
    FUSE_DESTROY = 38,
    FUSE_IOCTL = 39,
    FUSE_POLL = 40,
    FUSE_NOTIFY_REPLY = 41,
    FUSE_BATCH_FORGET = 42,
    FUSE_FALLOCATE = 43,
    FUSE_READDIRPLUS = 44,
    FUSE_RENAME2 = 45,
    FUSE_LSEEK = 46,
    FUSE_COPY_FILE_RANGE = 47,
    FUSE_SETUPMAPPING = 48,
    FUSE_REMOVEMAPPING = 49,
    FUSE_SYNCFS = 50,
    FUSE_TMPFILE = 51,
    [CName(Since = "6.6")]
    FUSE_STATX = 52,
    CUSE_INIT = 4096,
}

/// <summary><c>enum fuse_notify_code</c> of <c>linux/fuse.h</c>.</summary>
[CConstants("linux/fuse.h")]
public enum fuse_notify_code : uint
{
    FUSE_NOTIFY_POLL = 1,
    FUSE_NOTIFY_INVAL_INODE = 2,
    FUSE_NOTIFY_INVAL_ENTRY = 3,
    FUSE_NOTIFY_STORE = 4,
    FUSE_NOTIFY_RETRIEVE = 5,
    FUSE_NOTIFY_DELETE = 6,
    /// <summary>Asks the kernel to send again what was read and not answered.</summary>
    [CName(Since = "6.9")]
    FUSE_NOTIFY_RESEND = 7,
}

/// <summary><c>enum fuse_ext_type</c> of <c>linux/fuse.h</c>: what an extension after a request's arguments carries.</summary>
[CConstants("linux/fuse.h")]
public enum fuse_ext_type : uint
{
    /// <summary>Types up to this one are numbers of security contexts.</summary>
    [CName(Since = "6.2")]
    FUSE_MAX_NR_SECCTX = 31,
    [CName(Since = "6.3")]
    FUSE_EXT_GROUPS = 32,
}
