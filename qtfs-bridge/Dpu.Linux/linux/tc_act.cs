#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>Ends a packet's way, or sends it elsewhere (tc-gact(8)).</summary>
[CConstants("linux/tc_act/tc_gact.h")]
public static class linux_tc_gact
{
    public const ushort TCA_GACT_TM = 1;
    public const ushort TCA_GACT_PARMS = 2;
    public const ushort TCA_GACT_PROB = 3;
    public const ushort TCA_GACT_PAD = 4;
}

/// <summary>As all actions begin.</summary>
[CStruct("struct tc_gact", "linux/tc_act/tc_gact.h")]
public struct tc_gact
{
    public uint index;
    public uint capab;
    public int action;
    public int refcnt;
    public int bindcnt;
}

/// <summary>Sends a packet, or a copy, to an interface (tc-mirred(8)).</summary>
[CConstants("linux/tc_act/tc_mirred.h")]
public static class linux_tc_mirred
{
    public const int TCA_EGRESS_REDIR = 1;
    public const int TCA_EGRESS_MIRROR = 2;
    public const int TCA_INGRESS_REDIR = 3;
    public const int TCA_INGRESS_MIRROR = 4;
    public const ushort TCA_MIRRED_TM = 1;
    public const ushort TCA_MIRRED_PARMS = 2;
    public const ushort TCA_MIRRED_PAD = 3;
}

/// <summary>Of <see cref="linux_tc_mirred"/>.</summary>
[CStruct("struct tc_mirred", "linux/tc_act/tc_mirred.h")]
public struct tc_mirred
{
    public uint index;
    public uint capab;
    public int action;
    public int refcnt;
    public int bindcnt;
    public int eaction;
    public uint ifindex;
}

/// <summary>Tags (tc-vlan(8)).</summary>
[CConstants("linux/tc_act/tc_vlan.h")]
public static class linux_tc_vlan
{
    public const int TCA_VLAN_ACT_POP = 1;
    public const int TCA_VLAN_ACT_PUSH = 2;
    public const int TCA_VLAN_ACT_MODIFY = 3;
    public const ushort TCA_VLAN_TM = 1;
    public const ushort TCA_VLAN_PARMS = 2;
    public const ushort TCA_VLAN_PUSH_VLAN_ID = 3;
    public const ushort TCA_VLAN_PUSH_VLAN_PROTOCOL = 4;
    public const ushort TCA_VLAN_PAD = 5;
    public const ushort TCA_VLAN_PUSH_VLAN_PRIORITY = 6;
}

/// <summary>Of <see cref="linux_tc_vlan"/>.</summary>
[CStruct("struct tc_vlan", "linux/tc_act/tc_vlan.h")]
public struct tc_vlan
{
    public uint index;
    public uint capab;
    public int action;
    public int refcnt;
    public int bindcnt;
    public int v_action;
}

/// <summary>Writes into headers (tc-pedit(8)).</summary>
[CConstants("linux/tc_act/tc_pedit.h")]
public static class linux_tc_pedit
{
    public const ushort TCA_PEDIT_TM = 1;
    public const ushort TCA_PEDIT_PARMS = 2;
    public const ushort TCA_PEDIT_PAD = 3;
    public const ushort TCA_PEDIT_PARMS_EX = 4;
    public const ushort TCA_PEDIT_KEYS_EX = 5;
    public const ushort TCA_PEDIT_KEY_EX = 6;
    public const ushort TCA_PEDIT_KEY_EX_HTYPE = 1;
    public const ushort TCA_PEDIT_KEY_EX_CMD = 2;
    public const ushort TCA_PEDIT_KEY_EX_HDR_TYPE_ETH = 1;
    public const ushort TCA_PEDIT_KEY_EX_HDR_TYPE_IP4 = 2;
    public const ushort TCA_PEDIT_KEY_EX_HDR_TYPE_IP6 = 3;
    public const ushort TCA_PEDIT_KEY_EX_HDR_TYPE_TCP = 4;
    public const ushort TCA_PEDIT_KEY_EX_HDR_TYPE_UDP = 5;
    public const ushort TCA_PEDIT_KEY_EX_CMD_SET = 0;
}

