#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>Routing netlink (rtnetlink(7)), as far as filters of traffic control need it. It has no other documentation than its headers.</summary>
[CConstants("linux/netlink.h linux/rtnetlink.h linux/pkt_sched.h")]
public static class linux_rtnetlink
{
    public const int NETLINK_ROUTE = 0;
    public const int NETLINK_ADD_MEMBERSHIP = 1;
    public const int NETLINK_CAP_ACK = 10;
    public const int NETLINK_EXT_ACK = 11;
    public const ushort NLM_F_REQUEST = 0x1;
    public const ushort NLM_F_MULTI = 0x2;
    public const ushort NLM_F_ACK = 0x4;
    public const ushort NLM_F_ECHO = 0x8;

    /// <summary>What is dumped changed meanwhile.</summary>
    public const ushort NLM_F_DUMP_INTR = 0x10;

    /// <summary>In NLMSG_ERROR and NLMSG_DONE: attributes follow.</summary>
    public const ushort NLM_F_ACK_TLVS = 0x200;

    /// <summary>In NLMSG_ERROR: the request is not repeated in the answer.</summary>
    public const ushort NLM_F_CAPPED = 0x100;
    public const ushort NLM_F_REPLACE = 0x100;
    public const ushort NLM_F_EXCL = 0x200;
    public const ushort NLM_F_CREATE = 0x400;
    public const ushort NLMSG_NOOP = 1;
    public const ushort NLMSG_OVERRUN = 4;
    public const ushort NLMSGERR_ATTR_MSG = 1;
    public const ushort NLA_F_NESTED = 0x8000;
    public const int NLA_TYPE_MASK = ~0xc000;
    public const ushort RTM_NEWLINK = 16;
    public const ushort RTM_DELLINK = 17;
    public const ushort RTM_GETLINK = 18;
    public const ushort RTM_NEWQDISC = 36;
    public const ushort RTM_DELQDISC = 37;
    public const ushort RTM_GETQDISC = 38;
    public const ushort RTM_NEWTFILTER = 44;
    public const ushort RTM_DELTFILTER = 45;
    public const ushort RTM_GETTFILTER = 46;
    public const ushort RTM_NEWCHAIN = 100;
    public const ushort RTM_DELCHAIN = 101;
    public const uint RTNLGRP_LINK = 1;
    public const uint RTNLGRP_TC = 4;
    public const ushort IFLA_IFNAME = 3;
    public const ushort TCA_KIND = 1;
    public const ushort TCA_OPTIONS = 2;
    public const ushort TCA_CHAIN = 11;
    public const ushort TCA_DUMP_FLAGS = 15;
    public const uint TCA_DUMP_FLAGS_TERSE = 1;
    public const uint TCM_IFINDEX_MAGIC_BLOCK = 0xffffffff;
    public const uint TC_H_CLSACT = 0xfffffff1;
    public const uint TC_H_MIN_INGRESS = 0xfff2;
    public const uint TC_H_MIN_EGRESS = 0xfff3;
}

/// <summary>An address of a netlink socket: who has it, and what it is told of.</summary>
[CStruct("struct sockaddr_nl", "linux/netlink.h")]
public struct sockaddr_nl
{
    public ushort nl_family;
    public ushort nl_pad;
    public uint nl_pid;
    public uint nl_groups;
}

/// <summary>The head of messages of traffic control.</summary>
[CStruct("struct tcmsg", "linux/rtnetlink.h")]
public struct tcmsg
{
    public byte tcm_family;
    public byte tcm__pad1;
    public ushort tcm__pad2;
    public int tcm_ifindex;
    public uint tcm_handle;

    /// <summary>The block's number where the interface is TCM_IFINDEX_MAGIC_BLOCK.</summary>
    public uint tcm_parent;
    public uint tcm_info;
}

/// <summary>An answer to a request: 0, or a negated errno.</summary>
[CStruct("struct nlmsgerr", "linux/netlink.h")]
public struct nlmsgerr
{
    public int error;
    public nlmsghdr msg;
}

/// <summary>Bits, and which of them count.</summary>
[CStruct("struct nla_bitfield32", "linux/netlink.h")]
public struct nla_bitfield32
{
    public uint value;
    public uint selector;
}

/// <summary>The head of messages about interfaces.</summary>
[CStruct("struct ifinfomsg", "linux/rtnetlink.h")]
public struct ifinfomsg
{
    public byte ifi_family;

    [CName("__ifi_pad")]
    public byte ifi_pad;
    public ushort ifi_type;
    public int ifi_index;
    public uint ifi_flags;
    public uint ifi_change;
}
