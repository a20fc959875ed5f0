using Dpu.Hosting.Configuration;
using Dpu.Linux;

namespace Dpu.Runtime.Views.Calls;

/// <summary>A kind of call that a view's filter holds.</summary>
internal enum CallKind
{
    None,
    SchedSetAffinity,
    SchedGetAffinity,
    SchedSetScheduler,
    SchedGetScheduler,
    SchedSetParam,
    SchedGetParam,
    SchedSetAttr,
    SchedGetAttr,
    Prlimit,
    SetPriority,
    GetPriority,
    Uname,
    Mount,
    Umount,
    OpenTree,
    MoveMount,
    FsOpen,
    FsPick,
    MountSetAttr,
}

/// <summary>
/// The filter of a view's daemons (seccomp(2)), as a classic BPF program. It holds a call only where it names another process by number, for that may be
/// one that stands for a host's: all else passes, at the cost of the filter alone. Pure.
/// </summary>
internal static class SeccompFilter
{
    // Of x86-64: numbers of the x32 ABI, which would pass by another number.
    private const uint X32 = 0x40000000;
    private const int Number = 0;
    private const int Architecture = 4;
    private const int Arguments = 16;

    // Low halves of arguments are enough: pid_t has 32 bits.
    private const int First = Arguments;
    private const int Second = Arguments + 8;
    private static readonly bool s_isArm64 = MachineArchitecture.IsArm64;

    // Where the process is named: 0 the first argument, 1 the second where the first is PRIO_PROCESS, -1 nowhere.
    private static readonly (CallKind Kind, string Name, int X64, int Arm64, ViewCalls Group, int Process)[] s_calls =
    [
        (CallKind.SchedSetAffinity, "sched_setaffinity", syscalls_x64.SYS_sched_setaffinity, syscalls_arm64.SYS_sched_setaffinity, ViewCalls.Scheduling, 0),
        (CallKind.SchedGetAffinity, "sched_getaffinity", syscalls_x64.SYS_sched_getaffinity, syscalls_arm64.SYS_sched_getaffinity, ViewCalls.Scheduling, 0),
        (CallKind.SchedSetScheduler, "sched_setscheduler", syscalls_x64.SYS_sched_setscheduler, syscalls_arm64.SYS_sched_setscheduler, ViewCalls.Scheduling, 0),
        (CallKind.SchedGetScheduler, "sched_getscheduler", syscalls_x64.SYS_sched_getscheduler, syscalls_arm64.SYS_sched_getscheduler, ViewCalls.Scheduling, 0),
        (CallKind.SchedSetParam, "sched_setparam", syscalls_x64.SYS_sched_setparam, syscalls_arm64.SYS_sched_setparam, ViewCalls.Scheduling, 0),
        (CallKind.SchedGetParam, "sched_getparam", syscalls_x64.SYS_sched_getparam, syscalls_arm64.SYS_sched_getparam, ViewCalls.Scheduling, 0),
        (CallKind.SchedSetAttr, "sched_setattr", syscalls_x64.SYS_sched_setattr, syscalls_arm64.SYS_sched_setattr, ViewCalls.Scheduling, 0),
        (CallKind.SchedGetAttr, "sched_getattr", syscalls_x64.SYS_sched_getattr, syscalls_arm64.SYS_sched_getattr, ViewCalls.Scheduling, 0),
        (CallKind.Prlimit, "prlimit64", syscalls_x64.SYS_prlimit64, syscalls_arm64.SYS_prlimit64, ViewCalls.Limits, 0),
        (CallKind.SetPriority, "setpriority", syscalls_x64.SYS_setpriority, syscalls_arm64.SYS_setpriority, ViewCalls.Priority, 1),
        (CallKind.GetPriority, "getpriority", syscalls_x64.SYS_getpriority, syscalls_arm64.SYS_getpriority, ViewCalls.Priority, 1),
        (CallKind.Uname, "uname", syscalls_x64.SYS_uname, syscalls_arm64.SYS_uname, ViewCalls.Name, -1),
        (CallKind.Mount, "mount", syscalls_x64.SYS_mount, syscalls_arm64.SYS_mount, ViewCalls.Mounts, -1),
        (CallKind.Umount, "umount2", syscalls_x64.SYS_umount2, syscalls_arm64.SYS_umount2, ViewCalls.Mounts, -1),
        (CallKind.OpenTree, "open_tree", mount_syscalls.SYS_open_tree, mount_syscalls.SYS_open_tree, ViewCalls.Mounts, -1),
        (CallKind.MoveMount, "move_mount", mount_syscalls.SYS_move_mount, mount_syscalls.SYS_move_mount, ViewCalls.Mounts, -1),
        (CallKind.FsOpen, "fsopen", mount_syscalls.SYS_fsopen, mount_syscalls.SYS_fsopen, ViewCalls.Mounts, -1),
        (CallKind.FsPick, "fspick", mount_syscalls.SYS_fspick, mount_syscalls.SYS_fspick, ViewCalls.Mounts, -1),
        (CallKind.MountSetAttr, "mount_setattr", mount_syscalls.SYS_mount_setattr, mount_syscalls.SYS_mount_setattr, ViewCalls.Mounts, -1),
    ];

