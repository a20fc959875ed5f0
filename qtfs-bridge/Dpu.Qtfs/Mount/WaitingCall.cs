using System.Diagnostics;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount;

/// <summary>The system call in which a thread waits for this process (proc_pid_syscall(5)).</summary>
internal static class WaitingCall
{
    // It has asked, and goes to sleep as soon as it has a processor again: on a busy machine that takes some turns of others.
    private static readonly TimeSpan Limit = TimeSpan.FromMilliseconds(500);
    private const int QuickLooks = 100;

    /// <summary>What the kernel says of it.</summary>
    /// <param name="file">Its <c>/proc/TID/syscall</c>.</param>
    /// <returns>The text; "running" where it did not come to wait.</returns>
    /// <exception cref="IOException">It has ended.</exception>
    public static unsafe string Of(string file)
    {
        long since = Stopwatch.GetTimestamp();
        for (int look = 0; ; look++)
        {
            string text = File.ReadAllText(file);
            if (!text.StartsWith("running", StringComparison.Ordinal) || Stopwatch.GetElapsedTime(since) > Limit)
            {
                return text;
            }

            if (look < QuickLooks)
            {
                _ = Thread.Yield();
            }
            else
            {
                // SAFETY: nothing but the time.
                _ = LibC.poll(null, 0, 1);
            }
        }
    }
}
