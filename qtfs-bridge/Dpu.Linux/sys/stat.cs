#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Constants of <c>sys/stat.h</c>.</summary>
[CConstants("fcntl.h sys/stat.h")]
public static class stat
{
    public const uint S_IFMT = 0xF000;
    public const uint S_IFSOCK = 0xC000;
    public const uint S_IFLNK = 0xA000;
    public const uint S_IFREG = 0x8000;
    public const uint S_IFBLK = 0x6000;
    public const uint S_IFDIR = 0x4000;
    public const uint S_IFCHR = 0x2000;
    public const uint S_IFIFO = 0x1000;
    public const uint S_ISUID = 0x800;
    public const uint S_ISGID = 0x400;
    public const uint S_ISVTX = 0x200;
    public const uint S_IXGRP = 0x8;
    public const long UTIME_NOW = (1L << 30) - 1;
    public const long UTIME_OMIT = (1L << 30) - 2;
    public const uint STATX_TYPE = 0x1;
    public const uint STATX_MODE = 0x2;
    public const uint STATX_NLINK = 0x4;
    public const uint STATX_UID = 0x8;
    public const uint STATX_GID = 0x10;
    public const uint STATX_INO = 0x100;
    public const uint STATX_SIZE = 0x200;
    public const uint STATX_BASIC_STATS = 0x7ff;
    public const uint STATX_BTIME = 0x800;
    public const uint STATX_MNT_ID = 0x1000;

    /// <summary>The mount's number, which no other one ever gets; asked for with <see cref="STATX_MNT_ID"/>, older kernels give that.</summary>
    [CName(Since = "6.8")]
    public const uint STATX_MNT_ID_UNIQUE = 0x4000;

    /// <summary>The file is the root of a mount.</summary>
    public const ulong STATX_ATTR_MOUNT_ROOT = 0x2000;
}

/// <summary>A time of statx(2).</summary>
[CStruct("struct statx_timestamp", "sys/stat.h")]
public struct statx_timestamp
{
    public long tv_sec;
    public uint tv_nsec;
    public int __reserved;
}

/// <summary>The answer of statx(2). Later kernels use more of its 256 bytes.</summary>
[CStruct("struct statx", "sys/stat.h", Prefix = true)]
[StructLayout(LayoutKind.Sequential, Size = 256)]
public struct statx
{
    public uint stx_mask;
    public uint stx_blksize;
    public ulong stx_attributes;
    public uint stx_nlink;
    public uint stx_uid;
    public uint stx_gid;
    public ushort stx_mode;
    public ushort __spare0;
    public ulong stx_ino;
    public ulong stx_size;
    public ulong stx_blocks;
    public ulong stx_attributes_mask;
    public statx_timestamp stx_atime;
    public statx_timestamp stx_btime;
    public statx_timestamp stx_ctime;
    public statx_timestamp stx_mtime;
    public uint stx_rdev_major;
    public uint stx_rdev_minor;
    public uint stx_dev_major;
    public uint stx_dev_minor;
    public ulong stx_mnt_id;
}

/// <summary>A time in seconds and nanoseconds.</summary>
[CStruct("struct timespec", "time.h")]
public struct timespec
{
    public long tv_sec;
    public long tv_nsec;
}

public static unsafe partial class LibC
{
    /// <summary>statx(2).</summary>
    [LibraryImport(Library)]
    public static partial int statx(int dirfd, byte* path, int flags, uint mask, statx* buffer);

    /// <summary>umask(2); per thread after <c>unshare(CLONE_FS)</c>. Cannot fail.</summary>
    [LibraryImport(Library)]
    public static partial uint umask(uint mask);

    [LibraryImport(Library)]
    public static partial int mkdirat(int dirfd, byte* path, uint mode);

    /// <summary>mknodat(2); <paramref name="device"/> as <see cref="makedev"/> encodes it.</summary>
    [LibraryImport(Library)]
    public static partial int mknodat(int dirfd, byte* path, uint mode, ulong device);

    [LibraryImport(Library)]
    public static partial int fchmod(int fd, uint mode);

    [LibraryImport(Library)]
    public static partial int fchmodat(int dirfd, byte* path, uint mode, int flags);

    /// <summary>utimensat(2); <paramref name="times"/> are two: access, then modification.</summary>
    [LibraryImport(Library)]
    public static partial int utimensat(int dirfd, byte* path, timespec* times, int flags);

    [LibraryImport(Library)]
    public static partial int futimens(int fd, timespec* times);

    /// <summary>A device number as the C library's <c>dev_t</c> (sys/sysmacros.h).</summary>
    public static ulong makedev(uint major, uint minor) =>
        ((ulong)(major & 0xfffff000) << 32) | ((ulong)(major & 0xfff) << 8) | ((ulong)(minor & 0xffffff00) << 12) | (minor & 0xff);
}
