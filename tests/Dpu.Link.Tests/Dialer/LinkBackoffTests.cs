using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Link.Tests.Dialer;

[TestClass]
public sealed class LinkBackoffTests
{
    [TestMethod, TestCategory("unit")]
    public void Bound_GrowsTwofoldToTheLimit()
    {
        var backoff = new LinkBackoff(new Random(1));
        CollectionAssert.AreEqual(
            new[] { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 },
            Enumerable.Range(0, 9).Select(a => (int)backoff.Bound(a).TotalMilliseconds).ToArray());
    }

    [TestMethod, TestCategory("unit")]
    public void Delay_AnyAttempt_IsWithinItsBound() => Prop.ForAll<int, int>((attempt, seed) =>
    {
        attempt &= int.MaxValue;
        var backoff = new LinkBackoff(new Random(seed));
        var delay = backoff.Delay(attempt);
        return delay >= TimeSpan.FromMilliseconds(10) && delay <= backoff.Bound(attempt) && delay <= LinkBackoff.DefaultLast;
    }).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void Delay_ManyDiallers_AreSpreadOverTheWholeBound()
    {
        var delays = Enumerable.Range(0, 1000).Select(seed => new LinkBackoff(new Random(seed)).Delay(10).TotalSeconds).ToArray();
        Assert.IsTrue(delays.Min() < 0.5, $"least {delays.Min()}");
        Assert.IsTrue(delays.Max() > 9.5, $"most {delays.Max()}");
        Assert.IsTrue(Math.Abs(delays.Average() - 5) < 0.5, $"mean {delays.Average()}");
    }
}
