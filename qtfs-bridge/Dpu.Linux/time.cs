#pragma warning disable CA1707, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Clocks of clock_gettime(2).</summary>
[CConstants("time.h")]
public static class time_h
{
    public const int CLOCK_THREAD_CPUTIME_ID = 3;
}

public static unsafe partial class LibC
{
    /// <summary>Processor time that the calling thread has had so far.</summary>
    public static TimeSpan ThreadTime()
    {
        timespec time = default;

        // SAFETY: a struct on this stack. The thread's own clock is always there (POSIX).
        _ = clock_gettime(time_h.CLOCK_THREAD_CPUTIME_ID, &time);
        return new TimeSpan((time.tv_sec * TimeSpan.TicksPerSecond) + (time.tv_nsec / TimeSpan.NanosecondsPerTick));
    }

    /// <summary>clock_gettime(2).</summary>
    [LibraryImport(Library)]
    public static partial int clock_gettime(int clock, timespec* time);
}
