using Dpu.Flows.Classifier;
using Dpu.Flows.Table;
using Dpu.Flows.Text;

namespace Dpu.Flows.Tests.Text;

/// <summary>Data-path dumps as several versions of OVS print them, and their traps.</summary>
[TestClass]
public sealed class DatapathTextTests
{
    private const string Line = "ufid:7c1d4b2c-0c0d-4d6e-8c9a-000000000001, skb_priority(0/0),skb_mark(0/0),ct_state(0/0),ct_zone(0/0),ct_mark(0/0),ct_label(0/0),recirc_id(0),dp_hash(0/0),in_port(p1),packet_type(ns=0,id=0),"
        + "eth(src=02:00:00:00:00:01/00:00:00:00:00:00,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.2/0.0.0.0,dst=10.0.0.1/255.0.0.0,proto=6,tos=0/0,ttl=64/0,frag=no),tcp(src=8/0,dst=10),tcp_flags(0/0), "
        + "packets:2, bytes:108, used:0.5s, flags:S., offloaded:yes, dp:tc, actions:set(ipv4(dst=192.168.0.1,ttl=63)),push_vlan(vid=5,pcp=1),p2, dp-extra-info:miniflow_bits(5,1)";

    [TestMethod, TestCategory("unit")]
    public void Parse_OfALineOfAllParts_KeepsWhatCounts()
    {
        ParsedFlow flow = new FlowTextReader(portOf: Port).Read(Line)!;
        Assert.AreEqual(MatchText.Format(MatchText.Parse("recirc_id=0,in_port=1,dl_dst=02:00:00:00:00:02,tcp,nw_dst=10.0.0.0/8,ip_frag=no,tp_dst=10")), MatchText.Format(flow.Definition.Match), "masks of 0 and host bits are gone");
        Assert.AreEqual("set_field:63->nw_ttl,set_field:192.168.0.1->ip_dst,push_vlan:0x8100,set_field:0x3005->vlan_tci,output:2", ActionText.Format(flow.Definition.Actions));
        Assert.AreEqual((2ul, 108ul, "yes", "tc"), (flow.Packets, flow.Bytes, flow.Offloaded!, flow.DataPath!));
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfAnotherOrder_IsTheSame()
    {
        ParsedFlow first = new FlowTextReader(portOf: Port).Read(Line)!;
        string other = "ufid:7c1d4b2c-0c0d-4d6e-8c9a-000000000002, recirc_id(0),dp_hash(0/0),skb_priority(0/0),tcp(dst=10,src=8/0),ipv4(frag=no,dst=10.0.0.1/255.0.0.0,proto=6),eth_type(0x0800),eth(dst=02:00:00:00:00:02),in_port(1), used:never, packets:2, bytes:108, actions:set(ipv4(ttl=63,dst=192.168.0.1)),push_vlan(vid=5,pcp=1),2";
        ParsedFlow second = new FlowTextReader().Read(other)!;
        Assert.AreEqual(first.Definition.Match, second.Definition.Match);
        CollectionAssert.AreEqual(first.Definition.Actions.ToArray(), second.Definition.Actions.ToArray());
    }

    [TestMethod, TestCategory("unit")]
    public void Read_OfTheSameFlowOfSeveralThreads_ComesOnce()
    {
        FlowTextReader reader = new(portOf: Port);
        Assert.IsNull(reader.Read("flow-dump from pmd on cpu core: 1"));
        Assert.IsNotNull(reader.Read(Line));
        Assert.IsNull(reader.Read("flow-dump from pmd on cpu core: 2"));
        Assert.IsNull(reader.Read(Line));
        Assert.AreEqual(1, reader.Repeated);
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfTags_TakesThemFromTheirEncapsulation()
    {
        ParsedFlow flow = new FlowTextReader().Read("recirc_id(0),in_port(2),eth(),eth_type(0x88a8),vlan(vid=7,pcp=2),encap(eth_type(0x8100),vlan(vid=9/0x0,pcp=0/0x0),encap(eth_type(0x0800),ipv4(proto=17),udp(dst=53))), packets:0, bytes:0, used:never, actions:pop_vlan,drop")!;
        Assert.AreEqual("udp,recirc_id=0x0,in_port=2,vlan_tci=0x5007/0xffff,inner_vlan_tci=0x1000/0x1000,tp_dst=53".Replace("/0xffff", "", StringComparison.Ordinal), MatchText.Format(flow.Definition.Match));
        CollectionAssert.AreEqual(new[] { FlowAction.PopVlan }, flow.Definition.Actions.ToArray());
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfTunnelsAndState_KeepsThem()
    {
        ParsedFlow flow = new FlowTextReader().Read("tunnel(tun_id=0x5,src=1.2.3.4,dst=5.6.7.8/255.255.0.0,ttl=0/0,flags(-df-csum+key)),ct_state(+est-new+trk),ct_zone(3),recirc_id(0x1),in_port(4),eth_type(0x86dd),ipv6(src=2001:db8::1/ffff:ffff::,proto=58),icmpv6(type=128), packets:0, bytes:0, used:never, actions:drop")!;
        Assert.AreEqual(MatchText.Format(MatchText.Parse("icmp6,tun_id=5,tun_src=1.2.3.4,tun_dst=5.6.0.0/16,ct_state=+est-new+trk,ct_zone=3,recirc_id=1,in_port=4,ipv6_src=2001:db8::/32,icmp_type=128")), MatchText.Format(flow.Definition.Match));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("recirc_id(0),in_port(p9),eth_type(0x0800), packets:0, bytes:0, used:never, actions:drop", "'p9' has a name")]
    [DataRow("recirc_id(0),in_port(1),eth_type(0x0800), packets:0, bytes:0, used:never, actions:ct(commit),recirc(0x2)", "ct(commit)")]
    [DataRow("recirc_id(0),skb_mark(0x5),eth_type(0x0800), packets:0, bytes:0, used:never, actions:drop", "skb_mark")]
    [DataRow("tunnel(tun_id=0x5,geneve({class=0x1,type=0x2,len=4,0x3})),recirc_id(0), packets:0, bytes:0, used:never, actions:drop", "geneve")]
    [DataRow("recirc_id(0),eth_type(0x0800), packets:0, bytes:0, used:never", "no")]
    public void Parse_OfWhatCannotBeKept_SaysWhy(string line, string why) =>
        Assert.Contains(why, Assert.Throws<FlowTextException>(() => new FlowTextReader(FlowTextForm.DataPath).Read(line)).Message);

    private static uint? Port(string name) => name switch { "p1" => 1, "p2" => 2, _ => null };
}