/// <summary>Of <see cref="linux_tc_pedit"/>; keys follow.</summary>
[CStruct("struct tc_pedit_sel", "linux/tc_act/tc_pedit.h")]
public struct tc_pedit_sel
{
    public uint index;
    public uint capab;
    public int action;
    public int refcnt;
    public int bindcnt;
    public byte nkeys;
    public byte flags;
}

/// <summary>Four bytes of a header become (them and <see cref="mask"/>) exclusive-or <see cref="val"/>.</summary>
[CStruct("struct tc_pedit_key", "linux/tc_act/tc_pedit.h")]
public struct tc_pedit_key
{
    public uint mask;
    public uint val;
    public uint off;
    public uint at;
    public uint offmask;
    public uint shift;
}

/// <summary>Says into which tunnel a packet goes, or takes that off (tc-tunnel_key(8)).</summary>
[CConstants("linux/tc_act/tc_tunnel_key.h")]
public static class linux_tc_tunnel_key
{
    public const int TCA_TUNNEL_KEY_ACT_SET = 1;
    public const int TCA_TUNNEL_KEY_ACT_RELEASE = 2;
    public const ushort TCA_TUNNEL_KEY_TM = 1;
    public const ushort TCA_TUNNEL_KEY_PARMS = 2;
    public const ushort TCA_TUNNEL_KEY_ENC_IPV4_SRC = 3;
    public const ushort TCA_TUNNEL_KEY_ENC_IPV4_DST = 4;
    public const ushort TCA_TUNNEL_KEY_ENC_IPV6_SRC = 5;
    public const ushort TCA_TUNNEL_KEY_ENC_IPV6_DST = 6;
    public const ushort TCA_TUNNEL_KEY_ENC_KEY_ID = 7;
    public const ushort TCA_TUNNEL_KEY_PAD = 8;
    public const ushort TCA_TUNNEL_KEY_ENC_DST_PORT = 9;
    public const ushort TCA_TUNNEL_KEY_NO_CSUM = 10;
    public const ushort TCA_TUNNEL_KEY_ENC_TOS = 12;
    public const ushort TCA_TUNNEL_KEY_ENC_TTL = 13;
}

/// <summary>Of <see cref="linux_tc_tunnel_key"/>.</summary>
[CStruct("struct tc_tunnel_key", "linux/tc_act/tc_tunnel_key.h")]
public struct tc_tunnel_key
{
    public uint index;
    public uint capab;
    public int action;
    public int refcnt;
    public int bindcnt;
    public int t_action;
}

/// <summary>Computes checksums (tc-csum(8)).</summary>
[CConstants("linux/tc_act/tc_csum.h")]
public static class linux_tc_csum
{
    public const ushort TCA_CSUM_PARMS = 1;
    public const ushort TCA_CSUM_TM = 2;
    public const ushort TCA_CSUM_PAD = 3;
    public const uint TCA_CSUM_UPDATE_FLAG_IPV4HDR = 1;
    public const uint TCA_CSUM_UPDATE_FLAG_ICMP = 2;
    public const uint TCA_CSUM_UPDATE_FLAG_TCP = 8;
    public const uint TCA_CSUM_UPDATE_FLAG_UDP = 16;
}

/// <summary>Of <see cref="linux_tc_csum"/>.</summary>
[CStruct("struct tc_csum", "linux/tc_act/tc_csum.h")]
public struct tc_csum
{
    public uint index;
    public uint capab;
    public int action;
    public int refcnt;
    public int bindcnt;
    public uint update_flags;
}

/// <summary>Connection tracking (tc-ct(8)).</summary>
[CConstants("linux/tc_act/tc_ct.h")]
public static class linux_tc_ct
{
    public const ushort TCA_CT_ACTION = 3;
    public const ushort TCA_CT_ZONE = 4;
    public const ushort TCA_CT_MARK = 5;
    public const ushort TCA_CT_ACT_COMMIT = 1;
    public const ushort TCA_CT_ACT_FORCE = 2;
    public const ushort TCA_CT_ACT_CLEAR = 4;
    public const ushort TCA_CT_ACT_NAT = 8;
}
