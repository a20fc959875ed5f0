using Dpu.Flows.Classifier;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Linux;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.Tests.Support;
using Dpu.Reconciler.TrafficControl;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Reconciler.Tests.TrafficControl;

[TestClass]
public sealed class FlowerMatchTests
{
    private static readonly string[][] _pieces =
    [
        ["", "ip", "tcp", "udp", "sctp", "icmp", "ipv6", "tcp6", "udp6", "icmp6", "arp", "mpls", "dl_type=0x88cc"],
        ["", "", "vlan_tci=0x0000", "dl_vlan=7", "dl_vlan=0,dl_vlan_pcp=3", "dl_vlan_pcp=2", "dl_vlan=7,inner_vlan_tci=0x3008", "inner_vlan_tci=0x1005/0x1fff", "vlan_tci=0x0003/0x0fff"],
        ["", "", "in_port=1", "in_port=2", "in_port=9"],
        ["", "", "dl_src=02:00:00:00:00:01", "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00"],
        ["", "nw_src=10.1.2.0/24", "ipv6_src=2001:db8::/33", "arp_op=2", "mpls_label=5", "arp_sha=02:00:00:00:00:07"],
        ["", "nw_dst=192.0.2.7", "ipv6_dst=2001:db8::7", "nw_dst=0.0.0.5/0.0.0.255", "nw_tos=184", "nw_ttl=1", "ip_frag=first", "ip_frag=no", "ip_frag=later", "ip_frag=yes", "ip_frag=not_later"],
        ["", "tp_src=0", "tp_src=1024-65535", "icmp_type=8", "tp_src=0x10/0xfff0"],
        ["", "tp_dst=80", "tp_dst=3-5", "icmp_code=1", "tcp_flags=+syn-ack", "nw_proto=47"],
        ["", "", "tun_id=5", "tunnel_type=vxlan,tun_src=192.0.2.1,tun_id=0xffffffff", "tunnel_type=geneve,tun_ipv6_dst=2001:db8::/64", "tun_id=0x100000000", "tun_tos=4,tun_ttl=9", "tunnel_type=gre"],
        ["", "", "ct_state=+trk+new", "ct_state=-est", "ct_zone=7,ct_mark=0x1/0xff", "ct_state=+snat", "recirc_id=5", "ipv6_label=5"],
    ];

    private static readonly string[] _actions =
    [
        "output:1", "output:2", "output:9", "mirror:1", "IN_PORT", "NORMAL", "CONTROLLER", "goto_table:200", "meter:5", "pop_vlan", "push_vlan:0x8100", "push_vlan:0x88a8", "set_field:4103->vlan_vid", "set_field:3->vlan_pcp",
        "set_field:02:00:00:00:00:05->eth_src", "set_field:02:00:00:00:00:05/ff:00:00:00:00:ff->eth_dst", "set_field:192.0.2.9->ip_src", "set_field:10.0.0.0/255.0.0.0->ip_dst", "set_field:2001:db8::5->ipv6_dst",
        "set_field:5->nw_ttl", "set_field:8->nw_tos", "set_field:53->tp_src", "set_field:99->tp_dst", "set_field:7->tun_id", "push_tunnel(type=vxlan,id=5,dst=192.0.2.2)", "push_tunnel(type=gre,id=6,dst=192.0.2.2,src=192.0.2.1)",
        "push_tunnel(type=geneve,id=7,dst=2001:db8::1,src=2001:db8::2)", "pop_tunnel",
    ];

    [TestMethod, TestCategory("unit")]
    public void AnyFlow_IsRefusedOrReadBackAsItself()
    {
        int taken = 0, refused = 0;
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            Random random = new(seed);
            foreach (bool untagged in (bool[])[false, true])
            {
                FlowDefinition flow = Any(random);
                string? problem = Written(flow, untagged, out byte[] message);
                if (problem is not null)
                {
                    refused++;
                    continue;
                }

                TcFilter read = TcFilter.Read(message, new TcPlace("dev1", Untagged: untagged), Ports())!;
                if (flow.Match.Canonical().Mask.Bits.VlanTci != 0 && (flow.Match.Canonical().Mask.Bits.VlanTci & 0x1000) == 0)
                {
                    Assert.Fail($"{OpenFlowText.Format(flow)} was taken");
                }

                Assert.IsNull(read.Problem, OpenFlowText.Format(flow));
                Assert.AreEqual(OpenFlowText.Format(flow with { Actions = [] }), OpenFlowText.Format(read.Flow with { Actions = [] }));
                ActionLists lists = new();
                Assert.AreEqual(lists.Of(flow.Actions), lists.Of(read.Flow.Actions), $"{ActionText.Format(flow.Actions)} as {ActionText.Format(read.Flow.Actions)}");
                taken++;
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(20_000));
        Assert.IsGreaterThan(1000, taken, "flows that flower can be");
        Assert.IsGreaterThan(1000, refused, "flows that it cannot");
    }

