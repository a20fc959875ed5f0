namespace Dpu.Flows.Packets;

/// <summary>EtherTypes (linux/if_ether.h, IEEE 802 numbers of IANA).</summary>
public static class EtherTypes
{
    /// <summary>IPv4.</summary>
    public const ushort ETH_P_IP = 0x0800;

    /// <summary>ARP.</summary>
    public const ushort ETH_P_ARP = 0x0806;

    /// <summary>Transparent Ethernet bridging: what GRE carries for Ethernet.</summary>
    public const ushort ETH_P_TEB = 0x6558;

    /// <summary>Reverse ARP, in ARP's format.</summary>
    public const ushort ETH_P_RARP = 0x8035;

    /// <summary>A VLAN tag of 802.1Q.</summary>
    public const ushort ETH_P_8021Q = 0x8100;

    /// <summary>IPv6.</summary>
    public const ushort ETH_P_IPV6 = 0x86dd;

    /// <summary>MPLS unicast.</summary>
    public const ushort ETH_P_MPLS_UC = 0x8847;

    /// <summary>MPLS multicast.</summary>
    public const ushort ETH_P_MPLS_MC = 0x8848;

    /// <summary>A service tag of 802.1ad: the outer one of QinQ.</summary>
    public const ushort ETH_P_8021AD = 0x88a8;

    /// <summary>From here on the field is a type, below it is an 802.3 length.</summary>
    public const ushort ETH_P_802_3_MIN = 0x0600;

    /// <summary>What a frame without EtherType is matched as (openflow-1.0.h: OFP_DL_TYPE_NOT_ETH_TYPE).</summary>
    public const ushort OFP_DL_TYPE_NOT_ETH_TYPE = 0x05ff;

    /// <summary>Whether a VLAN tag follows.</summary>
    public static bool IsVlan(ushort type) => type is ETH_P_8021Q or ETH_P_8021AD;

    /// <summary>Whether a label stack follows.</summary>
    public static bool IsMpls(ushort type) => type is ETH_P_MPLS_UC or ETH_P_MPLS_MC;

    /// <summary>Whether it is IPv4 or IPv6.</summary>
    public static bool IsIp(ushort type) => type is ETH_P_IP or ETH_P_IPV6;
}
