#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>Filters of traffic control: flags, actions, and what flower matches (tc-flower(8)).</summary>
[CConstants("linux/pkt_cls.h")]
public static class linux_pkt_cls
{
    public const uint TCA_CLS_FLAGS_SKIP_HW = 1;
    public const uint TCA_CLS_FLAGS_SKIP_SW = 2;
    public const uint TCA_CLS_FLAGS_IN_HW = 4;
    public const uint TCA_CLS_FLAGS_NOT_IN_HW = 8;

    /// <summary>Say also why hardware did not take a filter that software has.</summary>
    public const uint TCA_CLS_FLAGS_VERBOSE = 16;
    public const ushort TCA_U32_ACT = 7;
    public const int TC_ACT_UNSPEC = -1;
    public const int TC_ACT_OK = 0;
    public const int TC_ACT_SHOT = 2;
    public const int TC_ACT_PIPE = 3;
    public const int TC_ACT_STOLEN = 4;
    public const int TC_ACT_TRAP = 8;
    public const int TC_ACT_JUMP = 0x10000000;
    public const int TC_ACT_GOTO_CHAIN = 0x20000000;
    public const int TC_ACT_EXT_VAL_MASK = 0xfffffff;
    public const ushort TCA_ACT_KIND = 1;
    public const ushort TCA_ACT_OPTIONS = 2;
    public const ushort TCA_ACT_INDEX = 3;
    public const ushort TCA_ACT_STATS = 4;
    public const ushort TCA_ACT_COOKIE = 6;
    public const ushort TCA_ACT_FLAGS = 7;
    public const ushort TCA_ACT_HW_STATS = 8;
    public const ushort TCA_ACT_USED_HW_STATS = 9;
    public const ushort TCA_ACT_IN_HW_COUNT = 10;
    public const int TCA_ACT_MAX_PRIO = 32;
    public const uint TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT = 1;
    public const uint TCA_FLOWER_KEY_FLAGS_FRAG_IS_FIRST = 2;
    public const ushort TCA_FLOWER_KEY_CT_FLAGS_NEW = 1;
    public const ushort TCA_FLOWER_KEY_CT_FLAGS_ESTABLISHED = 2;
    public const ushort TCA_FLOWER_KEY_CT_FLAGS_RELATED = 4;
    public const ushort TCA_FLOWER_KEY_CT_FLAGS_TRACKED = 8;
    public const ushort TCA_FLOWER_KEY_CT_FLAGS_INVALID = 16;
    public const ushort TCA_FLOWER_KEY_CT_FLAGS_REPLY = 32;
    public const ushort TCA_FLOWER_CLASSID = 1;
    public const ushort TCA_FLOWER_INDEV = 2;
    public const ushort TCA_FLOWER_ACT = 3;
    public const ushort TCA_FLOWER_KEY_ETH_DST = 4;
    public const ushort TCA_FLOWER_KEY_ETH_DST_MASK = 5;
    public const ushort TCA_FLOWER_KEY_ETH_SRC = 6;
    public const ushort TCA_FLOWER_KEY_ETH_SRC_MASK = 7;
    public const ushort TCA_FLOWER_KEY_ETH_TYPE = 8;
    public const ushort TCA_FLOWER_KEY_IP_PROTO = 9;
    public const ushort TCA_FLOWER_KEY_IPV4_SRC = 10;
    public const ushort TCA_FLOWER_KEY_IPV4_SRC_MASK = 11;
    public const ushort TCA_FLOWER_KEY_IPV4_DST = 12;
    public const ushort TCA_FLOWER_KEY_IPV4_DST_MASK = 13;
    public const ushort TCA_FLOWER_KEY_IPV6_SRC = 14;
    public const ushort TCA_FLOWER_KEY_IPV6_SRC_MASK = 15;
    public const ushort TCA_FLOWER_KEY_IPV6_DST = 16;
    public const ushort TCA_FLOWER_KEY_IPV6_DST_MASK = 17;
    public const ushort TCA_FLOWER_KEY_TCP_SRC = 18;
    public const ushort TCA_FLOWER_KEY_TCP_DST = 19;
    public const ushort TCA_FLOWER_KEY_UDP_SRC = 20;
    public const ushort TCA_FLOWER_KEY_UDP_DST = 21;
    public const ushort TCA_FLOWER_FLAGS = 22;
    public const ushort TCA_FLOWER_KEY_VLAN_ID = 23;
    public const ushort TCA_FLOWER_KEY_VLAN_PRIO = 24;
    public const ushort TCA_FLOWER_KEY_VLAN_ETH_TYPE = 25;
    public const ushort TCA_FLOWER_KEY_ENC_KEY_ID = 26;
    public const ushort TCA_FLOWER_KEY_ENC_IPV4_SRC = 27;
    public const ushort TCA_FLOWER_KEY_ENC_IPV4_SRC_MASK = 28;
    public const ushort TCA_FLOWER_KEY_ENC_IPV4_DST = 29;
    public const ushort TCA_FLOWER_KEY_ENC_IPV4_DST_MASK = 30;
    public const ushort TCA_FLOWER_KEY_ENC_IPV6_SRC = 31;
    public const ushort TCA_FLOWER_KEY_ENC_IPV6_SRC_MASK = 32;
    public const ushort TCA_FLOWER_KEY_ENC_IPV6_DST = 33;
    public const ushort TCA_FLOWER_KEY_ENC_IPV6_DST_MASK = 34;
    public const ushort TCA_FLOWER_KEY_TCP_SRC_MASK = 35;
    public const ushort TCA_FLOWER_KEY_TCP_DST_MASK = 36;
    public const ushort TCA_FLOWER_KEY_UDP_SRC_MASK = 37;
    public const ushort TCA_FLOWER_KEY_UDP_DST_MASK = 38;
    public const ushort TCA_FLOWER_KEY_SCTP_SRC_MASK = 39;
    public const ushort TCA_FLOWER_KEY_SCTP_DST_MASK = 40;
    public const ushort TCA_FLOWER_KEY_SCTP_SRC = 41;
    public const ushort TCA_FLOWER_KEY_SCTP_DST = 42;
    public const ushort TCA_FLOWER_KEY_ENC_UDP_SRC_PORT = 43;
    public const ushort TCA_FLOWER_KEY_ENC_UDP_SRC_PORT_MASK = 44;
    public const ushort TCA_FLOWER_KEY_ENC_UDP_DST_PORT = 45;
    public const ushort TCA_FLOWER_KEY_ENC_UDP_DST_PORT_MASK = 46;
    public const ushort TCA_FLOWER_KEY_FLAGS = 47;
    public const ushort TCA_FLOWER_KEY_FLAGS_MASK = 48;
    public const ushort TCA_FLOWER_KEY_ICMPV4_CODE = 49;
    public const ushort TCA_FLOWER_KEY_ICMPV4_CODE_MASK = 50;
    public const ushort TCA_FLOWER_KEY_ICMPV4_TYPE = 51;
    public const ushort TCA_FLOWER_KEY_ICMPV4_TYPE_MASK = 52;
    public const ushort TCA_FLOWER_KEY_ICMPV6_CODE = 53;
    public const ushort TCA_FLOWER_KEY_ICMPV6_CODE_MASK = 54;
    public const ushort TCA_FLOWER_KEY_ICMPV6_TYPE = 55;
    public const ushort TCA_FLOWER_KEY_ICMPV6_TYPE_MASK = 56;
    public const ushort TCA_FLOWER_KEY_ARP_SIP = 57;
    public const ushort TCA_FLOWER_KEY_ARP_SIP_MASK = 58;
    public const ushort TCA_FLOWER_KEY_ARP_TIP = 59;
    public const ushort TCA_FLOWER_KEY_ARP_TIP_MASK = 60;
    public const ushort TCA_FLOWER_KEY_ARP_OP = 61;
    public const ushort TCA_FLOWER_KEY_ARP_OP_MASK = 62;
    public const ushort TCA_FLOWER_KEY_ARP_SHA = 63;
    public const ushort TCA_FLOWER_KEY_ARP_SHA_MASK = 64;
    public const ushort TCA_FLOWER_KEY_ARP_THA = 65;
    public const ushort TCA_FLOWER_KEY_ARP_THA_MASK = 66;
    public const ushort TCA_FLOWER_KEY_MPLS_TTL = 67;
    public const ushort TCA_FLOWER_KEY_MPLS_BOS = 68;
    public const ushort TCA_FLOWER_KEY_MPLS_TC = 69;
    public const ushort TCA_FLOWER_KEY_MPLS_LABEL = 70;
    public const ushort TCA_FLOWER_KEY_TCP_FLAGS = 71;
    public const ushort TCA_FLOWER_KEY_TCP_FLAGS_MASK = 72;
    public const ushort TCA_FLOWER_KEY_IP_TOS = 73;
    public const ushort TCA_FLOWER_KEY_IP_TOS_MASK = 74;
    public const ushort TCA_FLOWER_KEY_IP_TTL = 75;
    public const ushort TCA_FLOWER_KEY_IP_TTL_MASK = 76;
    public const ushort TCA_FLOWER_KEY_CVLAN_ID = 77;
    public const ushort TCA_FLOWER_KEY_CVLAN_PRIO = 78;
    public const ushort TCA_FLOWER_KEY_CVLAN_ETH_TYPE = 79;
    public const ushort TCA_FLOWER_KEY_ENC_IP_TOS = 80;
    public const ushort TCA_FLOWER_KEY_ENC_IP_TOS_MASK = 81;
    public const ushort TCA_FLOWER_KEY_ENC_IP_TTL = 82;
    public const ushort TCA_FLOWER_KEY_ENC_IP_TTL_MASK = 83;
    public const ushort TCA_FLOWER_KEY_ENC_OPTS = 84;
    public const ushort TCA_FLOWER_KEY_ENC_OPTS_MASK = 85;
    public const ushort TCA_FLOWER_IN_HW_COUNT = 86;
    public const ushort TCA_FLOWER_KEY_PORT_SRC_MIN = 87;
    public const ushort TCA_FLOWER_KEY_PORT_SRC_MAX = 88;
    public const ushort TCA_FLOWER_KEY_PORT_DST_MIN = 89;
    public const ushort TCA_FLOWER_KEY_PORT_DST_MAX = 90;
    public const ushort TCA_FLOWER_KEY_CT_STATE = 91;
    public const ushort TCA_FLOWER_KEY_CT_STATE_MASK = 92;
    public const ushort TCA_FLOWER_KEY_CT_ZONE = 93;
    public const ushort TCA_FLOWER_KEY_CT_ZONE_MASK = 94;
    public const ushort TCA_FLOWER_KEY_CT_MARK = 95;
    public const ushort TCA_FLOWER_KEY_CT_MARK_MASK = 96;
    public const ushort TCA_FLOWER_KEY_CT_LABELS = 97;
    public const ushort TCA_FLOWER_KEY_CT_LABELS_MASK = 98;
}

/// <summary>Statistics of traffic control.</summary>
[CConstants("linux/gen_stats.h")]
public static class linux_gen_stats
{
    public const ushort TCA_STATS_BASIC = 1;
    public const ushort TCA_STATS_BASIC_HW = 7;

    /// <summary>Packets in 64 bits, of the attribute before it.</summary>
    public const ushort TCA_STATS_PKT64 = 8;
}

/// <summary>Bytes and packets.</summary>
[CStruct("struct gnet_stats_basic", "linux/gen_stats.h")]
public struct gnet_stats_basic
{
    public ulong bytes;
    public uint packets;
}
