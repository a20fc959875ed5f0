using static Dpu.Flows.Tests.Support.Packet;

namespace Dpu.Flows.Tests.Support;

/// <summary>A valid packet of each kind that the parser knows.</summary>
internal static class SamplePackets
{
    internal const uint A = 0x0a000001;
    internal const uint B = 0xc0a80102;

    internal static byte[] TcpFrame { get; } = Ethernet(0x0800, IPv4(6, A, B, Tcp(1234, 80), tos: 0x2e));

    internal static IReadOnlyDictionary<string, byte[]> All { get; } = new Dictionary<string, byte[]>
    {
        ["tcp"] = TcpFrame,
        ["udp"] = Ethernet(0x0800, IPv4(17, A, B, Udp(53, 5353, [1, 2, 3, 4]))),
        ["sctp"] = Ethernet(0x0800, IPv4(132, A, B, Sctp(2905, 2906))),
        ["icmp"] = Ethernet(0x0800, IPv4(1, A, B, Icmp(8, 0))),
        ["igmp"] = Ethernet(0x0800, IPv4(2, A, B, Icmp(0x16, 0))),
        ["ipv4 options"] = Ethernet(0x0800, IPv4(6, A, B, Tcp(1, 2), options: [7, 7, 4, 0, 0, 0, 0, 0])),
        ["ipv4 first fragment"] = Ethernet(0x0800, IPv4(17, A, B, Udp(1000, 2000, new byte[16]), fragment: 0x2000)),
        ["ipv4 later fragment"] = Ethernet(0x0800, IPv4(17, A, B, new byte[24], fragment: 3)),
        ["padded"] = Join(Ethernet(0x0800, IPv4(17, A, B, Udp(7, 9))), new byte[18]),
        ["vlan"] = Ethernet(0x8100, Vlan(0x6064, 0x0800, IPv4(6, A, B, Tcp(5, 6)))),
        ["qinq"] = Ethernet(0x88a8, Vlan(0x0005, 0x8100, Vlan(0x2007, 0x0800, IPv4(6, A, B, Tcp(5, 6))))),
        ["three tags"] = Ethernet(0x88a8, Vlan(1, 0x8100, Vlan(2, 0x8100, Vlan(3, 0x0800, IPv4(6, A, B, Tcp(5, 6)))))),
        ["mpls"] = Ethernet(0x8847, Mpls(1000, 5, false, 63, Mpls(17, 0, true, 62, IPv4(6, A, B, Tcp(5, 6))))),
        ["arp"] = Ethernet(0x0806, Arp(1, A, B)),
        ["rarp"] = Ethernet(0x8035, Arp(3, A, B)),
        ["ipv6 tcp"] = Ethernet(0x86dd, IPv6(6, Tcp(1234, 443), trafficClass: 0x28, label: 0x12345)),
        ["ipv6 extensions"] = Ethernet(0x86dd, IPv6(0, Extension(43, 0, Extension(60, 2, Extension(17, 1, Udp(8, 9)))))),
        ["ipv6 ah"] = Ethernet(0x86dd, IPv6(51, Join([6, 4], new byte[22], Tcp(8, 9)))),
        ["ipv6 first fragment"] = Ethernet(0x86dd, IPv6(44, Fragment(6, 1, Tcp(8, 9)))),
        ["ipv6 later fragment"] = Ethernet(0x86dd, IPv6(44, Fragment(6, 8, new byte[32]))),
        ["icmpv6"] = Ethernet(0x86dd, IPv6(58, Icmp(128, 0))),
        ["esp"] = Ethernet(0x0800, IPv4(50, A, B, new byte[20])),
        ["llc"] = Ethernet(10, [0x42, 0x42, 3, 0, 0, 0, 0, 0, 0, 0]),
        ["snap"] = Ethernet(36, Join([0xaa, 0xaa, 3, 0, 0, 0], Be16(0x0800), IPv4(17, A, B, Udp(1, 2)))),
        ["vxlan"] = Ethernet(0x0800, IPv4(17, 0x01010101, 0x02020202, Vxlan(0x123456, TcpFrame), tos: 4, ttl: 9)),
        ["geneve"] = Ethernet(0x0800, IPv4(17, 0x01010101, 0x02020202, Geneve(77, 0x6558, [1, 2, 3, 1, 9, 9, 9, 9], TcpFrame))),
        ["geneve ip"] = Ethernet(0x86dd, IPv6(17, Geneve(78, 0x0800, [], IPv4(6, A, B, Tcp(1234, 80))))),
        ["gre"] = Ethernet(0x0800, IPv4(47, 0x01010101, 0x02020202, Gre(0x0800, 0xdeadbeef, true, IPv4(6, A, B, Tcp(1234, 80))))),
        ["gre ethernet"] = Ethernet(0x0800, IPv4(47, 0x01010101, 0x02020202, Gre(0x6558, null, false, TcpFrame))),
        ["vxlan in vxlan"] = Ethernet(0x0800, IPv4(17, 1, 2, Vxlan(1, Ethernet(0x0800, IPv4(17, 3, 4, Vxlan(2, TcpFrame)))))),
    };
}
