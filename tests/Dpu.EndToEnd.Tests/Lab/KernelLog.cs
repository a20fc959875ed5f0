using System.Globalization;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>What the kernel says (dmesg(1)), by the time since it started.</summary>
internal static class KernelLog
{
    /// <summary>Now, in microseconds; to be given to <see cref="Since"/>.</summary>
    public static long End() => Lines().Select(line => line.Time).DefaultIfEmpty(0).Max();

    /// <summary>What it has said after that.</summary>
    public static IReadOnlyList<string> Since(long time) => [.. Lines().Where(line => line.Time > time).Select(line => line.Text)];

    private static IEnumerable<(long Time, string Text)> Lines()
    {
        foreach (string line in ExternalProgram.Check("dmesg", ["--raw"], Pair.Limit).Split('\n'))
        {
            int open = line.IndexOf('['), close = line.IndexOf(']');
            if (open >= 0 && close > open
                && decimal.TryParse(line.AsSpan(open + 1, close - open - 1), NumberStyles.Number, CultureInfo.InvariantCulture, out decimal seconds))
            {
                yield return ((long)(seconds * 1_000_000), line[(close + 1)..]);
            }
        }
    }
}
