using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;
using Dpu.Flows.Tests.Support;
using Dpu.Flows.Text;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Flows.Tests.Text;

/// <summary>OpenFlow syntax and JSON, there and back.</summary>
[TestClass]
public sealed class FlowTextTests
{
    private static readonly FlowAction[] _actions =
    [
        FlowAction.Output(2), FlowAction.Mirror(3), new(FlowActionKind.InPort), new(FlowActionKind.Normal), new(FlowActionKind.Controller), FlowAction.Meter(7),
        FlowAction.PushVlan(0x88a8), FlowAction.PopVlan, new(FlowActionKind.PopTunnel), FlowAction.PushTunnel(TunnelKind.Geneve, 99, 0x0a000001),
        FlowAction.PushTunnel(TunnelKind.Vxlan, 1, UInt128.MaxValue - 5, UInt128.MaxValue), FlowAction.Set(FlowField.EthDst, 0x020000000001),
        FlowAction.Set(FlowField.IpDst, 0x0a000001), FlowAction.Set(FlowField.IpDst, 0x0a000000, 0xff000000), FlowAction.Set(FlowField.Ipv6Src, UInt128.MaxValue >> 3),
        FlowAction.Set(FlowField.VlanVid, 5), FlowAction.Set(FlowField.CtMark, 0x10, 0xf0), FlowAction.Set(FlowField.TpDst, 8080), FlowAction.Set(FlowField.TunKind, 1),
    ];

