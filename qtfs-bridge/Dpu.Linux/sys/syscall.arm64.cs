#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>System call numbers of arm64 where the other architecture has another one.</summary>
[CConstants("sys/syscall.h", Architecture = "arm64")]
public static class syscalls_arm64
{
    public const int SYS_openat = 56;
    public const int SYS_bind = 200;
    public const int SYS_setgroups = 159;
    public const int SYS_getgroups = 158;
    public const int SYS_setresuid = 147;
    public const int SYS_setresgid = 149;
    public const int SYS_capget = 90;
    public const int SYS_capset = 91;
    public const int SYS_kcmp = 272;
    public const int SYS_gettid = 178;
    public const int SYS_uname = 160;
    public const int SYS_getpriority = 141;
    public const int SYS_setpriority = 140;
    public const int SYS_sched_setparam = 118;
    public const int SYS_sched_getparam = 121;
    public const int SYS_sched_setscheduler = 119;
    public const int SYS_sched_getscheduler = 120;
    public const int SYS_sched_setaffinity = 122;
    public const int SYS_sched_getaffinity = 123;
    public const int SYS_prlimit64 = 261;
    public const int SYS_sched_setattr = 274;
    public const int SYS_sched_getattr = 275;
    public const int SYS_mount = 40;
    public const int SYS_umount2 = 39;
}
