using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Fuse.Tests.Statistics;

[TestClass]
public sealed class LatencyScaleTests
{
    [TestMethod, TestCategory("unit")]
    public void IndexOf_AnyLatency_IsTheBucketThatHoldsIt() => Prop.ForAll(Latencies(), latency =>
    {
        int index = LatencyScale.IndexOf(latency);
        return LatencyScale.LowerBound(index) < latency && latency <= LatencyScale.UpperBound(index);
    }).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void Bounds_OfAllBuckets_JoinAndGrowByAQuarterAtMost()
    {
        Assert.AreEqual(TimeSpan.Zero, LatencyScale.LowerBound(0));
        Assert.AreEqual(TimeSpan.MaxValue, LatencyScale.UpperBound(LatencyScale.Count - 1));
        for (int i = 0; i < LatencyScale.Count - 1; i++)
        {
            TimeSpan lower = LatencyScale.LowerBound(i), upper = LatencyScale.UpperBound(i);
            Assert.AreEqual(upper, LatencyScale.LowerBound(i + 1));
            Assert.IsLessThanOrEqualTo(Math.Max(TimeSpan.TicksPerMicrosecond, lower.Ticks / 4), (upper - lower).Ticks, $"bucket {i}");
            Assert.AreEqual(i, LatencyScale.IndexOf(upper), "an upper bound is inclusive");
            Assert.AreEqual(i, LatencyScale.IndexOf(lower + TimeSpan.FromTicks(1)), "a lower one is not");
        }

        Assert.AreEqual(0, LatencyScale.IndexOf(TimeSpan.Zero));
        Assert.AreEqual(0, LatencyScale.IndexOf(TimeSpan.FromSeconds(-1)), "a clock that went back is no reason to throw");
        Assert.AreEqual(LatencyScale.Count - 1, LatencyScale.IndexOf(TimeSpan.MaxValue));
    }

    [TestMethod, TestCategory("unit")]
    public void ToOctaves_AnyLatency_CountsItUnderTheFirstBoundThatReachesIt() => Prop.ForAll(Latencies(), latency =>
    {
        long[] buckets = new long[LatencyScale.Count];
        buckets[LatencyScale.IndexOf(latency)] = 1;
        long[] octaves = LatencyScale.ToOctaves(buckets);
        int expected = LatencyScale.OctaveSeconds.TakeWhile(bound => bound < latency.TotalSeconds).Count();
        return octaves.Length == LatencyScale.OctaveSeconds.Count + 1 && octaves.Sum() == 1 && octaves[expected] == 1;
    }).QuickCheckThrowOnFailure();

    // Evenly over the magnitudes, from 100 ns to an hour.
    private static Arbitrary<TimeSpan> Latencies() => Arb.From(
        from magnitude in Gen.Choose(0, 35)
        from within in Gen.Choose(0, 9999)
        select TimeSpan.FromTicks((1L << magnitude) + (long)((1L << magnitude) * (within / 10000.0))));
}
