using System.Diagnostics;
using Dpu.Benchmarks.Targets;

namespace Dpu.Benchmarks.Files;

/// <summary>How much managed memory a request costs, in both daemons together.</summary>
internal static unsafe class AllocationWork
{
    // The least counts: timers of the daemons allocate too, now and then.
    private const int Loads = 2;

    /// <summary>
    /// Bytes a request, rounded: what the daemons allocate under load, less what they do by themselves in the same time and what it
    /// costs to ask them; the load is attributes, reads and writes of 4 KiB, reads and writes of 1 MiB.
    /// </summary>
    public static double Run(FileTarget target)
    {
        var daemons = (DaemonsTarget)target;

        // Its first use compiles code.
        _ = daemons.AllocatedBytes();
        double least = double.PositiveInfinity;
        for (int i = 0; i < Loads; i++)
        {
            double before = daemons.AllocatedBytes();
            long start = Stopwatch.GetTimestamp();
            Load(target, out long requests);
            TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
            double loaded = daemons.AllocatedBytes() - before;
            before = daemons.AllocatedBytes();
            Task.Delay(elapsed).Wait();
            double idle = daemons.AllocatedBytes() - before;
            least = Math.Min(least, Math.Max(0, loaded - idle) / requests);
        }

        return Math.Round(least);
    }

    private static void Load(FileTarget target, out long requests) =>
        requests = FileWorks.PerSecond(target, 0, FileWorks.GetAttr).Operations
            + FileWorks.PerSecond(target, FileWorks.Small, FileWorks.Read).Operations
            + FileWorks.PerSecond(target, FileWorks.Small, FileWorks.Write).Operations
            + FileWorks.PerSecond(target, FileWorks.Large, FileWorks.Read).Operations
            + FileWorks.PerSecond(target, FileWorks.Large, FileWorks.Write).Operations;
}
