#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Signals of <c>signal.h</c>.</summary>
[CConstants("signal.h")]
public static class signal
{
    public const int SIGHUP = 1;
    public const int SIGKILL = 9;
    public const int SIGTERM = 15;
    public const int SIGCONT = 18;
    public const int SIGSTOP = 19;
    public const int SIGINT = 2;
    public const int SIGQUIT = 3;
    public const int SIGTSTP = 20;
    public const int SIGTTIN = 21;
    public const int SIGTTOU = 22;

    /// <summary>si_code of sigqueue(3): the value is the sender's.</summary>
    public const int SI_QUEUE = -1;
}

/// <summary>What comes with a signal, of one that a process has sent.</summary>
[CStruct("siginfo_t", "signal.h")]
[StructLayout(LayoutKind.Explicit, Size = 128)]
public struct siginfo_t
{
    [FieldOffset(0)]
    public int si_signo;

    [FieldOffset(4)]
    public int si_errno;

    [FieldOffset(8)]
    public int si_code;

    [FieldOffset(16)]
    public int si_pid;

    [FieldOffset(20)]
    public uint si_uid;

    [FieldOffset(24)]
    public long si_value;
}

public static unsafe partial class LibC
{
    /// <summary>kill(2).</summary>
    [LibraryImport(Library)]
    public static partial int kill(int pid, int signal);

    /// <summary>pidfd_open(2): a descriptor of a process, which can be read from (poll(2)) when it has ended.</summary>
    public static int pidfd_open(int pid, uint flags) => (int)syscall(syscalls.SYS_pidfd_open, pid, (nint)flags, 0, 0, 0, 0);

    /// <summary>pidfd_send_signal(2); without <paramref name="info"/> as kill(2).</summary>
    public static int pidfd_send_signal(int pidfd, int signal, siginfo_t* info) =>
        (int)syscall(syscalls.SYS_pidfd_send_signal, pidfd, signal, (nint)info, 0, 0, 0);
}
