using Dpu.Qtfs.Export;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests.Export;

[TestClass]
public sealed class TokenBucketTests
{
    private const long Second = TimeSpan.TicksPerSecond;

    [TestMethod]
    [TestCategory("unit")]
    public void Take_WithoutLimit_NeverWaits() =>
        Assert.AreEqual(TimeSpan.Zero, new TokenBucket(0).Take(long.MaxValue, 0));

    [TestMethod]
    [TestCategory("unit")]
    public void Take_BurstOfASecond_IsFreeThenWaits()
    {
        var bucket = new TokenBucket(100);
        for (int i = 0; i < 101; i++)
        {
            Assert.AreEqual(TimeSpan.Zero, bucket.Take(1, now: Second), $"token {i}");
        }

        Assert.AreEqual(TimeSpan.FromMilliseconds(10), bucket.Take(1, now: Second));
        Assert.AreEqual(TimeSpan.Zero, bucket.Take(1, now: 10 * Second));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Take_WhoWaitsAsTold_NeverExceedsTheRateButForTheBurst() =>
        Prop.ForAll(Gen.Choose(1, 5000).ToArbitrary(), Gen.Choose(1, 300).ListOf(100).ToArbitrary(), (rate, takes) =>
        {
            var bucket = new TokenBucket(rate);
            long now = 7 * Second;
            long start = now;
            long taken = 0;
            foreach (int tokens in takes)
            {
                now += bucket.Take(tokens, now).Ticks;
                if (taken > ((double)(now - start) / Second * rate) + rate + 1)
                {
                    return false;
                }

                taken += tokens;
            }

            return true;
        }).QuickCheckThrowOnFailure();
}
