#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>System call numbers that x86-64 and arm64 share.</summary>
[CConstants("sys/syscall.h")]
public static class syscalls
{
    public const int SYS_pidfd_send_signal = 424;
    public const int SYS_pidfd_open = 434;
    public const int SYS_openat2 = 437;
    public const int SYS_faccessat2 = 439;
}

/// <summary>This machine's numbers where they differ; see <see cref="syscalls_x64"/> and <see cref="syscalls_arm64"/>.</summary>
public static class SystemCallNumber
{
    /// <summary>-1 where there is none: arm64 has openat(2) only.</summary>
    public static int Open => MachineArchitecture.IsArm64 ? -1 : syscalls_x64.SYS_open;

    public static int OpenAt => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_openat : syscalls_x64.SYS_openat;

    public static int Bind => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_bind : syscalls_x64.SYS_bind;

    public static int SetGroups => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_setgroups : syscalls_x64.SYS_setgroups;

    public static int GetGroups => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_getgroups : syscalls_x64.SYS_getgroups;

    public static int SetResUid => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_setresuid : syscalls_x64.SYS_setresuid;

    public static int SetResGid => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_setresgid : syscalls_x64.SYS_setresgid;

    public static int CapGet => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_capget : syscalls_x64.SYS_capget;

    public static int CapSet => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_capset : syscalls_x64.SYS_capset;

    public static int Kcmp => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_kcmp : syscalls_x64.SYS_kcmp;

    public static int GetTid => MachineArchitecture.IsArm64 ? syscalls_arm64.SYS_gettid : syscalls_x64.SYS_gettid;
}

public static unsafe partial class LibC
{
    /// <summary>syscall(2): the kernel's call itself, for what the C library does to all threads or does not know.</summary>
    [LibraryImport(Library)]
    public static partial nint syscall(nint number, nint a0, nint a1, nint a2, nint a3, nint a4, nint a5);

    /// <summary>setgroups of this thread only; the C library's sets those of every thread.</summary>
    public static int ThreadSetGroups(uint* groups, int count) =>
        (int)syscall(SystemCallNumber.SetGroups, count, (nint)groups, 0, 0, 0, 0);

    /// <summary>setresuid of this thread only; <see cref="uint.MaxValue"/> leaves an id as it is.</summary>
    public static int ThreadSetResUid(uint real, uint effective, uint saved) =>
        (int)syscall(SystemCallNumber.SetResUid, (nint)real, (nint)effective, (nint)saved, 0, 0, 0);

    /// <summary>setresgid of this thread only; <see cref="uint.MaxValue"/> leaves an id as it is.</summary>
    public static int ThreadSetResGid(uint real, uint effective, uint saved) =>
        (int)syscall(SystemCallNumber.SetResGid, (nint)real, (nint)effective, (nint)saved, 0, 0, 0);

    /// <summary>kcmp(2) of KCMP_FILE: 0 where two descriptors of this process are one open file; negative where the kernel does not say.</summary>
    public static int CompareFiles(int one, int other)
    {
        int self = Environment.ProcessId;
        return (int)Result(syscall(SystemCallNumber.Kcmp, self, self, 0, one, other, 0));
    }

    /// <summary>The kernel's number of this thread.</summary>
    public static int ThreadId() => (int)syscall(SystemCallNumber.GetTid, 0, 0, 0, 0, 0, 0);

    /// <summary>faccessat2(2), which unlike the C library's faccessat takes every flag without emulation.</summary>
    public static int faccessat2(int dirfd, byte* path, int mode, int flags) =>
        (int)syscall(syscalls.SYS_faccessat2, dirfd, (nint)path, mode, flags, 0, 0);
}
