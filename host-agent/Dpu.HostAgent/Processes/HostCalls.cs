using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Machine;
using Dpu.Linux;
using Dpu.Relay.Processes;

namespace Dpu.HostAgent.Processes;

/// <summary>
/// Does what a program on a DPU asks of the kernel for a process that it has had run here: as far as the rules of the program let a DPU choose that at the
/// process's start. The DPU checks who asks. By the kernel's own calls, for the C library's hide some of what they return.
/// </summary>
internal static unsafe class HostCalls
{
    private const uint ResetOnFork = 0x40000000; // SCHED_RESET_ON_FORK
    private const ulong HarmlessFlags = 1 | 8 | 0x10; // SCHED_FLAG_RESET_ON_FORK, _KEEP_POLICY, _KEEP_PARAMS
    private const int AttributesSize = 48; // SCHED_ATTR_SIZE_VER0
    private const int LimitSize = 16;
    private const int PriorityOfProcess = 0; // PRIO_PROCESS
    private const string MayRaise = "CAP_SYS_NICE";
    private static readonly bool s_isArm64 = MachineArchitecture.IsArm64;

    private enum Policy
    {
        Other = 0,
        Batch = 3,
        Idle = 5,
    }

    /// <summary>Does it.</summary>
    /// <param name="process">The process, which has not ended.</param>
    /// <param name="call">What.</param>
    /// <param name="rules">All that the configuration says of its program for this peer; none: nothing is permitted any more.</param>
    public static ProcessCallAnswer Do(int process, ProcessCall call, IReadOnlyList<ProgramConfiguration> rules)
    {
        byte[] room = [];
        long result = rules.Count == 0 ? -errno.EPERM : call.Kind switch
        {
            ProcessCallKind.SchedSetAffinity => SetAffinity(process, call.Content, rules),
            ProcessCallKind.SchedGetAffinity => WithRoom(call.First, ref room, at => Call(syscalls_x64.SYS_sched_getaffinity, syscalls_arm64.SYS_sched_getaffinity, process, (nint)call.First, at)),
            ProcessCallKind.SchedSetScheduler => SetScheduler(process, call.First, call.Second, rules),
            ProcessCallKind.SchedGetScheduler => Call(syscalls_x64.SYS_sched_getscheduler, syscalls_arm64.SYS_sched_getscheduler, process),
            ProcessCallKind.SchedSetParam => SetParam(process, call.First, rules),
            ProcessCallKind.SchedGetParam => WithRoom(sizeof(int), ref room, at => Call(syscalls_x64.SYS_sched_getparam, syscalls_arm64.SYS_sched_getparam, process, at)),
            ProcessCallKind.SchedSetAttr => SetAttributes(process, call.Content, call.First, rules),
            ProcessCallKind.SchedGetAttr => WithRoom(call.First, ref room, at => Call(syscalls_x64.SYS_sched_getattr, syscalls_arm64.SYS_sched_getattr, process, at, (nint)call.First, (nint)call.Second)),
            ProcessCallKind.Prlimit => SetLimit(process, call, rules, out room),
            ProcessCallKind.SetPriority => call.First < 0 && !MayBe(rules) ? -errno.EPERM
                : Call(syscalls_x64.SYS_setpriority, syscalls_arm64.SYS_setpriority, PriorityOfProcess, process, (int)Math.Clamp(call.First, -20, 19)),
            ProcessCallKind.GetPriority => Call(syscalls_x64.SYS_getpriority, syscalls_arm64.SYS_getpriority, PriorityOfProcess, process),
            _ => -errno.ENOSYS,
        };
        int written = result < 0 ? 0 : call.Kind == ProcessCallKind.SchedGetAffinity ? (int)result : room.Length;
        return new(call.Id, result, room[..written]);
    }

    private static long SetAffinity(int process, byte[] asked, IReadOnlyList<ProgramConfiguration> rules)
    {
        byte[] mask = [.. asked];
        foreach (ProgramConfiguration rule in rules.Where(rule => rule.Cpus is not null || rule.Nodes is not null))
        {
            // Where nothing of it is left that is EINVAL, as of processors that are not there.
            byte[] allowed = NumberList.ToMask(Placement.Of(rule.Cpus, rule.Nodes, MachineTopology.Here, out _)?.Processors ?? []);
            for (int i = 0; i < mask.Length; i++)
            {
                mask[i] &= i < allowed.Length ? allowed[i] : (byte)0;
            }
        }

        fixed (byte* at = mask)
        {
            // SAFETY: pinned, with its length.
            return Call(syscalls_x64.SYS_sched_setaffinity, syscalls_arm64.SYS_sched_setaffinity, process, mask.Length, (nint)at);
        }
    }

