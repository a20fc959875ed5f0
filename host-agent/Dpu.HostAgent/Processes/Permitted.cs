using System.Text;
using Dpu.Hosting.Configuration;
using Dpu.Keeper;
using Dpu.Relay.Processes;

namespace Dpu.HostAgent.Processes;

/// <summary>What of a process's wishes a rule lets through.</summary>
internal static class Permitted
{
    private const int Effective = 0;
    private const int Allowed = 1;
    private const int Inheritable = 2;
    private const int Bounding = 3;
    private const int Ambient = 4;

    // SCHED_OTHER, SCHED_BATCH and SCHED_IDLE of sched(7): those that take nothing from others.
    private const int Other = 0;
    private const int Batch = 3;
    private const int Idle = 5;
    private const ulong Unlimited = ulong.MaxValue;

    /// <summary>What dpu-launch is told, of this machine's own ids.</summary>
    /// <param name="asked">What the DPU says.</param>
    /// <param name="rule">The rule that names it.</param>
    /// <param name="uid">As which user.</param>
    /// <param name="gid">With which group.</param>
    public static ProcessSpec Of(ProcessSpec asked, ProgramRule rule, uint uid, uint gid)
    {
        ProgramConfiguration definition = rule.Definition;
        var spec = new ProcessSpec
        {
            Program = definition.Path,
            Arguments = asked.Arguments.Count > 0 ? asked.Arguments : [Encoding.UTF8.GetBytes(definition.Path)],
            Environment = [.. rule.Passed(asked.Environment)],
            Directory = asked.Directory,
            Identity = (uid, gid),
            Groups = [.. (asked.Groups ?? []).Select(rule.Identity.ToHostGroup).Where(group => group != rule.Identity.AnonymousGid)],
            Umask = asked.Umask,
            Limits = [.. asked.Limits.Where(limit => limit.Resource < (uint)ProgramConfiguration.LimitNames.Count).Select(limit => Bound(limit, definition))],
            Capabilities = CapabilitiesOf(asked, definition, uid),
            Signals = asked.Signals,

            // Its parent on the DPU is not here: it has no terminal, and no process group to be in.
            Flags = (asked.Flags & process.PROCESS_NO_NEW_PRIVILEGES) | process.PROCESS_NEW_SESSION,

            // What makes others give way to it, or die before it, is the host's own to decide.
            OutOfMemory = asked.OutOfMemory is { } score ? Math.Clamp(score, 0, 1000) : null,
            Scheduling = asked.Scheduling is { Policy: Other or Batch or Idle } wish ? (wish.Policy, 0, Math.Clamp(wish.Nice, 0, 19)) : null,
        };
        return spec;
    }

    /// <summary>Takes out what the launcher has not, and so cannot give: a keeper in a container has not all.</summary>
    public static void Confine(ProcessSpec spec, int launcher)
    {
        if (spec.Capabilities is not [_, _, _, _, _] wishes)
        {
            return;
        }

        (ulong permitted, ulong bounding) = CapabilitiesOf(launcher);
        wishes[Bounding] &= bounding;
        wishes[Allowed] &= permitted & bounding;
        wishes[Effective] &= wishes[Allowed];
        wishes[Inheritable] &= permitted & bounding;
        wishes[Ambient] &= wishes[Inheritable] & wishes[Allowed];
    }

    /// <summary>The bit of a capability by its name; null where this kernel's headers know none.</summary>
    public static int? BitOf(string name)
    {
        int index = Array.IndexOf(s_names, name);
        return index < 0 ? null : index;
    }

    // Read once: the kernel writes all of it each time.
    private static (ulong Permitted, ulong Bounding) CapabilitiesOf(int number)
    {
        try
        {
            string status = File.ReadAllText(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"/proc/{number}/status"));
            return (Of(status, "\nCapPrm:"), Of(status, "\nCapBnd:"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: the launcher has died, which is told when it is to be told what to run.
            return (0, 0);
        }

        static ulong Of(string status, string set)
        {
            int at = status.IndexOf(set, StringComparison.Ordinal) + set.Length;
            int end = at < set.Length ? -1 : status.IndexOf('\n', at);
            return end > 0 && ulong.TryParse(status.AsSpan(at, end - at).Trim(), System.Globalization.NumberStyles.HexNumber, null, out ulong mask) ? mask : 0;
        }
    }

    private static (uint Resource, ulong Soft, ulong Hard) Bound((uint Resource, ulong Soft, ulong Hard) limit, ProgramConfiguration definition)
    {
        string name = ProgramConfiguration.LimitNames[(int)limit.Resource];
        ulong most = definition.Limits.Where(one => one.Resource == name).Select(one => (ulong)one.Most).DefaultIfEmpty(Unlimited).First();
        return (limit.Resource, Math.Min(limit.Soft, most), Math.Min(limit.Hard, most));
    }

    private static ulong[] CapabilitiesOf(ProcessSpec asked, ProgramConfiguration definition, uint uid)
    {
        ulong all = (1ul << (CapabilityNumbers.Last + 1)) - 1;
        ulong permitted = definition.Capabilities is null
            ? (uid == 0 ? all : 0)
            : definition.Capabilities.Select(BitOf).Where(bit => bit is not null).Aggregate(0ul, (mask, bit) => mask | (1ul << bit!.Value));
        ulong[] wishes = asked.Capabilities ?? (uid == 0 ? [all, all, 0, all, 0] : [0, 0, 0, all, 0]);

        // A user that has counterparts of another number has none of its rights there.
        if (uid != 0 && definition.Capabilities is null)
        {
            wishes = [0, 0, 0, wishes[Bounding], 0];
        }

        ulong bounding = definition.Capabilities is null ? wishes[Bounding] : wishes[Bounding] & permitted;
        ulong inheritable = wishes[Inheritable] & permitted & bounding;
        ulong allowed = wishes[Allowed] & permitted & bounding;
        return [wishes[Effective] & allowed, allowed, inheritable, bounding, wishes[Ambient] & inheritable & allowed];
    }

    private static readonly string[] s_names =
    [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE",
        "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE",
        "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ",
        "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
    ];

    private static class CapabilityNumbers
    {
        /// <summary>CAP_LAST_CAP of Linux 5.9 and later.</summary>
        public const int Last = 40;
    }
}