    [TestMethod, TestCategory("unit")]
    public void Text_OfAnyFlow_IsReadAsTheSame() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            RuleSets sets = new(seed);
            FlowMatch match = Named(sets);
            byte table = (byte)sets.Random.Next(250);
            FlowDefinition flow = new()
            {
                Table = table,
                Priority = (ushort)sets.Random.Next(65536),
                Match = match,
                Cookie = (ulong)sets.Random.NextInt64(),
                IdleTimeout = (ushort)sets.Random.Next(3),
                HardTimeout = (ushort)sets.Random.Next(3),
                Actions = [.. Enumerable.Range(0, sets.Random.Next(5)).Select(_ => _actions[sets.Random.Next(_actions.Length)]), .. sets.Random.Next(2) == 0 ? Array.Empty<FlowAction>() : [FlowAction.Goto(252)]],
            };
            FlowCounters? counters = sets.Random.Next(2) == 0 ? null : new FlowCounters(5, 600, TimeSpan.FromSeconds(7.5), TimeSpan.FromSeconds(2));
            foreach (string text in (string[])[OpenFlowText.Format(flow, counters), FlowJson.Format(flow, counters)])
            {
                ParsedFlow parsed = new FlowTextReader().Read(text)!;
                AssertSame(flow, parsed.Definition, text);
                Assert.AreEqual((counters?.Packets ?? 0, counters?.Bytes ?? 0), (parsed.Packets, parsed.Bytes), text);
            }

            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(400));

    [TestMethod, TestCategory("unit")]
    public void Parse_OfADump_TakesItsFieldsInAnyOrder()
    {
        ParsedFlow flow = new FlowTextReader().Read(" cookie=0x2a, duration=12.5s, table=3, n_packets=10, n_bytes=940, idle_timeout=60, idle_age=4, priority=100,tcp,in_port=1,nw_dst=10.1.2.3/8,tp_dst=80 actions=mod_nw_tos:16,output:2")!;
        FlowMatch match = FlowMatch.Any;
        (match.Key.EthType, match.Mask.Bits.EthType, match.Key.IpProto, match.Mask.Bits.IpProto) = (0x0800, 0xffff, 6, 0xff);
        (match.Key.InPort, match.Mask.Bits.InPort, match.Key.TpDst, match.Mask.Bits.TpDst) = (1, uint.MaxValue, 80, 0xffff);
        (match.Key.IpDst.Word0, match.Mask.Bits.IpDst.Word0) = (0x0a000000, 0xff000000);
        AssertSame(new FlowDefinition { Table = 3, Priority = 100, Cookie = 0x2a, IdleTimeout = 60, Match = match, Actions = [FlowAction.Set(FlowField.IpTos, 16, 0xfc), FlowAction.Output(2)] }, flow.Definition, "dump");
        Assert.AreEqual((10ul, 940ul), (flow.Packets, flow.Bytes));
        ParsedFlow shuffled = new FlowTextReader().Read("nw_dst=10.0.0.0/255.0.0.0,nw_proto=6,idle_timeout=60 in_port=1,priority=100,dl_type=0x800,tcp_dst=80,cookie=42,table=3,actions=mod_nw_tos:16,2")!;
        AssertSame(flow.Definition, shuffled.Definition, "shuffled");
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("dl_vlan=5", 0x1005, 0x1fff)]
    [DataRow("dl_vlan=0xffff", 0, 0xffff)]
    [DataRow("dl_vlan=5,dl_vlan_pcp=3", 0x7005, 0xffff)]
    [DataRow("vlan_tci=0x1000/0x1000", 0x1000, 0x1000)]
    [DataRow("vlan_vid=0x1005/0x1fff", 0x1005, 0x1fff)]
    public void Parse_OfTags_KnowsWhetherThereIsOne(string text, int value, int mask)
    {
        FlowMatch match = MatchText.Parse(text);
        Assert.AreEqual(((ushort)value, (ushort)mask), (match.Key.VlanTci, match.Mask.Bits.VlanTci));
        Assert.AreEqual(match, MatchText.Parse(MatchText.Format(match)));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("ip_frag=later", "IpFrag", 3, 3)]
    [DataRow("ip_frag=not_later", "IpFrag", 0, 2)]
    [DataRow("ct_state=+trk-new", "CtState", 0x20, 0x21)]
    [DataRow("ct_state=0x21/0x3f", "CtState", 0x21, 0x3f)]
    [DataRow("tcp_flags=+syn-ack", "TcpFlags", 2, 0x12)]
    [DataRow("tunnel_type=vxlan", "TunKind", 1, 0xff)]
    [DataRow("ip_dscp=46", "IpTos", 0xb8, 0xfc)]
    public void Parse_OfWords_GivesTheirBits(string text, string field, int value, int mask)
    {
        FlowMatch match = MatchText.Parse(text);
        FlowField which = Enum.Parse<FlowField>(field);
        Assert.AreEqual(((UInt128)value, (UInt128)mask), (FieldAccess.Get(match.Key, which), FieldAccess.Get(match.Mask.Bits, which)));
        Assert.AreEqual(match, MatchText.Parse(MatchText.Format(match)));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("priority=1,nw_dst=10.0.0.256 actions=drop", "no IPv4 address")]
    [DataRow("priority=70000 actions=drop", "at most 65535")]
    [DataRow("reg0=5 actions=drop", "'reg0' is no field")]
    [DataRow("tcp actions=ct(commit)", "not known here")]
    [DataRow("tcp", "there is no actions=")]
    [DataRow("tp_dst=90-80 actions=drop", "ends before it begins")]
    [DataRow("dl_src=1:2:3 actions=drop", "six bytes")]
    [DataRow("actions=set_field:1->nothing", "set_field")]
    [DataRow("actions=push_tunnel(type=vxlan)", "push_tunnel needs")]
    [DataRow("actions=output:(1", "brackets")]
    [DataRow("{\"priority\":1}", "no member \"actions\"")]
    [DataRow("{\"actions\":[],\"colour\":1}", "'colour' is no member")]
    [DataRow("{\"actions\":5}", "wrong type")]
    [DataRow("{\"actions\":[", "no JSON object")]
    [DataRow("send_flow_rem,actions=drop", "cannot be kept")]
    public void Parse_OfWhatCannotBeKept_SaysWhy(string text, string why) =>
        Assert.Contains(why, Assert.Throws<FlowTextException>(() => new FlowTextReader().Read(text)).Message);

    [TestMethod, TestCategory("unit")]
    public void Read_OfHeadersAndComments_PassesOver()
    {
        foreach (string line in (string[])["", "# flows", "NXST_FLOW reply (xid=0x4):", "OFPST_FLOW reply (OF1.5) (xid=0x2):", "flow-dump from the main thread:"])
        {
            Assert.IsNull(new FlowTextReader().Read(line));
        }

        Assert.Throws<FlowTextException>(() => new FlowTextReader().Read(new string('a', FlowTextReader.MaxLine + 1)));
    }

    [TestMethod, TestCategory("unit")]
    public void Read_OfAnyText_IsAFlowOrAReason() =>
        Prop.ForAll((from seed in Gen.Choose(0, int.MaxValue) select seed).ToArbitrary(), seed =>
        {
            Random random = new(seed);
            string[] samples = ["cookie=0x0, priority=100,tcp,nw_dst=10.0.0.0/8 actions=output:2", "{\"match\":{\"tcp\":true},\"actions\":[\"drop\"]}", "recirc_id(0),in_port(2),eth_type(0x0800),ipv4(dst=1.2.3.4/255.0.0.0), packets:1, actions:3"];
            char[] text = samples[random.Next(samples.Length)].ToCharArray();
            for (int i = 0; i < 4; i++)
            {
                text[random.Next(text.Length)] = "(){}[],=:/-+0af\"\u00e9"[random.Next(17)];
            }

            try
            {
                _ = new FlowTextReader().Read(new string(text)[..random.Next(text.Length + 1)]);
            }
            catch (FlowTextException e)
            {
                return e.Message.Length > 0;
            }

            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));

    [TestMethod, TestCategory("unit")]
    public void WithoutRanges_OfAnyRange_MatchesTheSamePorts() =>
        Prop.ForAll((from a in Gen.Choose(0, 65535) from b in Gen.Choose(0, 65535) from seed in Gen.Choose(0, int.MaxValue) select (a, b, seed)).ToArbitrary(), item =>
        {
            PortRange range = new((ushort)Math.Min(item.a, item.b), (ushort)Math.Max(item.a, item.b));
            FlowMatch match = FlowMatch.Any with { TpDst = range, TpSrc = new PortRange(1, 5) };
            FlowDefinition[] flows = [.. OpenFlowText.WithoutRanges(new FlowDefinition { Match = match })];
            Assert.IsFalse(flows.Any(f => f.Match.HasRange));
            Random random = new(item.seed);
            foreach (int port in (int[])[range.Low, range.High, range.Low - 1, range.High + 1, random.Next(65536), random.Next(65536)])
            {
                for (ushort source = 0; source < 8; source++)
                {
                    FlowKey key = new() { TpDst = (ushort)port, TpSrc = source };
                    Assert.AreEqual(match.Matches(key) ? 1 : 0, flows.Count(f => f.Match.Matches(key)));
                }
            }

            return flows.Length <= 30 * 3;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(100));

    // A match that has a name for each of its bits: all that text can say.
    private static FlowMatch Named(RuleSets sets)
    {
        FlowMatch match = sets.Match();
        if (match.Mask == FlowMask.Exact)
        {
            match.Mask = default;
            match.Key = sets.Packet();
            foreach (FlowField field in Enum.GetValues<FlowField>().Where(f => f is not (FlowField.None or FlowField.ArpSha or FlowField.ArpTha)))
            {
                FieldAccess.Set(ref match.Mask.Bits, field, FieldAccess.Full(field));
            }
        }

        if (sets.Random.Next(2) == 0)
        {
            FlowField field = Enum.GetValues<FlowField>()[sets.Random.Next(1, Enum.GetValues<FlowField>().Length)];
            if (field is not (FlowField.ArpSha or FlowField.ArpTha or FlowField.TpSrc or FlowField.TpDst))
            {
                UInt128 mask = FieldAccess.Full(field) & new UInt128((ulong)sets.Random.NextInt64(), (ulong)sets.Random.NextInt64());
                FieldAccess.Set(ref match.Mask.Bits, field, mask);
                FieldAccess.Set(ref match.Key, field, new UInt128((ulong)sets.Random.NextInt64(), (ulong)sets.Random.NextInt64()));
            }
        }

        return match.Canonical();
    }

    private static void AssertSame(FlowDefinition expected, FlowDefinition actual, string text)
    {
        Assert.AreEqual(MatchText.Format(expected.Match), MatchText.Format(actual.Match), text);
        Assert.AreEqual(expected.Match, actual.Match, text);
        Assert.AreEqual((expected.Table, expected.Priority, expected.Cookie, expected.IdleTimeout, expected.HardTimeout), (actual.Table, actual.Priority, actual.Cookie, actual.IdleTimeout, actual.HardTimeout), text);
        CollectionAssert.AreEqual(expected.Actions.ToArray(), actual.Actions.ToArray(), text);
    }
}
