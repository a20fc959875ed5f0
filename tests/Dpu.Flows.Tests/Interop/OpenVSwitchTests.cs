using System.Buffers.Binary;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Flows.Table;
using Dpu.Flows.Tests.Support;
using Dpu.Flows.Text;
using Dpu.TestSupport;

namespace Dpu.Flows.Tests.Interop;

/// <summary>Packets and flows as Open vSwitch's own parsers read them.</summary>
[TestClass]
public sealed class OpenVSwitchTests
{
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(30);

    [TestMethod, TestCategory("interop")]
    public void Packets_OfEveryKind_HaveTheFieldsThatOvsFinds()
    {
        // A third tag and 802.3 frames without a type are kept differently; MPLS' inner packet and RARP's addresses are not shown.
        string[] names = [.. SamplePackets.All.Keys.Where(name => name is not ("three tags" or "llc" or "rarp"))];
        using TemporaryDirectory folder = new();
        string file = folder["packets.pcap"];
        using (FileStream pcap = File.Create(file))
        {
            byte[] header = new byte[24];
            BinaryPrimitives.WriteUInt32LittleEndian(header, 0xa1b2c3d4);
            (header[4], header[6], header[20]) = (2, 4, 1);
            header[18] = 1; // 64 KiB of each packet.
            pcap.Write(header);
            foreach (string name in names)
            {
                byte[] packet = SamplePackets.All[name], record = new byte[16];
                BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(8), packet.Length);
                BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(12), packet.Length);
                pcap.Write(record);
                pcap.Write(packet);
            }
        }

        string[] lines = Run("parse-pcap", file);
        Assert.HasCount(names.Length, lines);
        for (int i = 0; i < names.Length; i++)
        {
            string text = lines[i].Replace("in_port=ANY,", "", StringComparison.Ordinal);
            string[] fields = [.. text.Split(',').Where(field => !field.StartsWith("mpls_ttl", StringComparison.Ordinal) && !field.StartsWith("mpls_lse1", StringComparison.Ordinal))];
            FlowMatch match = MatchText.Parse(string.Join(',', fields));
            _ = PacketParser.Parse(SamplePackets.All[names[i]], 0, decapsulate: false, out FlowKey key);
            Assert.IsTrue(match.Matches(key), $"{names[i]}: OVS {lines[i]}, ours {PacketText.Format(key)}");

            // And OVS found all that we did: but for what its syntax has no room for.
            FlowKey known = match.Mask.Apply(key);
            (known.MplsDepth, known.MplsLse) = (key.MplsDepth, key.MplsLse);
            Assert.AreEqual(PacketText.Format(key), PacketText.Format(known), names[i]);
        }
    }

    [TestMethod, TestCategory("interop")]
    public void Text_OfFlows_IsReadByOvsAsTheSame()
    {
        FlowDefinition[] flows =
        [
            .. new[]
            {
                "cookie=0x2a,table=3,idle_timeout=60,priority=100,tcp,in_port=1,nw_dst=10.0.0.0/8,tp_dst=0x50/0xfff0,ct_state=+trk-new,ct_zone=5,ct_mark=0x10/0xf0,tcp_flags=+syn-ack actions=set_field:10.0.0.1->ip_dst,output:2,goto_table:5",
                "priority=5,ipv6,ipv6_src=2001:db8::/32,dl_vlan=5,dl_vlan_pcp=2,ip_frag=later,tun_id=0x5,tun_src=1.2.3.4 actions=meter:1,push_vlan:0x8100,set_field:5->vlan_vid,output:1",
                "arp,arp_spa=10.0.0.1,arp_tpa=10.0.0.0/24,arp_op=1,arp_sha=02:00:00:00:00:01 actions=drop",
                "mpls,mpls_label=100,mpls_tc=3,mpls_bos=1 actions=NORMAL",
                "icmp6,icmp_type=128,icmp_code=0 actions=IN_PORT",
                "icmp,dl_vlan=7,icmp_type=8,nw_ttl=64,nw_tos=16 actions=pop_vlan,set_field:02:00:00:00:00:01->eth_dst,set_field:0x10/0xf0->tun_id,CONTROLLER",
                "sctp6,tp_src=5,dl_src=02:00:00:00:00:01/ff:ff:ff:00:00:00 actions=set_field:2001:db8::1->ipv6_dst,output:1",
                "dl_type=0x88cc actions=output:3",
                "ip,nw_proto=47,nw_src=10.0.0.1/255.0.255.0 actions=drop",
            }.Select(line => OpenFlowText.Parse(line).Definition),
            .. OpenFlowText.WithoutRanges(new FlowDefinition { Match = MatchText.Parse("udp,tp_dst=1000-2001"), Actions = [FlowAction.Output(9)] }),
        ];
        using TemporaryDirectory folder = new();
        string file = folder.WriteFile("flows.txt", string.Join('\n', flows.Select(flow => OpenFlowText.Format(flow))) + "\n");
        string[] lines = [.. Run("-O", "OpenFlow15", "parse-flows", file).Where(line => line.Contains(": ADD ", StringComparison.Ordinal))];
        Assert.HasCount(flows.Length, lines);
        for (int i = 0; i < flows.Length; i++)
        {
            string text = lines[i][(lines[i].IndexOf(": ADD ", StringComparison.Ordinal) + 6)..].Replace(" idle:", " idle_timeout=", StringComparison.Ordinal).Replace("CONTROLLER:65535", "CONTROLLER", StringComparison.Ordinal);
            FlowDefinition read = OpenFlowText.Parse(text).Definition;
            Assert.AreEqual(OpenFlowText.Format(flows[i]), OpenFlowText.Format(read), lines[i]);
            Assert.AreEqual(flows[i].Match, read.Match);
        }
    }

    private static string[] Run(params string[] arguments)
    {
        ProgramResult result = ExternalProgram.Run(Requires.Tool("ovs-ofctl"), arguments, _limit);
        Assert.AreEqual(0, result.ExitCode, result.Error);
        return result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
