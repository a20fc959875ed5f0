using System.Numerics;

namespace Dpu.Fuse;

/// <summary>
/// The buckets that latencies are counted in: four of equal width in each power of two of microseconds, so that a bucket
/// is at most a quarter wider than where it begins, from 1 µs to 134 s. Fixed, so that counts of any two times or
/// threads can be added and subtracted. Pure.
/// </summary>
/// <remarks>A bucket has the latencies above its lower and up to its upper bound, as Prometheus' <c>le</c> has them.</remarks>
public static class LatencyScale
{
    private const int LastOctave = 26;
    private const int Overflow = 4 + ((LastOctave - 1) * 4);

    /// <summary>How many buckets there are; the last one takes everything beyond the scale.</summary>
    public const int Count = Overflow + 1;

    /// <summary>The bucket of a latency; a negative one counts as none.</summary>
    public static int IndexOf(TimeSpan latency)
    {
        // Ticks are 100 ns. One less, so that exactly 2 µs belong to the bucket that ends there.
        long microseconds = (latency.Ticks - 1) / TimeSpan.TicksPerMicrosecond;
        if (microseconds < 4)
        {
            return (int)Math.Max(0, microseconds);
        }

        int octave = BitOperations.Log2((ulong)microseconds);
        return octave > LastOctave ? Overflow : 4 + ((octave - 2) * 4) + (int)((microseconds >> (octave - 2)) & 3);
    }

    /// <summary>Where a bucket begins, exclusive.</summary>
    public static TimeSpan LowerBound(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count, nameof(index));
        long microseconds = index < 4 ? index : (4L + ((index - 4) % 4)) << ((index - 4) / 4);
        return TimeSpan.FromTicks(microseconds * TimeSpan.TicksPerMicrosecond);
    }

    /// <summary>Where a bucket ends, inclusive; the last one does not.</summary>
    public static TimeSpan UpperBound(int index) => index == Overflow ? TimeSpan.MaxValue : LowerBound(index + 1);

    /// <summary>The powers of two among the bounds, for histograms that need no more: 1 µs, 2 µs, … 134 s, in seconds.</summary>
    public static IReadOnlyList<double> OctaveSeconds { get; } =
        [.. Enumerable.Range(0, LastOctave + 2).Select(octave => (1L << octave) / 1e6)];

    /// <summary>Adds the buckets up by <see cref="OctaveSeconds"/>; one entry more, for what lies beyond.</summary>
    public static long[] ToOctaves(IReadOnlyList<long> buckets)
    {
        ArgumentNullException.ThrowIfNull(buckets);
        long[] octaves = new long[LastOctave + 3];
        for (int i = 0; i < buckets.Count; i++)
        {
            // Below 4 µs a bucket is 1 µs wide: those of 2 to 4 µs share an octave.
            int octave = i switch { 0 => 0, 1 => 1, 2 or 3 => 2, _ => ((i - 4) / 4) + 3 };
            octaves[octave] += buckets[i];
        }

        return octaves;
    }
}
