using Dpu.Relay.Flow;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Flow;

/// <summary>When a thread of relays looks for what it expects instead of sleeping.</summary>
[TestClass]
public sealed class PollWindowTests
{
    private const long Most = 1000;

    [TestMethod]
    [TestCategory("unit")]
    public void AnswersThatComeSoon_OpenTheWindow_AndALateOneClosesIt()
    {
        var window = new PollWindow();
        Assert.AreEqual(0, window.LengthAt(0, Most), "nothing is known yet");
        window.Came(300, Most);
        Assert.AreEqual(250, window.LengthAt(0, Most), "a quarter at first");
        window.Came(300, Most);
        Assert.AreEqual(500, window.LengthAt(0, Most));
        window.Came(400, Most);
        Assert.AreEqual(500, window.LengthAt(0, Most), "long enough for what came");
        window.Came(Most + 1, Most);
        Assert.AreEqual(0, window.LengthAt(0, Most), "what comes so late is slept for");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void OthersThatNeedTheProcessor_HaveIt_EachTimeForLonger_AndTheRareOneCostsLittle()
    {
        var window = new PollWindow();
        long now = 0, before = 0;
        for (int i = 0; i < 20; i++)
        {
            window.Came(100, Most);
            Assert.AreNotEqual(0, window.LengthAt(now, Most));
            window.Crowded(now, Most);
            long paused = PauseAfter(window, now);
            Assert.IsTrue(paused == Math.Min(Math.Max(20 * Most, 2 * before), 5000 * Most), $"pause {i}: {paused} after {before}");
            (now, before) = (now + paused, paused);
        }

        now += 5000 * Most;
        window.Crowded(now, Most);
        Assert.AreEqual(20 * Most, PauseAfter(window, now), "as at first, when the last pause was long ago");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Window_AfterAnything_IsNeverLongerThanTheLongest() => Prop.ForAll<int[]>(waits =>
    {
        var window = new PollWindow();
        long now = 0;
        foreach (int wait in waits)
        {
            long after = Math.Abs((long)wait) * 37 % (2 * Most);
            now += after;
            if (wait % 7 == 3)
            {
                window.Crowded(now, Most);
            }
            else
            {
                window.Came(after, Most);
            }

            Assert.IsInRange(0, Most, window.LengthAt(now, Most));
            Assert.IsInRange(0, 10, window.LengthAt(now, 10), "a shorter limit holds at once");
        }
    }).QuickCheckThrowOnFailure();

    // By what it permits.
    private static long PauseAfter(PollWindow window, long now)
    {
        window.Came(1, Most);
        long pause = 0;
        while (window.LengthAt(now + pause, Most) == 0)
        {
            pause += Most;
        }

        return pause;
    }
}
