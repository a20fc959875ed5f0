#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>System call numbers of x86-64 where the other architecture has another one.</summary>
[CConstants("sys/syscall.h", Architecture = "x64")]
public static class syscalls_x64
{
    public const int SYS_open = 2;
    public const int SYS_openat = 257;
    public const int SYS_bind = 49;
    public const int SYS_setgroups = 116;
    public const int SYS_getgroups = 115;
    public const int SYS_setresuid = 117;
    public const int SYS_setresgid = 119;
    public const int SYS_capget = 125;
    public const int SYS_capset = 126;
    public const int SYS_kcmp = 312;
    public const int SYS_gettid = 186;
}
