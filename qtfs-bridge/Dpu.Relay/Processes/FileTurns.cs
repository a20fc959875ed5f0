using Dpu.Linux;

namespace Dpu.Relay.Processes;

/// <summary>
/// Whose turn it is to move bytes into, or out of, a file with an offset of its own: splice(2) takes that without the lock under which read(2) and
/// write(2) do, so that of two processes with one open file (<c>for …; do … &amp; done &gt; file</c>), on two threads, one would overwrite the other's bytes. Thread-safe.
/// </summary>
internal static unsafe class FileTurns
{
    // A file that does not answer holds up those few that share its place.
    private static readonly Lock[] s_turns = [.. Enumerable.Range(0, 64).Select(_ => new Lock())];

    /// <summary>The lock of whatever open files there are of a descriptor's file.</summary>
    public static Lock Of(int descriptor)
    {
        var seen = default(statx);
        byte nothing = 0;

        // SAFETY: one on this stack, and an empty name. Where nothing is seen, one lock is as good as another.
        _ = LibC.statx(descriptor, &nothing, fcntl.AT_EMPTY_PATH, stat.STATX_INO, &seen);
        return s_turns[(int)(seen.stx_ino % (ulong)s_turns.Length)];
    }
}
