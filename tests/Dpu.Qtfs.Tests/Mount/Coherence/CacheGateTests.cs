using Dpu.Qtfs.Mount.Coherence;

namespace Dpu.Qtfs.Tests.Mount.Coherence;

[TestClass]
public sealed class CacheGateTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Holds_ClosedOrReopenedSince_Nothing()
    {
        var gate = new CacheGate(2);
        long before = gate.Sequence;
        Assert.IsFalse(gate.Holds(before, 1, 2, many: false));
        gate.Open();
        Assert.IsFalse(gate.Holds(before, 1, 2, many: false), "asked before notifications arrived");
        before = gate.Sequence;
        Assert.IsTrue(gate.Holds(before, 1, 2, many: false));
        gate.Close();
        gate.Open();
        Assert.IsFalse(gate.Holds(before, 1, 2, many: false), "notifications may have been missed");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(5ul, 0ul, 5ul, 9ul, false, false, DisplayName = "the node asked")]
    [DataRow(9ul, 0ul, 5ul, 9ul, false, false, DisplayName = "the node answered")]
    [DataRow(0ul, 5ul, 5ul, 9ul, false, false, DisplayName = "a name of the directory asked")]
    [DataRow(7ul, 0ul, 5ul, 9ul, false, true, DisplayName = "another node")]
    [DataRow(0ul, 7ul, 5ul, 9ul, false, true, DisplayName = "another directory")]
    [DataRow(7ul, 0ul, 5ul, 0ul, true, false, DisplayName = "any, where many were answered")]
    public void Holds_AfterANotification_UnlessItIsAboutTheReply(ulong node, ulong parent, ulong asked, ulong answered, bool many, bool expected)
    {
        var gate = new CacheGate(1);
        gate.Open();
        long before = gate.Sequence;
        gate.Record(node, parent);
        Assert.AreEqual(expected, gate.Holds(before, asked, answered, many));
        Assert.IsTrue(gate.Holds(gate.Sequence, asked, answered, many), "asked after it");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Holds_AfterMoreNotificationsThanAreRemembered_Nothing()
    {
        var gate = new CacheGate(1);
        gate.Open();
        long before = gate.Sequence;
        for (int i = 0; i < 256; i++)
        {
            gate.Record(1000, 0);
        }

        Assert.IsFalse(gate.Holds(before, 1, 2, many: false));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Record_LaneInside_WaitsUntilItHasLeft()
    {
        var gate = new CacheGate(2);
        gate.Open();
        gate.Enter(1);
        Task recorded = Task.Run(() => gate.Record(1, 0));
        long before = gate.Sequence;
        SpinWait.SpinUntil(() => gate.Sequence != before, TimeSpan.FromSeconds(10));
        Assert.IsFalse(recorded.IsCompleted, "the lane has not written yet");
        gate.Leave(1);
        await recorded.WaitAsync(TimeSpan.FromSeconds(10));
    }
}
