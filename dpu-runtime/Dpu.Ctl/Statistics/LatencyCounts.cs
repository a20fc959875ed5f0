using Dpu.Proto.V1;

namespace Dpu.Ctl.Statistics;

/// <summary>How many requests took how long, in buckets that say their bounds. Immutable.</summary>
internal sealed class LatencyCounts
{
    private readonly SortedDictionary<(ulong Over, ulong UpTo), ulong> _counts = [];

    /// <summary>Counts of a message; bounds that make no sense are left out.</summary>
    public LatencyCounts(IEnumerable<LatencyBucket> buckets)
    {
        foreach (LatencyBucket bucket in buckets)
        {
            ulong upTo = bucket.UpToNs == 0 ? ulong.MaxValue : bucket.UpToNs;
            if (upTo > bucket.OverNs && bucket.Count > 0)
            {
                _counts[(bucket.OverNs, upTo)] = Plus(_counts.GetValueOrDefault((bucket.OverNs, upTo)), bucket.Count);
            }
        }
    }

    private LatencyCounts()
    {
    }

    public ulong Total => _counts.Values.Aggregate(0ul, Plus);

    public IEnumerable<(ulong OverNs, ulong? UpToNs, ulong Count)> Buckets =>
        _counts.Select(bucket => (bucket.Key.Over, bucket.Key.UpTo == ulong.MaxValue ? null : (ulong?)bucket.Key.UpTo, bucket.Value));

    /// <summary>These and others together.</summary>
    public LatencyCounts Plus(LatencyCounts others)
    {
        var sum = new LatencyCounts();
        foreach (KeyValuePair<(ulong, ulong), ulong> bucket in _counts.Concat(others._counts))
        {
            sum._counts[bucket.Key] = Plus(sum._counts.GetValueOrDefault(bucket.Key), bucket.Value);
        }

        return sum;
    }

    /// <summary>What came since earlier counts of the same requests.</summary>
    public LatencyCounts Minus(LatencyCounts earlier)
    {
        var rest = new LatencyCounts();
        foreach (((ulong, ulong) bounds, ulong count) in _counts)
        {
            ulong before = earlier._counts.GetValueOrDefault(bounds);
            if (count > before)
            {
                rest._counts[bounds] = count - before;
            }
        }

        return rest;
    }

    /// <summary>
    /// The latency that a share of the requests did not exceed, as far as buckets tell: inside its bucket the requests
    /// count as spread evenly. Null without requests.
    /// </summary>
    /// <param name="share">0 to 1.</param>
    /// <param name="most">The slowest request, where it is known: nothing is said to be slower.</param>
    public TimeSpan? Quantile(double share, TimeSpan? most)
    {
        double wanted = share * Total, passed = 0;
        double limit = most is { } slowest ? slowest.Ticks * 100.0 : double.PositiveInfinity;
        TimeSpan? result = null;
        foreach (((ulong over, ulong upTo), ulong count) in _counts)
        {
            // The last bucket has no end but the slowest request.
            double end = upTo == ulong.MaxValue ? Math.Max(over, double.IsFinite(limit) ? limit : over) : upTo;
            double inside = Math.Clamp((wanted - passed) / count, 0, 1);
            result = Nanoseconds(Math.Min(limit, over + ((end - over) * inside)));
            passed += count;
            if (passed >= wanted)
            {
                break;
            }
        }

        return result;
    }

    /// <summary>The end of the last bucket that has a request: no request was slower.</summary>
    public TimeSpan? UpperBound(TimeSpan? most) => Quantile(1, most);

    private static TimeSpan Nanoseconds(double value) => TimeSpan.FromTicks((long)Math.Min(value / 100, TimeSpan.FromDays(36500).Ticks));

    // A daemon's numbers are not ours: they must not overflow here.
    private static ulong Plus(ulong a, ulong b) => a > ulong.MaxValue - b ? ulong.MaxValue : a + b;
}