    private static long SetScheduler(int process, long policy, long priority, IReadOnlyList<ProgramConfiguration> rules)
    {
        if (!IsOrdinary((uint)policy & ~ResetOnFork) && !MayBe(rules))
        {
            return -errno.EPERM;
        }

        int value = (int)priority;

        // SAFETY: a struct sched_param on this stack: one int.
        return Call(syscalls_x64.SYS_sched_setscheduler, syscalls_arm64.SYS_sched_setscheduler, process, (int)policy, (nint)(&value));
    }

    private static long SetParam(int process, long priority, IReadOnlyList<ProgramConfiguration> rules)
    {
        int value = (int)priority;

        // SAFETY: as above. The kernel takes 0 alone of ordinary policies.
        return value != 0 && !MayBe(rules) ? -errno.EPERM : Call(syscalls_x64.SYS_sched_setparam, syscalls_arm64.SYS_sched_setparam, process, (nint)(&value));
    }

    private static long SetAttributes(int process, byte[] attributes, long flags, IReadOnlyList<ProgramConfiguration> rules)
    {
        // sched(7), struct sched_attr: 4 size, 4 policy, 8 flags, 4 nice, ...; the size is its own.
        if (attributes.Length < AttributesSize || BinaryPrimitives.ReadUInt32LittleEndian(attributes) != attributes.Length)
        {
            return -errno.EINVAL;
        }

        uint policy = BinaryPrimitives.ReadUInt32LittleEndian(attributes.AsSpan(4));
        bool isOrdinary = IsOrdinary(policy) && (BinaryPrimitives.ReadUInt64LittleEndian(attributes.AsSpan(8)) & ~HarmlessFlags) == 0 && BinaryPrimitives.ReadInt32LittleEndian(attributes.AsSpan(16)) >= 0;
        if (!isOrdinary && !MayBe(rules))
        {
            return -errno.EPERM;
        }

        fixed (byte* at = attributes)
        {
            // SAFETY: pinned, of the size that it says of itself.
            return Call(syscalls_x64.SYS_sched_setattr, syscalls_arm64.SYS_sched_setattr, process, (nint)at, (nint)flags);
        }
    }

    private static long SetLimit(int process, ProcessCall call, IReadOnlyList<ProgramConfiguration> rules, out byte[] old)
    {
        ulong* before = stackalloc ulong[2];
        ulong* next = stackalloc ulong[2];
        old = [];
        if (call.First < 0 || call.First >= ProgramConfiguration.LimitNames.Count || call.Content.Length is not (0 or LimitSize))
        {
            return -errno.EINVAL;
        }

        // SAFETY: pairs of numbers on this stack, as struct rlimit64.
        long result = Call(syscalls_x64.SYS_prlimit64, syscalls_arm64.SYS_prlimit64, process, (nint)call.First, 0, (nint)before);
        if (result < 0)
        {
            return result;
        }

        old = new ReadOnlySpan<byte>(before, LimitSize).ToArray();
        if (call.Content.Length == 0)
        {
            return 0;
        }

        call.Content.CopyTo(new Span<byte>(next, LimitSize));
        string name = ProgramConfiguration.LimitNames[(int)call.First];
        ulong most = rules.SelectMany(rule => rule.Limits).Where(limit => limit.Resource == name).Select(limit => (ulong)limit.Most).DefaultIfEmpty(before[1]).Min();

        // A limit that is higher already than the rules say now may stay, and be lowered.
        return next[1] > Math.Max(most, before[1])
            ? -errno.EPERM
            : Call(syscalls_x64.SYS_prlimit64, syscalls_arm64.SYS_prlimit64, process, (nint)call.First, (nint)next, 0);
    }

    private delegate long WithPointer(nint at);

    private static long WithRoom(long size, ref byte[] room, WithPointer call)
    {
        if (size is <= 0 or > ProcessCall.MaxContent)
        {
            return -errno.EINVAL;
        }

        room = new byte[size];
        fixed (byte* at = room)
        {
            // SAFETY: pinned, with the length that the kernel is told.
            return call((nint)at);
        }
    }

    private static bool IsOrdinary(uint policy) => (Policy)policy is Policy.Other or Policy.Batch or Policy.Idle;

    // What the process could do itself, as its rules say in words.
    private static bool MayBe(IReadOnlyList<ProgramConfiguration> rules) => rules.All(rule => rule.Capabilities?.Contains(MayRaise) == true);

    private static long Call(int x64, int arm64, nint a0, nint a1 = 0, nint a2 = 0, nint a3 = 0) => LibC.Result(LibC.syscall(s_isArm64 ? arm64 : x64, a0, a1, a2, a3, 0, 0));
}
