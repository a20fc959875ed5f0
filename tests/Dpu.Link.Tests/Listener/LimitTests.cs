using Dpu.Link.Listener;

namespace Dpu.Link.Tests.Listener;

[TestClass]
public sealed class LimitTests
{
    [TestMethod, TestCategory("unit")]
    public void ConnectionLimits_Handshakes_AreLimitedPerOriginAndAltogether()
    {
        var limits = new ConnectionLimits(maxHandshakes: 3, maxHandshakesPerOrigin: 2, maxConnections: 9);
        Assert.IsTrue(limits.TryBeginHandshake("a"));
        Assert.IsTrue(limits.TryBeginHandshake("a"));
        Assert.IsFalse(limits.TryBeginHandshake("a"));
        Assert.IsTrue(limits.TryBeginHandshake("b"));
        Assert.IsFalse(limits.TryBeginHandshake("c"));
        limits.EndHandshake("a");
        Assert.IsTrue(limits.TryBeginHandshake("c"));
        Assert.AreEqual(3, limits.Handshakes);
    }

    [TestMethod, TestCategory("unit")]
    public void ConnectionLimits_Connections_AreLimitedPerPeerAndAltogether()
    {
        var limits = new ConnectionLimits(9, 9, maxConnections: 3);
        Assert.IsTrue(limits.TryConnect("a", 2));
        Assert.IsTrue(limits.TryConnect("a", 2));
        Assert.IsFalse(limits.TryConnect("a", 2));
        Assert.IsTrue(limits.TryConnect("b", 2));
        Assert.IsFalse(limits.TryConnect("c", 2));
        limits.Disconnect("a");
        Assert.IsTrue(limits.TryConnect("c", 2));
        Assert.AreEqual(3, limits.Connections);
    }

    [TestMethod, TestCategory("unit")]
    public void LogGate_MoreThanTheBurst_IsHeldBackAndCounted()
    {
        var time = new SteppedTime();
        var gate = new LogGate(time, burst: 2, refill: TimeSpan.FromSeconds(1));
        Assert.IsTrue(gate.TryPass(out _));
        Assert.IsTrue(gate.TryPass(out _));
        Assert.IsFalse(gate.TryPass(out _));
        Assert.IsFalse(gate.TryPass(out _));
        time.Step(TimeSpan.FromSeconds(1));
        Assert.IsTrue(gate.TryPass(out var suppressed));
        Assert.AreEqual(2, suppressed);
        Assert.IsFalse(gate.TryPass(out _));
    }

    private sealed class SteppedTime : TimeProvider
    {
        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now;

        internal void Step(TimeSpan by) => _now += by.Ticks;
    }
}
