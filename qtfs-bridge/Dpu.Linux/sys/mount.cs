#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of mount(2), umount2(2), fsopen(2), fsmount(2), open_tree(2), move_mount(2) and mount_setattr(2).</summary>
[CConstants("sys/mount.h")]
public static class mount
{
    public const uint MS_RDONLY = 1;
    public const uint MS_NOSUID = 2;
    public const uint MS_NODEV = 4;
    public const uint MS_NOEXEC = 8;
    public const uint MS_SYNCHRONOUS = 16;
    public const uint MS_REMOUNT = 32;
    public const uint MS_DIRSYNC = 128;
    public const uint MS_NOSYMFOLLOW = 256;
    public const uint MS_NOATIME = 1024;
    public const uint MS_NODIRATIME = 2048;
    public const uint MS_BIND = 4096;
    public const uint MS_MOVE = 8192;
    public const uint MS_REC = 16384;
    public const uint MS_SILENT = 32768;
    public const uint MS_UNBINDABLE = 1 << 17;
    public const uint MS_PRIVATE = 1 << 18;
    public const uint MS_SLAVE = 1 << 19;
    public const uint MS_SHARED = 1 << 20;
    public const uint MS_RELATIME = 1 << 21;
    public const uint MS_STRICTATIME = 1 << 24;
    public const uint MS_LAZYTIME = 1 << 25;
    public const int MNT_FORCE = 1;
    public const int MNT_DETACH = 2;
    public const int MNT_EXPIRE = 4;
    public const int UMOUNT_NOFOLLOW = 8;
    public const uint FSOPEN_CLOEXEC = 1;
    public const uint FSMOUNT_CLOEXEC = 1;
    public const uint FSCONFIG_SET_FLAG = 0;
    public const uint FSCONFIG_SET_STRING = 1;
    public const uint FSCONFIG_SET_FD = 5;
    public const uint FSCONFIG_CMD_CREATE = 6;
    public const uint OPEN_TREE_CLONE = 1;
    public const uint MOVE_MOUNT_F_EMPTY_PATH = 4;
    public const uint MOVE_MOUNT_T_EMPTY_PATH = 64;
    public const uint MOUNT_ATTR_RDONLY = 1;
    public const uint MOUNT_ATTR_NOSUID = 2;
    public const uint MOUNT_ATTR_NODEV = 4;
    public const uint MOUNT_ATTR_NOEXEC = 8;
    public const uint MOUNT_ATTR_NOATIME = 16;
    public const uint MOUNT_ATTR_STRICTATIME = 32;
    public const uint MOUNT_ATTR_NODIRATIME = 128;
    public const uint MOUNT_ATTR_NOSYMFOLLOW = 0x200000;
}

/// <summary>Numbers of the mount calls that the C library of Debian 11 and Ubuntu 22.04 does not wrap.</summary>
[CConstants("sys/syscall.h")]
public static class mount_syscalls
{
    public const int SYS_open_tree = 428;
    public const int SYS_move_mount = 429;
    public const int SYS_fsopen = 430;
    public const int SYS_fsconfig = 431;
    public const int SYS_fsmount = 432;
    public const int SYS_fspick = 433;
    public const int SYS_mount_setattr = 442;
}

/// <summary>What mount_setattr(2) changes.</summary>
[CStruct("struct mount_attr", "sys/mount.h")]
public struct mount_attr
{
    public ulong attr_set;
    public ulong attr_clr;
    public ulong propagation;
    public ulong userns_fd;
}

public static unsafe partial class LibC
{
    /// <summary>mount(2).</summary>
    [LibraryImport(Library)]
    public static partial int mount(byte* source, byte* target, byte* type, nuint flags, void* data);

    /// <summary>umount2(2).</summary>
    [LibraryImport(Library)]
    public static partial int umount2(byte* target, int flags);

    /// <summary>fsopen(2): begins a file system that is mounted nowhere yet.</summary>
    public static int fsopen(byte* type, uint flags) => (int)syscall(mount_syscalls.SYS_fsopen, (nint)type, (nint)flags, 0, 0, 0, 0);

    /// <summary>fsconfig(2).</summary>
    public static int fsconfig(int fd, uint command, byte* key, void* value, int auxiliary) =>
        (int)syscall(mount_syscalls.SYS_fsconfig, fd, (nint)command, (nint)key, (nint)value, auxiliary, 0);

    /// <summary>fsmount(2): a descriptor of a mount that no path leads to, and that goes with the descriptor.</summary>
    public static int fsmount(int fd, uint flags, uint attributes) => (int)syscall(mount_syscalls.SYS_fsmount, fd, (nint)flags, (nint)attributes, 0, 0, 0);

    /// <summary>open_tree(2): with <see cref="mount.OPEN_TREE_CLONE"/> a copy of a mount that no path leads to, and that goes with the descriptor.</summary>
    public static int open_tree(int dirfd, byte* path, uint flags) => (int)syscall(mount_syscalls.SYS_open_tree, dirfd, (nint)path, (nint)flags, 0, 0, 0);

    /// <summary>move_mount(2).</summary>
    public static int move_mount(int fromDirfd, byte* from, int toDirfd, byte* to, uint flags) =>
        (int)syscall(mount_syscalls.SYS_move_mount, fromDirfd, (nint)from, toDirfd, (nint)to, (nint)flags, 0);

    /// <summary>mount_setattr(2), Linux 5.12.</summary>
    public static int mount_setattr(int dirfd, byte* path, uint flags, mount_attr* attributes) =>
        (int)syscall(mount_syscalls.SYS_mount_setattr, dirfd, (nint)path, (nint)flags, (nint)attributes, sizeof(mount_attr), 0);
}
