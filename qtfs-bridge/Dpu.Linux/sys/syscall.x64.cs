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
    public const int SYS_uname = 63;
    public const int SYS_getpriority = 140;
    public const int SYS_setpriority = 141;
    public const int SYS_sched_setparam = 142;
    public const int SYS_sched_getparam = 143;
    public const int SYS_sched_setscheduler = 144;
    public const int SYS_sched_getscheduler = 145;
    public const int SYS_sched_setaffinity = 203;
    public const int SYS_sched_getaffinity = 204;
    public const int SYS_prlimit64 = 302;
    public const int SYS_sched_setattr = 314;
    public const int SYS_sched_getattr = 315;
    public const int SYS_mount = 165;
    public const int SYS_umount2 = 166;
}
