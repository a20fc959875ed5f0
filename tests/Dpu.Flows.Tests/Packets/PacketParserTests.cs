using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Flows.Tests.Support;

namespace Dpu.Flows.Tests.Packets;

[TestClass]
public sealed class PacketParserTests
{
    [TestMethod, TestCategory("unit")]
    public void Parse_OfEverySample_IsWholeUnlessItSaysOtherwise()
    {
        foreach ((string name, byte[] packet) in SamplePackets.All)
        {
            Assert.IsTrue(PacketParser.Parse(packet, 3, decapsulate: true, out FlowKey key).IsWhole, name);
            Assert.AreEqual(3u, key.InPort, name);
        }
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_Tcp_FillsEveryField()
    {
        PacketLayout layout = Parse("tcp", out FlowKey key);
        FlowKey expected = new()
        {
            InPort = 3,
            EthType = 0x0800,
            IpProto = 6,
            TpSrc = 1234,
            TpDst = 80,
            TcpFlags = 2,
            IpTos = 0x2e,
            IpTtl = 64,
            IpSrc = new Address128(SamplePackets.A),
            IpDst = new Address128(SamplePackets.B),
            EthSrc = 0x02000000000a,
            EthDst = 0x02000000000b,
        };
        Assert.AreEqual(expected, key);
        Assert.AreEqual(new PacketLayout(PacketTraits.None, 0, 14, 34, 54), layout);
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("udp", 53, 5353)]
    [DataRow("sctp", 2905, 2906)]
    [DataRow("icmp", 8, 0)]
    [DataRow("igmp", 0x16, 0)]
    [DataRow("icmpv6", 128, 0)]
    [DataRow("ipv4 options", 1, 2)]
    [DataRow("ipv4 first fragment", 1000, 2000)]
    [DataRow("ipv4 later fragment", 0, 0)]
    [DataRow("ipv6 extensions", 8, 9)]
    [DataRow("ipv6 ah", 8, 9)]
    [DataRow("ipv6 first fragment", 8, 9)]
    [DataRow("ipv6 later fragment", 0, 0)]
    [DataRow("snap", 1, 2)]
    [DataRow("esp", 0, 0)]
    public void Parse_OfTransports_TakesPortsOrTypes(string sample, int source, int destination)
    {
        _ = Parse(sample, out FlowKey key);
        Assert.AreEqual(((ushort)source, (ushort)destination), (key.TpSrc, key.TpDst));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("ipv4 first fragment", 17, 1)]
    [DataRow("ipv4 later fragment", 17, 3)]
    [DataRow("ipv6 first fragment", 6, 1)]
    [DataRow("ipv6 later fragment", 44, 3)]
    [DataRow("ipv6 extensions", 17, 0)]
    [DataRow("tcp", 6, 0)]
    public void Parse_OfFragments_TellsFirstFromLater(string sample, int protocol, int fragment)
    {
        _ = Parse(sample, out FlowKey key);
        Assert.AreEqual(((byte)protocol, (byte)fragment), (key.IpProto, key.IpFrag));
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfAnAtomicFragment_IsNoFragment()
    {
        byte[] packet = Packet.Ethernet(0x86dd, Packet.IPv6(44, Packet.Fragment(6, 0, Packet.Tcp(8, 9))));
        _ = PacketParser.Parse(packet, 1, false, out FlowKey key);
        Assert.AreEqual(((byte)0, (ushort)8), (key.IpFrag, key.TpSrc));
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfTags_KeepsTwoAndLeavesTheThird()
    {
        _ = Parse("vlan", out FlowKey one);
        Assert.AreEqual((0x7064, 0, 0x0800), ((int)one.VlanTci, (int)one.VlanTci2, (int)one.EthType));
        _ = Parse("qinq", out FlowKey two);
        Assert.AreEqual((0x1005, 0x3007, 0x0800), ((int)two.VlanTci, (int)two.VlanTci2, (int)two.EthType));
        _ = Parse("three tags", out FlowKey three);
        Assert.AreEqual((0x1001, 0x1002, 0x8100), ((int)three.VlanTci, (int)three.VlanTci2, (int)three.EthType));
        Assert.AreEqual(0, three.IpProto);
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfMpls_TakesTheOuterEntryWithoutItsTtl()
    {
        PacketLayout layout = Parse("mpls", out FlowKey key);
        Assert.AreEqual(((1000u << 12) | (5u << 9), (byte)2, (ushort)0x8847, 22), (key.MplsLse, key.MplsDepth, key.EthType, layout.Network));
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfArp_TakesOperationAndAddresses()
    {
        _ = Parse("arp", out FlowKey key);
        Assert.AreEqual(((byte)1, SamplePackets.A, SamplePackets.B), (key.IpProto, key.IpSrc.Word0, key.IpDst.Word0));
        Assert.AreEqual((0x02000000000aul, 0x02000000000bul), (key.ArpSha, key.ArpTha));
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfIPv6_TakesClassLabelAndAddresses()
    {
        _ = Parse("ipv6 tcp", out FlowKey key);
        Assert.AreEqual((0x12345u, (byte)0x28), (key.Ipv6Label, key.IpTos));
        Assert.AreEqual(new Address128(0x20010db8, 0, 0, 0xa), key.IpSrc);
        Assert.AreEqual(new Address128(0x20010db8, 0, 0, 0xb), key.IpDst);
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfPadding_EndsWhereIpEnds() => Assert.AreEqual(14 + 20 + 8, Parse("padded", out _).End);

    [TestMethod, TestCategory("unit")]
    [DataRow("vxlan", TunnelKind.Vxlan, 0x123456u)]
    [DataRow("geneve", TunnelKind.Geneve, 77u)]
    [DataRow("geneve ip", TunnelKind.Geneve, 78u)]
    [DataRow("gre", TunnelKind.Gre, 0xdeadbeefu)]
    [DataRow("gre ethernet", TunnelKind.Gre, 0u)]
    public void Parse_OfTunnels_IsTheInnerPacketWithTheOuterAddresses(string sample, TunnelKind kind, uint id)
    {
        PacketLayout layout = PacketParser.Parse(SamplePackets.All[sample], 3, decapsulate: true, out FlowKey key);
        Assert.AreEqual((kind, (ulong)id, PacketTraits.Decapsulated), (key.TunKind, key.TunId, layout.Traits));
        Assert.AreEqual((SamplePackets.A, SamplePackets.B, (ushort)1234, (ushort)80), (key.IpSrc.Word0, key.IpDst.Word0, key.TpSrc, key.TpDst));
        Assert.AreEqual(sample == "geneve ip" ? 0x20010db8u : 0x01010101u, key.TunSrc.Word0);
        Assert.AreEqual(sample is "gre" or "geneve ip", layout.Ethernet == -1, "bare IP has no Ethernet header");

        // Not asked for, the outer packet is what it is.
        _ = PacketParser.Parse(SamplePackets.All[sample], 3, decapsulate: false, out FlowKey outer);
        Assert.AreEqual((TunnelKind.None, sample.StartsWith("gre", StringComparison.Ordinal) ? (byte)47 : (byte)17), (outer.TunKind, outer.IpProto));
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfNestedTunnels_TakesOneOff()
    {
        _ = PacketParser.Parse(SamplePackets.All["vxlan in vxlan"], 3, decapsulate: true, out FlowKey key);
        Assert.AreEqual((1ul, 3u, 4u, (ushort)4789), (key.TunId, key.IpSrc.Word0, key.IpDst.Word0, key.TpDst));
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfContradictions_LeavesTheHeadersFieldsOut()
    {
        byte[] shortHeader = [.. SamplePackets.TcpFrame];
        shortHeader[14] = 0x44;
        AssertIpLeftOut(shortHeader, PacketTraits.Malformed);
        byte[] wrongVersion = [.. SamplePackets.TcpFrame];
        wrongVersion[14] = 0x65;
        AssertIpLeftOut(wrongVersion, PacketTraits.Malformed);
        byte[] shorterThanHeader = [.. SamplePackets.TcpFrame];
        shorterThanHeader[17] = 19;
        AssertIpLeftOut(shorterThanHeader, PacketTraits.Malformed);
        byte[] longerThanPacket = [.. SamplePackets.TcpFrame];
        longerThanPacket[16] = 0xff;
        AssertIpLeftOut(longerThanPacket, PacketTraits.Truncated);
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfEndlessExtensions_GivesUp()
    {
        byte[] inner = Packet.Udp(8, 9);
        for (int i = 0; i < 40; i++)
        {
            inner = Packet.Extension(i == 0 ? (byte)17 : (byte)60, 0, inner);
        }

        PacketLayout layout = PacketParser.Parse(Packet.Ethernet(0x86dd, Packet.IPv6(60, inner)), 1, false, out FlowKey key);
        Assert.AreEqual((PacketTraits.Malformed, (ushort)0), (layout.Traits, key.TpDst));
    }

    private static PacketLayout Parse(string sample, out FlowKey key) => PacketParser.Parse(SamplePackets.All[sample], 3, decapsulate: false, out key);

    private static void AssertIpLeftOut(byte[] packet, PacketTraits why)
    {
        PacketLayout layout = PacketParser.Parse(packet, 1, false, out FlowKey key);
        Assert.AreEqual(why, layout.Traits);
        Assert.AreEqual((0x0800, 0, 0u, 0), (key.EthType, key.IpProto, key.IpSrc.Word0, key.TpDst));
    }
}
