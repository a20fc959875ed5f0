namespace Dpu.Flows.Packets;

/// <summary>IP protocols and IPv6 extension headers (netinet/in.h, IANA's protocol numbers).</summary>
public static class IpProtocols
{
    /// <summary>Hop-by-hop options.</summary>
    public const byte IPPROTO_HOPOPTS = 0;

    /// <summary>ICMP.</summary>
    public const byte IPPROTO_ICMP = 1;

    /// <summary>IGMP.</summary>
    public const byte IPPROTO_IGMP = 2;

    /// <summary>TCP.</summary>
    public const byte IPPROTO_TCP = 6;

    /// <summary>UDP.</summary>
    public const byte IPPROTO_UDP = 17;

    /// <summary>Routing header.</summary>
    public const byte IPPROTO_ROUTING = 43;

    /// <summary>Fragment header.</summary>
    public const byte IPPROTO_FRAGMENT = 44;

    /// <summary>GRE.</summary>
    public const byte IPPROTO_GRE = 47;

    /// <summary>Authentication header, whose length counts 32-bit words.</summary>
    public const byte IPPROTO_AH = 51;

    /// <summary>ICMPv6.</summary>
    public const byte IPPROTO_ICMPV6 = 58;

    /// <summary>Destination options.</summary>
    public const byte IPPROTO_DSTOPTS = 60;

    /// <summary>SCTP.</summary>
    public const byte IPPROTO_SCTP = 132;

    /// <summary>Mobility header.</summary>
    public const byte IPPROTO_MH = 135;

    /// <summary>UDP port of VXLAN (RFC 7348).</summary>
    public const ushort VxlanPort = 4789;

    /// <summary>UDP port of GENEVE (RFC 8926).</summary>
    public const ushort GenevePort = 6081;

    /// <summary>Whether the protocol has ports that rules match.</summary>
    public static bool HasPorts(byte protocol) => protocol is IPPROTO_TCP or IPPROTO_UDP or IPPROTO_SCTP;
}
