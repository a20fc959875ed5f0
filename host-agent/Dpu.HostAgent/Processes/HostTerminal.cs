using System.Runtime.InteropServices;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Relay.Processes;
using Dpu.Relay.Terminals;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes;

/// <summary>
/// The controlling terminal of a process: a pair whose master the process's streams have, and the pipe by which dpu-launch's helper in the process's session
/// is told to move it between foreground and background (qtfs-bridge/native/jobs.c). Thread-safe.
/// </summary>
internal sealed unsafe class HostTerminal : IDisposable
{
    /// <summary>Of one peer at a time: there are 4,096 on a machine by default, and logins need some.</summary>
    public const int MaxPerPeer = 1024;

    private const string KeptAs = "jobs";
    private const uint Mode = 0x190; // 0620: others may write to its user, by the group that devpts gives it
    private readonly SafeFileHandle _jobs;

    private HostTerminal(SafeFileHandle jobs) => _jobs = jobs;

    /// <summary>Makes one.</summary>
    /// <param name="asked">What it is to be.</param>
    /// <param name="uid">Whose it is to be.</param>
    /// <param name="streams">Get the master.</param>
    /// <param name="slaves">For each open file of it that the process has, and then one that is nobody's.</param>
    /// <param name="jobs">The end of the pipe that dpu-launch gets.</param>
    /// <param name="problem">Why not.</param>
    public static HostTerminal? TryMake(ProcessTerminal asked, uint uid, ProcessStreams streams, List<SafeFileHandle> slaves, out SafeFileHandle? jobs, out string problem)
    {
        jobs = null;
        using SafeFileHandle? master = PseudoTerminal.TryOpen(fcntl.O_NONBLOCK, fcntl.O_RDWR, asked.Settings, out SafeFileHandle? own, out problem);
        if (master is null)
        {
            return null;
        }

        // By the master each is opened without a look at whose it is.
        foreach (int flags in asked.Flags)
        {
            if (PseudoTerminal.TryOpenSlave(master, flags & (fcntl.O_ACCMODE | fcntl.O_NONBLOCK | fcntl.O_APPEND), out problem) is not { } slave)
            {
                own!.Dispose();
                return null;
            }

            slaves.Add(slave);
        }

        slaves.Add(own!);
        int number = (int)own!.DangerousGetHandle();
        int* ends = stackalloc int[2];

        // SAFETY: two descriptors on the stack.
        if (LibC.fchown(number, uid, uint.MaxValue) < 0 || LibC.fchmod(number, Mode) < 0 || LibC.pipe2(ends, fcntl.O_CLOEXEC) < 0)
        {
            problem = $"a terminal cannot be made the user's: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}";
            return null;
        }

        (jobs, var ours) = (new SafeFileHandle(ends[0], ownsHandle: true), new SafeFileHandle(ends[1], ownsHandle: true));
        _ = LibC.SetNonBlocking(ours);
        var made = new HostTerminal(ours);
        made.Tell(new ProcessJob(asked.IsForeground ? process.PROCESS_FOREGROUND : process.PROCESS_BACKGROUND, asked.Settings.Dimensions));
        if (streams.TryAddTerminal(master, isProcesss: true))
        {
            return made;
        }

        problem = $"it has more than {ProcessStreams.Most - 2} pipes beside its terminal, or no descriptors are left";
        made.Dispose();
        return null;
    }

    /// <summary>That of an earlier life of the agent; null where there was none.</summary>
    public static HostTerminal? Find(ProcessMemory memory)
    {
        using Kept? kept = memory.Get(KeptAs);
        if (kept?.Descriptor is not { } descriptor)
        {
            return null;
        }

        var found = new HostTerminal(new SafeFileHandle(Relay.Descriptors.Descriptor.Release(descriptor), ownsHandle: true));
        found.Keep(memory);
        return found;
    }

    /// <summary>Has the keeper hold what is not the streams'.</summary>
    public void Keep(ProcessMemory memory) => memory.Hold(KeptAs, _jobs);

    /// <summary>Has something done, in order, soon; false where nobody is there who does it: the process has ended.</summary>
    public bool Tell(ProcessJob job)
    {
        byte[] bytes = job.ToBytes();
        fixed (byte* first = bytes)
        {
            // SAFETY: pinned for the call, with its length. A pipe takes so few bytes whole or not at all (pipe(7)).
            return !_jobs.IsClosed && LibC.Result(LibC.write((int)_jobs.DangerousGetHandle(), first, (nuint)bytes.Length)) == bytes.Length;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _jobs.Dispose();
}
