#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of mount(2), umount2(2), fsopen(2) and fsmount(2).</summary>
[CConstants("sys/mount.h")]
public static class mount
{
    public const uint MS_RDONLY = 1;
    public const uint MS_NOSUID = 2;
    public const uint MS_NODEV = 4;
    public const uint MS_NOEXEC = 8;
    public const uint MS_BIND = 4096;
    public const int MNT_FORCE = 1;
    public const int MNT_DETACH = 2;
    public const int UMOUNT_NOFOLLOW = 8;
    public const uint FSOPEN_CLOEXEC = 1;
    public const uint FSMOUNT_CLOEXEC = 1;
    public const uint FSCONFIG_CMD_CREATE = 6;
}

/// <summary>Numbers of the mount calls that the C library of Debian 11 and Ubuntu 22.04 does not wrap.</summary>
[CConstants("sys/syscall.h")]
internal static class mount_syscalls
{
    public const int SYS_fsopen = 430;
    public const int SYS_fsconfig = 431;
    public const int SYS_fsmount = 432;
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
}
