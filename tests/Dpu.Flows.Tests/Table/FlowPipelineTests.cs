using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;
using Dpu.Flows.Tests.Support;
using Dpu.TestSupport;

namespace Dpu.Flows.Tests.Table;

[TestClass]
public sealed class FlowPipelineTests
{
    private readonly ManualTime _time = new();

    [TestMethod, TestCategory("unit")]
    public void Process_ThroughTables_AppliesActionsInOrder()
    {
        FlowTable table = new(null, _time);
        Add(table, 0, FlowMatch.Any, FlowAction.Set(FlowField.IpDst, 0x0a000009), FlowAction.PushVlan(0x8100), FlowAction.Set(FlowField.VlanVid, 42), FlowAction.Goto(3));
        FlowMatch rewritten = FlowMatch.Any;
        (rewritten.Key.IpDst.Word0, rewritten.Mask.Bits.IpDst.Word0) = (0x0a000009, uint.MaxValue);
        (rewritten.Key.VlanTci, rewritten.Mask.Bits.VlanTci) = (0x102a, 0x1fff);
        FlowId last = Add(table, 3, rewritten, FlowAction.Mirror(9), FlowAction.PopVlan, FlowAction.Set(FlowField.IpTtl, 0x0f, 0x0f), FlowAction.PushTunnel(TunnelKind.Vxlan, 77, 0x01020304), FlowAction.Output(5));
        table.Commit();
        FlowKey key = new() { IpTtl = 0x40 };
        (PacketResult result, uint[] ports) = Process(table, ref key);
        Assert.AreEqual(new PacketResult(PacketVerdict.Forward, 2, last), result);
        CollectionAssert.AreEqual(new uint[] { 9, 5 }, ports);
        Assert.AreEqual((0x0a000009u, (ushort)0, (byte)0x4f), (key.IpDst.Word0, key.VlanTci, key.IpTtl));
        Assert.AreEqual((TunnelKind.Vxlan, 77ul, 0x01020304u), (key.TunKind, key.TunId, key.TunDst.Word0));
    }

    [TestMethod, TestCategory("unit")]
    public void Process_WithoutMatchOrOutput_SaysWhich()
    {
        FlowTable table = new(null, _time);
        FlowKey key = default;
        Assert.AreEqual(PacketVerdict.NoMatch, Process(table, ref key).Result.Verdict);
        FlowId drop = Add(table, 0, FlowMatch.Any);
        table.Commit();
        Assert.AreEqual(new PacketResult(PacketVerdict.Drop, 0, drop), Process(table, ref key).Result);
        Assert.IsTrue(table.Modify(drop, [new FlowAction(FlowActionKind.Controller)]));
        Assert.AreEqual(PacketVerdict.Controller, Process(table, ref key).Result.Verdict);
        Assert.IsTrue(table.Modify(drop, [FlowAction.Goto(9)]));
        Assert.AreEqual(PacketVerdict.NoMatch, Process(table, ref key).Result.Verdict, "the later table is empty");
        Assert.IsTrue(table.Modify(drop, [FlowAction.PopVlan]));
        Assert.AreEqual(PacketVerdict.Unfit, Process(table, ref key).Result.Verdict);
        Assert.IsTrue(table.Modify(drop, [.. Enumerable.Repeat(FlowAction.Output(1), 20)]));
        Assert.AreEqual(PacketVerdict.Unfit, Process(table, ref key).Result.Verdict, "more outputs than there is room for");
    }

    [TestMethod, TestCategory("unit")]
    public void Process_OfConnectionState_MatchesItsBits()
    {
        FlowTable table = new(null, _time);
        FlowMatch established = FlowMatch.Any;
        (established.Key.CtStateBits, established.Mask.Bits.CtStateBits) = ((ushort)(CtState.Tracked | CtState.Established), (ushort)(CtState.Tracked | CtState.Established | CtState.Invalid));
        FlowId id = Add(table, 0, established, FlowAction.Output(1));
        table.Commit();
        FlowKey key = new() { CtStateBits = (ushort)(CtState.Tracked | CtState.Established | CtState.Reply) };
        Assert.AreEqual(id, Process(table, ref key).Result.LastFlow);
        key.CtStateBits |= (ushort)CtState.Invalid;
        Assert.AreEqual(PacketVerdict.NoMatch, Process(table, ref key).Result.Verdict);
    }

    [TestMethod, TestCategory("unit")]
    public void Process_BehindAMeter_PassesBurstAndRate()
    {
        FlowTable table = new(null, _time);
        table.Meters.Set(7, new MeterBand(Rate: 10, Burst: 5, InBytes: false));
        Add(table, 0, FlowMatch.Any, FlowAction.Meter(7), FlowAction.Output(1));
        table.Commit();
        Assert.AreEqual(5, Passed(table, 20));
        _time.Advance(TimeSpan.FromSeconds(0.2));
        Assert.AreEqual(2, Passed(table, 20));
        _time.Advance(TimeSpan.FromHours(1));
        Assert.AreEqual(5, Passed(table, 20), "never more than the burst");
        table.Meters.Set(7, new MeterBand(Rate: 1000, Burst: 250, InBytes: true));
        Assert.AreEqual(2, Passed(table, 20), "of 100 bytes each");
        Assert.IsTrue(table.Meters.Delete(7));
        Assert.AreEqual(20, Passed(table, 20));
    }

