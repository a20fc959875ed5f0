using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Link.Tests.Dialer;

[TestClass]
public sealed class LinkBackoffTests
{
    [TestMethod, TestCategory("unit")]
    public void Bound_IsAFifthOfTheTimeSoFar_AndTheFirst_UpToTheLimit()
    {
        var backoff = new LinkBackoff(new Random(1));
        var soFar = TimeSpan.Zero;
        for (int attempt = 0; attempt < 100; attempt++)
        {
            double expected = Math.Min((soFar / 5 + LinkBackoff.DefaultFirst).TotalMilliseconds, LinkBackoff.DefaultLast.TotalMilliseconds);
            Assert.AreEqual(expected, backoff.Bound(attempt).TotalMilliseconds, 0.01, $"attempt {attempt}");
            soFar += backoff.Bound(attempt);
        }

        Assert.AreEqual(LinkBackoff.DefaultLast, backoff.Bound(35));
        Assert.AreEqual(LinkBackoff.DefaultLast, backoff.Bound(int.MaxValue));
    }

    [TestMethod, TestCategory("unit")]
    public void Delay_AnyAttempt_IsWithinItsBound() => Prop.ForAll<int, int>((attempt, seed) =>
    {
        attempt &= int.MaxValue;
        var backoff = new LinkBackoff(new Random(seed));
        var delay = backoff.Delay(attempt);
        return delay >= TimeSpan.FromMilliseconds(2) && delay <= backoff.Bound(attempt) && delay <= LinkBackoff.DefaultLast;
    }).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void Delay_ManyDiallers_AreSpreadOverTheWholeBound()
    {
        var delays = Enumerable.Range(0, 1000).Select(seed => new LinkBackoff(new Random(seed)).Delay(40).TotalSeconds).ToArray();
        Assert.IsTrue(delays.Min() < 0.5, $"least {delays.Min()}");
        Assert.IsTrue(delays.Max() > 9.5, $"most {delays.Max()}");
        Assert.IsTrue(Math.Abs(delays.Average() - 5) < 0.5, $"mean {delays.Average()}");
    }
}
