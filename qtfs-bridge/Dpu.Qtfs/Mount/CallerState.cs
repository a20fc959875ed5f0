using System.Globalization;

namespace Dpu.Qtfs.Mount;

/// <summary>Whether a thread that waits for a request is being killed. FUSE tells of every signal alike; the thread's state tells them apart.</summary>
internal static class CallerState
{
    // Bit number = signal - 1 (proc_pid_status(5)). Whatever kills a process ends as SIGKILL in each of its threads.
    private const ulong SigKill = 1UL << (9 - 1);

    /// <summary>
    /// Whether a signal ends a request that the host was never asked. Of a wait for a lock any does; all else goes on, as on other
    /// file systems, unless the caller is being killed: programs do not expect EINTR of open(2) or unlink(2).
    /// </summary>
    /// <param name="opcode">What it asks for.</param>
    /// <param name="thread">As of <see cref="IsDying(uint)"/>.</param>
    public static bool EndsUnsent(uint opcode, uint thread) => PendingRequests.Takes(opcode) || IsDying(thread);

    /// <summary>Whether SIGKILL is pending for the thread, or it is gone.</summary>
    /// <param name="thread">The thread id of a FUSE header, in this process's pid namespace; 0 where it is in another.</param>
    public static bool IsDying(uint thread)
    {
        if (thread == 0)
        {
            // Nobody can say. A caller that waits for ever is worse than one that hears EINTR too early.
            return true;
        }

        try
        {
            return IsDying(File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{thread}/status")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it has ended.
            return true;
        }
    }

    /// <summary>As <see cref="IsDying(uint)"/>, from the text of <c>/proc/TID/status</c>. Pure.</summary>
    public static bool IsDying(string status)
    {
        foreach (string line in status.Split('\n'))
        {
            bool pending = line.StartsWith("SigPnd:", StringComparison.Ordinal) || line.StartsWith("ShdPnd:", StringComparison.Ordinal);
            if (pending
                && ulong.TryParse(line.AsSpan(line.IndexOf(':', StringComparison.Ordinal) + 1).Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong signals)
                && (signals & SigKill) != 0)
            {
                return true;
            }
        }

        return false;
    }
}