    /// <summary>Names of calls, as section 2 of the manual has them.</summary>
    public static IReadOnlyList<(CallKind Kind, string Name)> Names { get; } = [.. s_calls.Select(call => (call.Kind, call.Name))];

    /// <summary>The program for this machine; none where nothing is to be held.</summary>
    public static sock_filter[] Build(ViewCalls groups) => Build(groups, s_isArm64);

    /// <summary>The program for an architecture.</summary>
    public static sock_filter[] Build(ViewCalls groups, bool arm64)
    {
        if (groups == ViewCalls.None)
        {
            return [];
        }

        List<sock_filter> program =
        [
            Load(Architecture),

            // 32-bit programs: their own numbers are held by nobody.
            Jump(bpf.BPF_JEQ, arm64 ? audit.AUDIT_ARCH_AARCH64 : audit.AUDIT_ARCH_X86_64, 1, 0),
            Return(seccomp.SECCOMP_RET_ALLOW),
            Load(Number),
        ];
        if (!arm64)
        {
            program.Add(Jump(bpf.BPF_JGE, X32, 0, 1));
            program.Add(Return(seccomp.SECCOMP_RET_ERRNO | (uint)errno.ENOSYS));
        }

        foreach ((_, _, int x64, int onArm64, ViewCalls group, int process) in s_calls)
        {
            if ((groups & group) != 0)
            {
                sock_filter[] held = Held(process);
                program.Add(Jump(bpf.BPF_JEQ, (uint)(arm64 ? onArm64 : x64), 0, (byte)held.Length));
                program.AddRange(held);
            }
        }

        program.Add(Return(seccomp.SECCOMP_RET_ALLOW));
        return [.. program];
    }

    /// <summary>Which call a number is of, on this machine.</summary>
    public static CallKind KindOf(int number) => s_calls.FirstOrDefault(call => (s_isArm64 ? call.Arm64 : call.X64) == number).Kind;

    /// <summary>What a call of that number is held by, each way ends.</summary>
    private static sock_filter[] Held(int process) => process switch
    {
        // 0 is the caller itself.
        0 => [Load(First), Jump(bpf.BPF_JEQ, 0, 0, 1), Return(seccomp.SECCOMP_RET_ALLOW), Return(seccomp.SECCOMP_RET_USER_NOTIF)],
        1 =>
        [
            Load(First), Jump(bpf.BPF_JEQ, 0, 1, 0), Return(seccomp.SECCOMP_RET_ALLOW),
            Load(Second), Jump(bpf.BPF_JEQ, 0, 0, 1), Return(seccomp.SECCOMP_RET_ALLOW), Return(seccomp.SECCOMP_RET_USER_NOTIF),
        ],
        _ => [Return(seccomp.SECCOMP_RET_USER_NOTIF)],
    };

    private static sock_filter Load(int offset) => new(bpf.BPF_LD | bpf.BPF_W | bpf.BPF_ABS, 0, 0, (uint)offset);

    private static sock_filter Jump(ushort comparison, uint value, byte then, byte otherwise) => new((ushort)(bpf.BPF_JMP | comparison | bpf.BPF_K), then, otherwise, value);

    private static sock_filter Return(uint answer) => new(bpf.BPF_RET | bpf.BPF_K, 0, 0, answer);
}
