#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>seccomp(2): what a filter answers, and what its listener is asked.</summary>
[CConstants("sys/ioctl.h linux/types.h linux/seccomp.h")]
public static class seccomp
{
    public const uint SECCOMP_RET_ERRNO = 0x00050000;
    public const uint SECCOMP_RET_USER_NOTIF = 0x7fc00000;
    public const uint SECCOMP_RET_ALLOW = 0x7fff0000;
    public const uint SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;
    public const uint SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100;
    public const uint SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101;
    public const uint SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102;

    [CName(Since = "6.6")]
    public const uint SECCOMP_IOCTL_NOTIF_SET_FLAGS = 0x40082104;

    [CName(Since = "6.6")]
    public const ulong SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1;
}

/// <summary>A call as a filter sees it.</summary>
[CStruct("struct seccomp_data", "linux/seccomp.h")]
public unsafe struct seccomp_data
{
    public int nr;
    public uint arch;
    public ulong instruction_pointer;
    public fixed ulong args[6];
}

/// <summary>A call that waits for its listener.</summary>
[CStruct("struct seccomp_notif", "linux/seccomp.h")]
public struct seccomp_notif
{
    public ulong id;
    public uint pid;
    public uint flags;
    public seccomp_data data;
}

/// <summary>The listener's answer.</summary>
[CStruct("struct seccomp_notif_resp", "linux/seccomp.h")]
public struct seccomp_notif_resp
{
    public ulong id;
    public long val;
    public int error;
    public uint flags;
}
