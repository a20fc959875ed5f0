using Dpu.Rpc.Tests.Support;
using Dpu.Rpc.Wire;

namespace Dpu.Rpc.Tests.Wire;

[TestClass]
public sealed class DeadlineTimerTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Timer_LongerThanARuntimeTimer_RearmsUntilItsTime()
    {
        var clock = new ManualClock();
        int fired = 0;
        using var timer = new DeadlineTimer(clock, TimeSpan.FromDays(100), () => fired++);
        for (int day = 0; day < 99; day++)
        {
            clock.Advance(TimeSpan.FromDays(1));
        }

        Assert.AreEqual(0, fired);
        Assert.IsFalse(timer.IsExpired);
        clock.Advance(TimeSpan.FromDays(1));
        Assert.AreEqual(1, fired);
        Assert.IsTrue(timer.IsExpired);
        Assert.IsLessThanOrEqualTo(TimeSpan.FromDays(49), clock.LongestWait);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Timer_WallClockSet_IsNotMoved()
    {
        var clock = new ManualClock();
        int fired = 0;
        using var timer = new DeadlineTimer(clock, TimeSpan.FromSeconds(10), () => fired++);
        clock.SetWallClock(clock.GetUtcNow().AddYears(5));
        clock.Advance(TimeSpan.FromSeconds(9));
        Assert.AreEqual(0, fired);
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.AreEqual(1, fired);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Timer_Disposed_NeverFires()
    {
        var clock = new ManualClock();
        int fired = 0;
        new DeadlineTimer(clock, TimeSpan.FromSeconds(1), () => fired++).Dispose();
        clock.Advance(TimeSpan.FromDays(1));
        Assert.AreEqual(0, fired);
    }
}