    [TestMethod, TestCategory("unit")]
    public void Add_OfGotoThatCouldCircle_IsRefused()
    {
        FlowTable table = new(null, _time);
        foreach ((byte own, FlowAction[] actions) in ((byte, FlowAction[])[])[(3, [FlowAction.Goto(3)]), (3, [FlowAction.Goto(2)]), (0, [FlowAction.Goto(1), FlowAction.Output(1)]), (0, [FlowAction.Goto(255)])])
        {
            Assert.Throws<ArgumentException>(() => table.Add(new FlowDefinition { Table = own, Actions = actions }, out _));
        }

        Assert.Throws<ArgumentException>(() => table.Add(new FlowDefinition { Actions = [.. Enumerable.Repeat(FlowAction.Output(1), 200)] }, out _));
        Assert.AreEqual(0, table.Statistics.Flows);
    }

    [TestMethod, TestCategory("unit")]
    public void PushVlan_OfATaggedPacket_KeepsTheOldTagInside()
    {
        FlowKey key = new() { VlanTci = 0x1005 };
        Assert.IsTrue(KeyActions.TryApply(FlowAction.PushVlan(0x88a8), ref key));
        Assert.AreEqual(((ushort)0x1005, (ushort)0x1005), (key.VlanTci, key.VlanTci2));
        Assert.IsFalse(KeyActions.TryApply(FlowAction.PushVlan(0x88a8), ref key), "a third tag");
        Assert.IsTrue(KeyActions.TryApply(FlowAction.PopVlan, ref key));
        Assert.IsTrue(KeyActions.TryApply(FlowAction.PopVlan, ref key));
        Assert.IsFalse(KeyActions.TryApply(FlowAction.PopVlan, ref key));
    }

    [TestMethod, TestCategory("unit")]
    public void Process_OfPackets_AllocatesNothing()
    {
        FlowTable table = new(null, _time);
        table.Meters.Set(1, new MeterBand(1_000_000, 1_000_000, false));
        Add(table, 0, FlowMatch.Any, FlowAction.Meter(1), FlowAction.Set(FlowField.Ipv6Src, 5), FlowAction.Goto(1));
        Add(table, 1, FlowMatch.Any, FlowAction.Output(1));
        table.Commit();
        using FlowPipeline pipeline = new(table);
        uint[] ports = new uint[2];
        long allocated = long.MaxValue;
        for (int round = 0; round < 5; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 100; i++)
            {
                FlowKey key = default;
                pipeline.Process(ref key, 64, ports);
            }

            allocated = Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.AreEqual(0, allocated);
    }

    /// <summary>A reader counts only what it hit, and finds actions of some commit, while flows come and go under the same indexes.</summary>
    [TestMethod, TestCategory("unit")]
    public void Process_BesideAWriter_FindsActionsOfOneCommit()
    {
        FlowTable table = new(new FlowTableOptions { MaxFlows = 40 }, _time);
        bool ended = false;
        string? wrong = null;
        uint published = 0;
        table.Add(new FlowDefinition { Actions = [FlowAction.Output(0), FlowAction.Output(0)] }, out FlowId current);
        table.Commit();
        Thread reader = new(() =>
        {
            using FlowPipeline pipeline = new(table);
            uint[] ports = new uint[4];
            uint last = 0;
            while (!Volatile.Read(ref ended) && wrong is null)
            {
                FlowKey key = default;
                PacketResult result = pipeline.Process(ref key, 64, ports);
                wrong = result is { Verdict: PacketVerdict.Forward, Outputs: 2 } && ports[0] == ports[1] && ports[0] >= last && ports[0] <= Volatile.Read(ref published)
                    ? null : $"{result}, ports {ports[0]} and {ports[1]} after {last}";
                last = ports[0];
            }
        })
        { IsBackground = true };
        reader.Start();
        for (uint i = 1; i < 20_000; i++)
        {
            Volatile.Write(ref published, i);
            while (table.Add(new FlowDefinition { Actions = [FlowAction.Output(i), FlowAction.Output(i)] }, out current) != FlowAddResult.Replaced)
            {
                // The reader does not run: all indexes wait for it.
                Thread.Yield();
                table.Commit();
            }

            table.Commit();
        }

        Volatile.Write(ref ended, true);
        Assert.IsTrue(reader.Join(TimeSpan.FromSeconds(30)));
        Assert.IsNull(wrong);
        Assert.AreEqual(1, table.Statistics.Flows);
    }

    private static FlowId Add(FlowTable table, byte number, FlowMatch match, params FlowAction[] actions)
    {
        Assert.AreEqual(FlowAddResult.Added, table.Add(new FlowDefinition { Table = number, Match = match, Actions = actions }, out FlowId id));
        return id;
    }

    private static (PacketResult Result, uint[] Ports) Process(FlowTable table, ref FlowKey key)
    {
        using FlowPipeline pipeline = new(table);
        uint[] ports = new uint[8];
        PacketResult result = pipeline.Process(ref key, 100, ports);
        return (result, ports[..result.Outputs]);
    }

    private static int Passed(FlowTable table, int packets)
    {
        int passed = 0;
        for (int i = 0; i < packets; i++)
        {
            FlowKey key = default;
            passed += Process(table, ref key).Result.Verdict == PacketVerdict.Forward ? 1 : 0;
        }

        return passed;
    }
}
