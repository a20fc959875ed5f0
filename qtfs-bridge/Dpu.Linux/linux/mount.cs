#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>What statmount(2) and listmount(2) are asked for (Linux 6.8).</summary>
[CConstants("linux/mount.h")]
public static class linux_mount
{
    [CName(Since = "6.8")]
    public const ulong STATMOUNT_MNT_BASIC = 0x2;

    [CName(Since = "6.8")]
    public const ulong STATMOUNT_MNT_POINT = 0x10;

    /// <summary>All mounts below this process's root.</summary>
    [CName(Since = "6.8")]
    public const ulong LSMT_ROOT = 0xffffffffffffffff;

    [CName(Since = "6.8")]
    public const uint MNT_ID_REQ_SIZE_VER0 = 24;
}

/// <summary>Numbers of calls that the C library does not wrap.</summary>
[CConstants("asm-generic/unistd.h")]
internal static class linux_mount_syscalls
{
    [CName("__NR_statmount", Since = "6.8")]
    public const int SYS_statmount = 457;

    [CName("__NR_listmount", Since = "6.8")]
    public const int SYS_listmount = 458;
}

/// <summary>Which mount, and what of it.</summary>
[CStruct("struct mnt_id_req", "linux/mount.h", Since = "6.8", Prefix = true)]
public struct mnt_id_req
{
    /// <summary><see cref="linux_mount.MNT_ID_REQ_SIZE_VER0"/>.</summary>
    public uint size;
    public uint mnt_ns_fd;

    /// <summary>A number of <see cref="stat.STATX_MNT_ID_UNIQUE"/>.</summary>
    public ulong mnt_id;

    /// <summary>What is wanted; of listmount the last number of the piece before.</summary>
    public ulong param;
}

/// <summary>The answer of statmount(2); strings follow behind its 512 bytes.</summary>
[CStruct("struct statmount", "linux/mount.h", Since = "6.8", Prefix = true)]
[StructLayout(LayoutKind.Sequential, Size = 512)]
public struct statmount
{
    public uint size;

    public uint mnt_opts;
    public ulong mask;
    public uint sb_dev_major;
    public uint sb_dev_minor;
    public ulong sb_magic;
    public uint sb_flags;
    public uint fs_type;
    public ulong mnt_id;
    public ulong mnt_parent_id;
    public uint mnt_id_old;
    public uint mnt_parent_id_old;
    public ulong mnt_attr;
    public ulong mnt_propagation;
    public ulong mnt_peer_group;
    public ulong mnt_master;
    public ulong propagate_from;
    public uint mnt_root;

    /// <summary>Where in the strings the mount point's path begins.</summary>
    public uint mnt_point;
}

public static unsafe partial class LibC
{
    /// <summary>statmount(2); <c>-EOVERFLOW</c> as errno where the room is too small, ENOENT where there is no such mount.</summary>
    public static int statmount(mnt_id_req* request, byte* buffer, nuint size) =>
        (int)syscall(linux_mount_syscalls.SYS_statmount, (nint)request, (nint)buffer, (nint)size, 0, 0, 0);

    /// <summary>listmount(2): the next numbers of mounts; how many, 0 after the last.</summary>
    public static long listmount(mnt_id_req* request, ulong* mounts, nuint count) =>
        syscall(linux_mount_syscalls.SYS_listmount, (nint)request, (nint)mounts, (nint)count, 0, 0, 0);
}