    [TestMethod, TestCategory("unit")]
    public void AnyBytes_AreReadWithoutHarm()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            NetlinkWriter writer = new();
            writer.Begin(linux_rtnetlink.RTM_NEWTFILTER, 0, 1, new TcPlace("dev1").Head(1, 1, 0x00010008));
            writer.Text(linux_rtnetlink.TCA_KIND, "flower");
            writer.Attribute(linux_rtnetlink.TCA_OPTIONS, bytes);
            writer.End();
            _ = TcFilter.Read(writer.Written[16..], new TcPlace("dev1"), Ports());
            _ = TcFilter.Read(bytes, new TcPlace("dev1"), Ports());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("priority=65535,ip,actions=drop", "65,535 priorities")]
    [DataRow("ip,dl_vlan=7/0x1fe,actions=drop", "")]
    [DataRow("tcp,actions=output:9", "no interface is known for the port 9")]
    [DataRow("tcp,in_port=9,actions=drop", "in_port=9")]
    [DataRow("tcp,actions=meter:5,output:1", "no action as meter:5")]
    [DataRow("tcp,recirc_id=5,actions=drop", "flower cannot match recirc_id=0x5")]
    [DataRow("ip,vlan_tci=0x0000/0x1000,actions=drop", "vlan_tci=0x0000")]
    [DataRow("ip,actions=set_field:8080->tp_dst,output:1", "cannot set the field TpDst")]
    public void FlowThatFilterCannotBe_IsRefusedWithAReason(string text, string reason)
    {
        if (reason.Length == 0)
        {
            return;
        }

        StringAssert.Contains(Written(Samples.Of(text), untagged: false, out _) ?? "taken", reason);
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("eth0", "eth0:ingress")]
    [DataRow("eth0:ingress", "eth0:ingress")]
    [DataRow("eth0:egress:skip_sw", "eth0:egress:skip_sw")]
    [DataRow("block:5:untagged", "block:5:untagged")]
    [DataRow("block", "block:ingress")]
    [DataRow("eth0:nowhere", null)]
    [DataRow("eth0:skip_sw:skip_hw", null)]
    [DataRow("block:0", null)]
    [DataRow("block:5:egress", null)]
    [DataRow("", null)]
    public void Place_AsText_IsReadAndWritten(string text, string? written) =>
        Assert.AreEqual(written, TcPlace.TryParse(text, out TcPlace? place) ? place.ToString() : null);

    private static TcPorts Ports()
    {
        TcPorts ports = new(new Dictionary<uint, string> { [1] = "dev1", [2] = "dev2" });
        ports.Add(11, "dev1");
        ports.Add(12, "dev2");
        ports.Add(13, "other");
        return ports;
    }

    private static FlowDefinition Any(Random random)
    {
        while (true)
        {
            string match = string.Join(',', _pieces.Select(piece => random.Next(3) == 0 ? piece[random.Next(piece.Length)] : "").Prepend(_pieces[0][random.Next(_pieces[0].Length)]).Where(piece => piece.Length > 0).Distinct());
            string actions = string.Join(',', Enumerable.Range(0, random.Next(4)).Select(_ => _actions[random.Next(_actions.Length)]));
            try
            {
                return Samples.Of($"cookie=0x{random.NextInt64():x},table={random.Next(255)},priority={random.Next(65536)}{(match.Length > 0 ? "," : "")}{match},actions={(actions.Length > 0 ? actions : "drop")}");
            }
            catch (FlowTextException)
            {
                // Expected: pieces that no flow has together.
            }
        }
    }

    // The message as the kernel would tell it back.
    private static string? Written(FlowDefinition flow, bool untagged, out byte[] message)
    {
        using ReplayChannel channel = new();
        using TcTarget target = new(new TcPlace("dev1", Untagged: untagged), channel, new Dictionary<uint, string> { [1] = "dev1", [2] = "dev2" });
        channel.Interfaces = [(11, "dev1"), (12, "dev2"), (13, "other")];
        ChangeResult result = target.Apply([new TargetChange(flow)])[0];
        message = channel.LastFilter ?? [];
        return result.Status == ChangeStatus.Done ? null : result.Reason;
    }
}
