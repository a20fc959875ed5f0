using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;
using Dpu.Flows.Tests.Support;
using Dpu.TestSupport;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Flows.Tests.Table;

[TestClass]
public sealed class FlowTableTests
{
    private readonly ManualTime _time = new();

    [TestMethod, TestCategory("unit")]
    public void Add_OfTheSameTablePriorityAndMatch_ReplacesAndBeginsAnew()
    {
        FlowTable table = new(null, _time);
        Assert.AreEqual(FlowAddResult.Added, table.Add(Flow(10, FlowAction.Output(1)), out FlowId first));
        table.Commit();
        Hit(table, 3);
        Assert.AreEqual(FlowAddResult.Added, table.Add(Flow(11, FlowAction.Output(1)), out _), "another priority is another flow");
        Assert.AreEqual(FlowAddResult.Replaced, table.Add(Flow(10, FlowAction.Output(2)) with { Cookie = 9 }, out FlowId second));
        table.Commit();
        Assert.IsNull(table.Read(first));
        FlowRecord record = table.Read(second)!;
        Assert.AreEqual((9ul, 0ul, 2u), (record.Definition.Cookie, record.Counters.Packets, record.Definition.Actions[0].Argument));
        Assert.AreEqual(2, table.Statistics.Flows);
    }

    [TestMethod, TestCategory("unit")]
    public void Process_OfHits_CountsPacketsBytesAndTime()
    {
        FlowTable table = new(null, _time);
        table.Add(Flow(10, FlowAction.Output(1)), out FlowId id);
        table.Commit();
        _time.Advance(TimeSpan.FromSeconds(3));
        Hit(table, 5);
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.IsTrue(table.TryReadCounters(id, out FlowCounters counters));
        Assert.AreEqual(new FlowCounters(5, 500, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(2)), counters);
    }

    [TestMethod, TestCategory("unit")]
    public void Modify_OfAFlow_TakesEffectAtOnceAndKeepsCounters()
    {
        FlowTable table = new(null, _time);
        table.Add(Flow(10, FlowAction.Output(1)), out FlowId id);
        table.Commit();
        Hit(table, 2);
        Assert.IsTrue(table.Modify(id, [FlowAction.Output(7), FlowAction.Output(8)]));
        using FlowPipeline pipeline = new(table);
        uint[] ports = new uint[4];
        FlowKey key = default;
        Assert.AreEqual(new PacketResult(PacketVerdict.Forward, 2, id), pipeline.Process(ref key, 100, ports));
        CollectionAssert.AreEqual(new uint[] { 7, 8, 0, 0 }, ports);
        Assert.AreEqual(3ul, table.Read(id)!.Counters.Packets);
        table.Commit();
        Assert.AreEqual(1, table.Statistics.ActionLists);
    }

    [TestMethod, TestCategory("unit")]
    public void Expire_OfTimeouts_TellsIdleFromHard()
    {
        FlowTable table = new(null, _time);
        table.Add(Flow(1) with { IdleTimeout = 10 }, out FlowId idle);
        table.Add(Flow(2) with { HardTimeout = 30, IdleTimeout = 100 }, out FlowId hard);
        table.Add(Flow(3), out FlowId forever);
        table.Commit();
        Assert.AreEqual(0, table.Expire());
        _time.Advance(TimeSpan.FromSeconds(9.9));
        Assert.AreEqual(0, table.Expire());
        List<(FlowId, FlowRemovedReason)> gone = [];
        _time.Advance(TimeSpan.FromSeconds(0.2));
        Assert.AreEqual(1, table.Expire((record, reason) => gone.Add((record.Id, reason))));
        _time.Advance(TimeSpan.FromSeconds(20));
        Assert.AreEqual(1, table.Expire((record, reason) => gone.Add((record.Id, reason))));
        CollectionAssert.AreEqual(new[] { (idle, FlowRemovedReason.IdleTimeout), (hard, FlowRemovedReason.HardTimeout) }, gone);
        _time.Advance(TimeSpan.FromDays(300));
        Assert.AreEqual(0, table.Expire());
        Assert.IsNotNull(table.Read(forever));
    }

    [TestMethod, TestCategory("unit")]
    public void Expire_OfAFlowThatIsHit_LetsItLive()
    {
        FlowTable table = new(null, _time);
        table.Add(Flow(1) with { IdleTimeout = 10 }, out FlowId id);
        table.Commit();
        for (int i = 0; i < 10; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(9));
            Hit(table, 1);
            Assert.AreEqual(0, table.Expire());
        }

