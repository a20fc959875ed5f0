using System.Globalization;
using Dpu.Linux;

namespace Dpu.Qtfs.Export;

/// <summary>
/// For tests: an agent that is started with <c>DPU_CRASH_AT=POINT</c> or <c>POINT:N</c> dies at the N-th passing of that point, as kill -9
/// would have it.
/// </summary>
internal static class CrashPoints
{
    private static readonly (SlotPoint Point, int Passing)? s_at = Read(Environment.GetEnvironmentVariable("DPU_CRASH_AT"));
    private static readonly string? s_named = Environment.GetEnvironmentVariable("DPU_CRASH_AT");
    private static int s_passed;

    /// <summary>A point that is no slot's.</summary>
    public static void Reach(string point)
    {
        if (point == s_named)
        {
            _ = LibC.kill(Environment.ProcessId, signal.SIGKILL);
        }
    }

    public static void Reach(SlotPoint point, Action<SlotPoint>? at)
    {
        at?.Invoke(point);
        if (s_at is { } fatal && fatal.Point == point && Interlocked.Increment(ref s_passed) == fatal.Passing)
        {
            _ = LibC.kill(Environment.ProcessId, signal.SIGKILL);
        }
    }

    private static (SlotPoint, int)? Read(string? text)
    {
        string[] parts = text?.Split(':') ?? [];
        return parts.Length > 0 && Enum.TryParse(parts[0], ignoreCase: true, out SlotPoint point)
            ? (point, parts.Length > 1 ? int.Parse(parts[1], CultureInfo.InvariantCulture) : 1)
            : null;
    }
}
