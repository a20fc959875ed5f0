using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>
/// Matches of flower as matches of flows, and back (net/sched/cls_flower.c). What one of both cannot say is refused with a reason.
/// Fields that flower has with value and mask go through one list; tags, fragments, ports and connection states have rules of their own. Pure.
/// </summary>
/// <remarks>
/// A filter's protocol says which tag a packet has: 802.1Q and 802.1ad those with one, any other type packets without, ETH_P_ALL both.
/// With <c>untagged</c> a match that says nothing of tags is one of packets without.
/// </remarks>
internal static partial class FlowerMatch
{
    internal const ushort ETH_P_ALL = 3;

    private static readonly Field[] _fields =
    [
        new(linux_pkt_cls.TCA_FLOWER_KEY_ETH_DST, linux_pkt_cls.TCA_FLOWER_KEY_ETH_DST_MASK, FlowField.EthDst, 6, When.Always),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ETH_SRC, linux_pkt_cls.TCA_FLOWER_KEY_ETH_SRC_MASK, FlowField.EthSrc, 6, When.Always),
        new(linux_pkt_cls.TCA_FLOWER_KEY_IP_PROTO, 0, FlowField.IpProto, 1, When.Ip),
        new(linux_pkt_cls.TCA_FLOWER_KEY_IP_TOS, linux_pkt_cls.TCA_FLOWER_KEY_IP_TOS_MASK, FlowField.IpTos, 1, When.Ip),
        new(linux_pkt_cls.TCA_FLOWER_KEY_IP_TTL, linux_pkt_cls.TCA_FLOWER_KEY_IP_TTL_MASK, FlowField.IpTtl, 1, When.Ip),
        new(linux_pkt_cls.TCA_FLOWER_KEY_IPV4_SRC, linux_pkt_cls.TCA_FLOWER_KEY_IPV4_SRC_MASK, FlowField.IpSrc, 4, When.Ipv4),
        new(linux_pkt_cls.TCA_FLOWER_KEY_IPV4_DST, linux_pkt_cls.TCA_FLOWER_KEY_IPV4_DST_MASK, FlowField.IpDst, 4, When.Ipv4),
        new(linux_pkt_cls.TCA_FLOWER_KEY_IPV6_SRC, linux_pkt_cls.TCA_FLOWER_KEY_IPV6_SRC_MASK, FlowField.Ipv6Src, 16, When.Ipv6),
        new(linux_pkt_cls.TCA_FLOWER_KEY_IPV6_DST, linux_pkt_cls.TCA_FLOWER_KEY_IPV6_DST_MASK, FlowField.Ipv6Dst, 16, When.Ipv6),
        new(linux_pkt_cls.TCA_FLOWER_KEY_TCP_SRC, linux_pkt_cls.TCA_FLOWER_KEY_TCP_SRC_MASK, FlowField.TpSrc, 2, When.Tcp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_TCP_DST, linux_pkt_cls.TCA_FLOWER_KEY_TCP_DST_MASK, FlowField.TpDst, 2, When.Tcp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_UDP_SRC, linux_pkt_cls.TCA_FLOWER_KEY_UDP_SRC_MASK, FlowField.TpSrc, 2, When.Udp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_UDP_DST, linux_pkt_cls.TCA_FLOWER_KEY_UDP_DST_MASK, FlowField.TpDst, 2, When.Udp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_SCTP_SRC, linux_pkt_cls.TCA_FLOWER_KEY_SCTP_SRC_MASK, FlowField.TpSrc, 2, When.Sctp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_SCTP_DST, linux_pkt_cls.TCA_FLOWER_KEY_SCTP_DST_MASK, FlowField.TpDst, 2, When.Sctp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_TCP_FLAGS, linux_pkt_cls.TCA_FLOWER_KEY_TCP_FLAGS_MASK, FlowField.TcpFlags, 2, When.Tcp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ICMPV4_TYPE, linux_pkt_cls.TCA_FLOWER_KEY_ICMPV4_TYPE_MASK, FlowField.TpSrc, 1, When.Icmp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ICMPV4_CODE, linux_pkt_cls.TCA_FLOWER_KEY_ICMPV4_CODE_MASK, FlowField.TpDst, 1, When.Icmp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ICMPV6_TYPE, linux_pkt_cls.TCA_FLOWER_KEY_ICMPV6_TYPE_MASK, FlowField.TpSrc, 1, When.Icmpv6),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ICMPV6_CODE, linux_pkt_cls.TCA_FLOWER_KEY_ICMPV6_CODE_MASK, FlowField.TpDst, 1, When.Icmpv6),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ARP_SIP, linux_pkt_cls.TCA_FLOWER_KEY_ARP_SIP_MASK, FlowField.IpSrc, 4, When.Arp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ARP_TIP, linux_pkt_cls.TCA_FLOWER_KEY_ARP_TIP_MASK, FlowField.IpDst, 4, When.Arp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ARP_OP, linux_pkt_cls.TCA_FLOWER_KEY_ARP_OP_MASK, FlowField.IpProto, 1, When.Arp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ARP_SHA, linux_pkt_cls.TCA_FLOWER_KEY_ARP_SHA_MASK, FlowField.ArpSha, 6, When.Arp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ARP_THA, linux_pkt_cls.TCA_FLOWER_KEY_ARP_THA_MASK, FlowField.ArpTha, 6, When.Arp),
        new(linux_pkt_cls.TCA_FLOWER_KEY_MPLS_LABEL, 0, FlowField.MplsLabel, 4, When.Mpls) { IsHost = true },
        new(linux_pkt_cls.TCA_FLOWER_KEY_MPLS_TC, 0, FlowField.MplsTc, 1, When.Mpls),
        new(linux_pkt_cls.TCA_FLOWER_KEY_MPLS_BOS, 0, FlowField.MplsBos, 1, When.Mpls),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ENC_IPV4_SRC, linux_pkt_cls.TCA_FLOWER_KEY_ENC_IPV4_SRC_MASK, FlowField.TunSrc, 4, When.TunnelIpv4),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ENC_IPV4_DST, linux_pkt_cls.TCA_FLOWER_KEY_ENC_IPV4_DST_MASK, FlowField.TunDst, 4, When.TunnelIpv4),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ENC_IPV6_SRC, linux_pkt_cls.TCA_FLOWER_KEY_ENC_IPV6_SRC_MASK, FlowField.TunIpv6Src, 16, When.TunnelIpv6),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ENC_IPV6_DST, linux_pkt_cls.TCA_FLOWER_KEY_ENC_IPV6_DST_MASK, FlowField.TunIpv6Dst, 16, When.TunnelIpv6),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ENC_IP_TOS, linux_pkt_cls.TCA_FLOWER_KEY_ENC_IP_TOS_MASK, FlowField.TunTos, 1, When.Always),
        new(linux_pkt_cls.TCA_FLOWER_KEY_ENC_IP_TTL, linux_pkt_cls.TCA_FLOWER_KEY_ENC_IP_TTL_MASK, FlowField.TunTtl, 1, When.Always),
        new(linux_pkt_cls.TCA_FLOWER_KEY_CT_ZONE, linux_pkt_cls.TCA_FLOWER_KEY_CT_ZONE_MASK, FlowField.CtZone, 2, When.Always) { IsHost = true },
        new(linux_pkt_cls.TCA_FLOWER_KEY_CT_MARK, linux_pkt_cls.TCA_FLOWER_KEY_CT_MARK_MASK, FlowField.CtMark, 4, When.Always) { IsHost = true },
    ];

    private static readonly (ushort Flower, CtState State)[] _states =
    [
        (linux_pkt_cls.TCA_FLOWER_KEY_CT_FLAGS_NEW, CtState.New),
        (linux_pkt_cls.TCA_FLOWER_KEY_CT_FLAGS_ESTABLISHED, CtState.Established),
        (linux_pkt_cls.TCA_FLOWER_KEY_CT_FLAGS_RELATED, CtState.Related),
        (linux_pkt_cls.TCA_FLOWER_KEY_CT_FLAGS_REPLY, CtState.Reply),
        (linux_pkt_cls.TCA_FLOWER_KEY_CT_FLAGS_INVALID, CtState.Invalid),
        (linux_pkt_cls.TCA_FLOWER_KEY_CT_FLAGS_TRACKED, CtState.Tracked),
    ];

    // Destination ports of tunnels, which say their kind (IANA).
    internal static readonly (TunnelKind Kind, ushort Port)[] TunnelPorts = [(TunnelKind.Vxlan, 4789), (TunnelKind.Geneve, 6081)];

    private enum When
    {
        Always,
        Ip,
        Ipv4,
        Ipv6,
        Arp,
        Mpls,
        Tcp,
        Udp,
        Sctp,
        Icmp,
        Icmpv6,
        TunnelIpv4,
        TunnelIpv6,
    }

    private sealed record Field(ushort Value, ushort Mask, FlowField Name, int Size, When When)
    {
        /// <summary>Numbers that the kernel has in its own order.</summary>
        internal bool IsHost { get; init; }
    }

    private static bool IsIp(ushort type) => type is EtherTypes.ETH_P_IP or EtherTypes.ETH_P_IPV6;

    private static bool Holds(When when, in FlowMatch match)
    {
        ushort type = match.Mask.Bits.EthType == ushort.MaxValue ? match.Key.EthType : (ushort)0;
        int protocol = IsIp(type) && match.Mask.Bits.IpProto == byte.MaxValue ? match.Key.IpProto : -1;
        return when switch
        {
            When.Always => true,
            When.Ip => IsIp(type),
            When.Ipv4 => type == EtherTypes.ETH_P_IP,
            When.Ipv6 => type == EtherTypes.ETH_P_IPV6,
            When.Arp => type is EtherTypes.ETH_P_ARP or EtherTypes.ETH_P_RARP,
            When.Mpls => type is EtherTypes.ETH_P_MPLS_UC or EtherTypes.ETH_P_MPLS_MC,
            When.Tcp => protocol == IpProtocols.IPPROTO_TCP,
            When.Udp => protocol == IpProtocols.IPPROTO_UDP,
            When.Sctp => protocol == IpProtocols.IPPROTO_SCTP,
            When.Icmp => type == EtherTypes.ETH_P_IP && protocol == IpProtocols.IPPROTO_ICMP,
            When.Icmpv6 => type == EtherTypes.ETH_P_IPV6 && protocol == IpProtocols.IPPROTO_ICMPV6,
            When.TunnelIpv4 => !IsTunnelIpv6(match),
            _ => IsTunnelIpv6(match),
        };
    }

    // An IPv4 address fills the first word; one with bits beyond it is IPv6's.
    private static bool IsTunnelIpv6(in FlowMatch match)
    {
        (Address128 source, Address128 destination) = (match.Mask.Bits.TunSrc, match.Mask.Bits.TunDst);
        return (source.Word1 | source.Word2 | source.Word3 | destination.Word1 | destination.Word2 | destination.Word3) != 0;
    }
}