        Assert.IsNotNull(table.Read(id));
    }

    [TestMethod, TestCategory("unit")]
    public void Add_BeyondTheBound_IsRefusedUntilSomethingGoes()
    {
        FlowTable table = new(new FlowTableOptions { MaxFlows = 100 }, _time);
        List<FlowId> ids = [];
        for (uint i = 0; i < 100; i++)
        {
            Assert.AreEqual(FlowAddResult.Added, table.Add(OfPort(i), out FlowId id));
            ids.Add(id);
        }

        Assert.AreEqual(FlowAddResult.Full, table.Add(OfPort(100), out _));
        Assert.IsTrue(table.Delete(ids[3]));
        Assert.IsFalse(table.Delete(ids[3]), "it is gone");
        table.Commit();
        Assert.AreEqual(FlowAddResult.Added, table.Add(OfPort(100), out FlowId reused));
        Assert.AreEqual((ids[3].Index, true), (reused.Index, reused != ids[3]), "the index again, under another name");
        Assert.IsNull(table.Read(ids[3]));
    }

    [TestMethod, TestCategory("unit")]
    public void ReadActivity_OfManyFlows_IsABitForEachThatWasHit()
    {
        FlowTable table = new(null, _time);
        const int Count = 10_000;
        for (uint i = 0; i < Count; i++)
        {
            table.Add(OfPort(i), out FlowId id);
            Assert.AreEqual(i, id.Index);
        }

        table.Commit();
        using FlowPipeline pipeline = new(table);
        for (uint i = 0; i < Count; i += 7)
        {
            FlowKey key = new() { InPort = i };
            pipeline.Process(ref key, 64, new uint[1]);
        }

        ulong[] bits = new ulong[FlowTable.BulkStep / 64];
        for (int round = 0; round < 2; round++)
        {
            int seen = 0;
            for (int first = 0; first < Count; first += FlowTable.BulkStep)
            {
                int words = table.ReadActivity(first, bits, clear: true);
                Assert.AreEqual(Math.Min(64, (Count - first + 63) / 64), words);
                for (int i = 0; i < words * 64; i++)
                {
                    bool hit = ((bits[i / 64] >> (i % 64)) & 1) != 0;
                    Assert.AreEqual(round == 0 && first + i < Count && (first + i) % 7 == 0, hit);
                    seen++;
                }
            }

            Assert.AreEqual((Count + 63) / 64 * 64, seen);
        }

        table.ReadPresence(0, bits);
        Assert.AreEqual(ulong.MaxValue, bits[0]);
        Assert.Throws<ArgumentOutOfRangeException>(() => table.ReadActivity(1, bits, false));
    }

    [TestMethod, TestCategory("unit")]
    public void FindLoose_OfAMatch_FindsWhatItContains()
    {
        FlowTable table = new(null, _time);
        FlowMatch net = Net(0x0a000000, 8), subnet = Net(0x0a010000, 16), other = Net(0x0b000000, 8);
        FlowMatch web = subnet;
        web.TpDst = new PortRange(80, 90);
        List<FlowId> ids = [];
        foreach (FlowMatch match in (FlowMatch[])[net, subnet, other, web])
        {
            table.Add(new FlowDefinition { Match = match, Cookie = (ulong)ids.Count }, out FlowId id);
            ids.Add(id);
        }

        CollectionAssert.AreEquivalent(new[] { ids[0], ids[1], ids[3] }, table.FindLoose(0, net).ToArray());
        CollectionAssert.AreEquivalent(new[] { ids[1], ids[3] }, table.FindLoose(null, subnet).ToArray());
        CollectionAssert.AreEquivalent(ids, table.FindLoose(null, FlowMatch.Any).ToArray());
        CollectionAssert.AreEquivalent(new[] { ids[3] }, table.FindLoose(null, FlowMatch.Any, 3, ulong.MaxValue).ToArray());
        FlowMatch wider = subnet;
        wider.TpDst = new PortRange(70, 100);
        CollectionAssert.AreEquivalent(new[] { ids[3] }, table.FindLoose(null, wider).ToArray());
        Assert.AreEqual(0, table.FindLoose(1, FlowMatch.Any).Count);
        Assert.AreEqual(ids[1], table.Find(0, FlowDefinition.DefaultPriority, subnet));
        Assert.AreEqual(FlowId.None, table.Find(0, 1, subnet));
    }

    [TestMethod, TestCategory("unit")]
    public void Statistics_OfManyFlows_StayWithinABudget()
    {
        FlowTable table = new(null, _time);
        Random random = new(1);
        for (int i = 0; i < 120_000; i++)
        {
            FlowMatch match = FlowMatch.Any;
            match.Mask.Bits.IpSrc.Word0 = match.Mask.Bits.IpDst.Word0 = uint.MaxValue;
            (match.Mask.Bits.TpSrc, match.Mask.Bits.TpDst, match.Mask.Bits.IpProto, match.Mask.Bits.EthType) = (0xffff, 0xffff, 0xff, 0xffff);
            match.Key = new FlowKey { EthType = 0x0800, IpProto = 6, IpSrc = new((uint)random.Next()), IpDst = new((uint)random.Next()), TpSrc = (ushort)i, TpDst = 80 };
            table.Add(new FlowDefinition { Match = match, Actions = [FlowAction.Output((uint)(i % 16))] }, out _);
        }

        table.Commit();
        Assert.AreEqual((120_000, 16, 1), (table.Statistics.Flows, table.Statistics.ActionLists, table.Statistics.Masks));
        Assert.IsLessThanOrEqualTo(256, table.Statistics.BytesPerFlow);
    }

    /// <summary>Random adds, deletes and modifications against a dictionary, in two tables.</summary>
    [TestMethod, TestCategory("unit")]
    public void Table_OfRandomChanges_HoldsWhatAModelHolds() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            RuleSets sets = new(seed);
            FlowTable table = new(new FlowTableOptions { Classifier = new ClassifierOptions { CompileAboveTables = 4, FewTables = 2, CompileInBackground = false } }, _time);
            Dictionary<(byte, ushort, FlowMatch), FlowDefinition> model = [];
            FlowMatch[] matches = [.. Enumerable.Range(0, 40).Select(_ => sets.Match().Canonical())];
            for (int i = 0; i < 300; i++)
            {
                FlowDefinition flow = new()
                {
                    Table = (byte)sets.Random.Next(2),
                    Priority = (ushort)sets.Random.Next(3),
                    Match = matches[sets.Random.Next(matches.Length)],
                    Cookie = (ulong)i,
                    Actions = [.. Enumerable.Range(0, sets.Random.Next(4)).Select(n => n == 1 ? FlowAction.Set(FlowField.Ipv6Dst, (UInt128)i << 70) : FlowAction.Output((uint)sets.Random.Next(3)))],
                };
                (byte, ushort, FlowMatch) name = (flow.Table, flow.Priority, flow.Match);
                FlowId id = table.Find(flow.Table, flow.Priority, flow.Match);
                Assert.AreEqual(model.ContainsKey(name), id != FlowId.None);
                switch (sets.Random.Next(5))
                {
                    case 0 when id != FlowId.None:
                        Assert.IsTrue(table.Delete(id));
                        model.Remove(name);
                        break;
                    case 1 when id != FlowId.None:
                        Assert.IsTrue(table.Modify(id, flow.Actions));
                        model[name] = model[name] with { Actions = flow.Actions };
                        break;
                    default:
                        Assert.AreEqual(model.ContainsKey(name) ? FlowAddResult.Replaced : FlowAddResult.Added, table.Add(flow, out _));
                        model[name] = flow;
                        break;
                }

                if (sets.Random.Next(9) == 0)
                {
                    table.Commit();
                }
            }

            table.Commit();
            FlowDefinition[] all = [.. table.ReadAll().Select(record => record.Definition)];
            Assert.AreEqual(model.Count, all.Length);
            foreach (FlowDefinition flow in all)
            {
                FlowDefinition expected = model[(flow.Table, flow.Priority, flow.Match)];
                Assert.AreEqual(expected.Cookie, flow.Cookie);
                Assert.IsTrue(expected.Actions.SequenceEqual(flow.Actions));
            }

            return table.Statistics.Flows == model.Count;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(40));

    private static FlowDefinition Flow(ushort priority, params FlowAction[] actions) => new() { Priority = priority, Actions = actions };

    private static FlowDefinition OfPort(uint port)
    {
        FlowMatch match = FlowMatch.Any;
        (match.Key.InPort, match.Mask.Bits.InPort) = (port, uint.MaxValue);
        return new FlowDefinition { Match = match, Actions = [FlowAction.Output(1)] };
    }

    private static FlowMatch Net(uint address, int length)
    {
        FlowMatch match = FlowMatch.Any;
        (match.Key.IpDst, match.Mask.Bits.IpDst) = (new Address128(address), Address128.Prefix(length));
        return match;
    }

    private static void Hit(FlowTable table, int times)
    {
        using FlowPipeline pipeline = new(table);
        for (int i = 0; i < times; i++)
        {
            FlowKey key = default;
            pipeline.Process(ref key, 100, new uint[4]);
        }
    }
}
