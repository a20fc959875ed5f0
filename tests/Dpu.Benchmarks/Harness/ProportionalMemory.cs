using System.Globalization;

namespace Dpu.Benchmarks.Harness;

/// <summary>The proportional set size of processes: what is theirs alone, and their share of the rest.</summary>
internal static class ProportionalMemory
{
    /// <summary>Of one, in KiB.</summary>
    public static double KiB(int process)
    {
        string line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/smaps_rollup")).First(text => text.StartsWith("Pss:", StringComparison.Ordinal));
        return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}
