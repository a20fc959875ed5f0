namespace Dpu.Flows.Keys;

/// <summary>A field of a key by its name in ovs-fields(7): what text, actions and explanations speak of.</summary>
public enum FlowField
{
    /// <summary>No field.</summary>
    None,

    /// <summary>The port that the packet came in by.</summary>
    InPort,

    /// <summary>Ethernet source.</summary>
    EthSrc,

    /// <summary>Ethernet destination.</summary>
    EthDst,

    /// <summary>EtherType.</summary>
    EthType,

    /// <summary>The outer tag: priority, presence, identifier.</summary>
    VlanTci,

    /// <summary>The outer tag's identifier, 12 bits.</summary>
    VlanVid,

    /// <summary>The outer tag's priority, 3 bits.</summary>
    VlanPcp,

    /// <summary>The inner tag.</summary>
    VlanTci2,

    /// <summary>IP protocol, or ARP operation.</summary>
    IpProto,

    /// <summary>Fragment bits.</summary>
    IpFrag,

    /// <summary>DSCP and ECN.</summary>
    IpTos,

    /// <summary>TTL or hop limit.</summary>
    IpTtl,

    /// <summary>IPv4 source, or ARP sender.</summary>
    IpSrc,

    /// <summary>IPv4 destination, or ARP target.</summary>
    IpDst,

    /// <summary>IPv6 source.</summary>
    Ipv6Src,

    /// <summary>IPv6 destination.</summary>
    Ipv6Dst,

    /// <summary>IPv6 flow label.</summary>
    Ipv6Label,

    /// <summary>ARP sender hardware address.</summary>
    ArpSha,

    /// <summary>ARP target hardware address.</summary>
    ArpTha,

    /// <summary>Source port, or ICMP type.</summary>
    TpSrc,

    /// <summary>Destination port, or ICMP code.</summary>
    TpDst,

    /// <summary>TCP flags.</summary>
    TcpFlags,

    /// <summary>Tunnel id.</summary>
    TunId,

    /// <summary>Tunnel source, IPv4.</summary>
    TunSrc,

    /// <summary>Tunnel destination, IPv4.</summary>
    TunDst,

    /// <summary>Tunnel source, IPv6.</summary>
    TunIpv6Src,

    /// <summary>Tunnel destination, IPv6.</summary>
    TunIpv6Dst,

    /// <summary>Tunnel TOS.</summary>
    TunTos,

    /// <summary>Tunnel TTL.</summary>
    TunTtl,

    /// <summary>Tunnel kind.</summary>
    TunKind,

    /// <summary>MPLS label, 20 bits.</summary>
    MplsLabel,

    /// <summary>MPLS traffic class, 3 bits.</summary>
    MplsTc,

    /// <summary>MPLS bottom of stack.</summary>
    MplsBos,

    /// <summary>Connection-tracking state.</summary>
    CtState,

    /// <summary>Connection-tracking zone.</summary>
    CtZone,

    /// <summary>Connection-tracking mark.</summary>
    CtMark,

    /// <summary>Recirculation id.</summary>
    RecircId,
}
