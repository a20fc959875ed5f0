using Dpu.Ctl.Statistics;
using Dpu.Proto.V1;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Ctl.Tests;

[TestClass]
public sealed class LatencyCountsTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Quantile_OfAnyRequests_LiesInTheTrueOnesBucket() => Prop.ForAll(
        ArbMap.Default.ArbFor<NonEmptyArray<PositiveInt>>(),
        Arb.From(Gen.Choose(1, 100)),
        (latencies, percent) =>
        {
            ulong[] sorted = [.. latencies.Get.Select(l => (ulong)l.Get).Order()];
            ulong truth = sorted[(int)Math.Ceiling(percent / 100.0 * sorted.Length) - 1];
            double estimate = Of(sorted).Quantile(percent / 100.0, Span(sorted[^1]))!.Value.Ticks * 100.0;

            // In ticks of 100 ns: the slowest request is told rounded up.
            return estimate <= Bounds(truth).UpTo && estimate >= Math.Floor(Bounds(truth).Over / 100.0) * 100 && estimate <= Span(sorted[^1]).Ticks * 100.0;
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Quantile_OfALargerShare_IsNeverLess() => Prop.ForAll((NonEmptyArray<PositiveInt> latencies, PositiveInt a, PositiveInt b) =>
    {
        LatencyCounts counts = Of(latencies.Get.Select(l => (ulong)l.Get));
        double less = Math.Min(a.Get, b.Get) / (double)Math.Max(a.Get, b.Get);
        return counts.Quantile(less * 0.5, null) <= counts.Quantile(less, null) && counts.Quantile(less, null) <= counts.Quantile(1, null);
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Minus_WhatCameBefore_IsWhatCameSince() => Prop.ForAll((PositiveInt[] before, PositiveInt[] since) =>
    {
        ulong[] first = [.. before.Select(l => (ulong)l.Get)], second = [.. since.Select(l => (ulong)l.Get)];
        LatencyCounts all = Of(first).Plus(Of(second));
        return all.Minus(Of(first)).Buckets.SequenceEqual(Of(second).Buckets) && all.Total == (ulong)(first.Length + second.Length);
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Values_OfAHostileDaemon_NeverThrow() => Prop.ForAll((ulong[] numbers, double share) =>
    {
        ulong At(int i) => numbers[i % numbers.Length];
        LatencyCounts counts = numbers.Length == 0
            ? new LatencyCounts([])
            : new LatencyCounts(numbers.Select((n, i) => new LatencyBucket { OverNs = n, UpToNs = At(i + 1), Count = At(i + 2) }));
        _ = counts.Quantile(double.IsFinite(share) ? share : 1, TimeSpan.MaxValue);
        _ = counts.Quantile(0.99, null);
        _ = counts.Plus(counts).Minus(counts).Total;
        return true;
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Quantile_OfNothing_IsNone() => Assert.IsNull(new LatencyCounts([]).Quantile(0.99, TimeSpan.FromSeconds(1)));

    private static LatencyCounts Of(IEnumerable<ulong> nanoseconds) => new(nanoseconds.Select(n => new LatencyBucket { OverNs = Bounds(n).Over, UpToNs = Bounds(n).UpTo, Count = 1 }));

    // Buckets of another cut than the daemons': octaves.
    private static (ulong Over, ulong UpTo) Bounds(ulong nanoseconds)
    {
        ulong upTo = System.Numerics.BitOperations.RoundUpToPowerOf2(nanoseconds);
        return (upTo / 2, upTo);
    }

    private static TimeSpan Span(ulong nanoseconds) => TimeSpan.FromTicks((long)(nanoseconds + 99) / 100);
}
