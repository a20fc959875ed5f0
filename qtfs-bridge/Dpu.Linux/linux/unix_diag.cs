#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>Netlink, as far as sock_diag(7) needs it.</summary>
[CConstants("linux/netlink.h")]
public static class linux_netlink
{
    public const int NETLINK_SOCK_DIAG = 4;
    public const ushort NLM_F_REQUEST = 1;
    public const ushort NLM_F_DUMP = 0x300;
    public const ushort NLMSG_ERROR = 2;
    public const ushort NLMSG_DONE = 3;
    public const int NLMSG_ALIGNTO = 4;
}

/// <summary>The head of a netlink message; its length counts the head.</summary>
[CStruct("struct nlmsghdr", "linux/netlink.h")]
public struct nlmsghdr
{
    public uint nlmsg_len;
    public ushort nlmsg_type;
    public ushort nlmsg_flags;
    public uint nlmsg_seq;
    public uint nlmsg_pid;
}

/// <summary>The head of an attribute of a netlink message; its length counts the head.</summary>
[CStruct("struct nlattr", "linux/netlink.h")]
public struct nlattr
{
    public ushort nla_len;
    public ushort nla_type;
}

/// <summary>The type of a question of sock_diag(7).</summary>
[CConstants("linux/sock_diag.h")]
public static class linux_sock_diag
{
    public const ushort SOCK_DIAG_BY_FAMILY = 20;
}

/// <summary>What sock_diag(7) tells of unix sockets.</summary>
[CConstants("linux/unix_diag.h")]
public static class linux_unix_diag
{
    public const uint UDIAG_SHOW_NAME = 1;
    public const uint UDIAG_SHOW_VFS = 2;
    public const ushort UNIX_DIAG_NAME = 0;
    public const ushort UNIX_DIAG_VFS = 1;
}

/// <summary>States of sockets, which unix sockets share with TCP; numbers of bits in <c>udiag_states</c>.</summary>
[CConstants("netinet/tcp.h")]
public static class socket_states
{
    public const int TCP_ESTABLISHED = 1;
    public const int TCP_CLOSE = 7;
    public const int TCP_LISTEN = 10;
}

/// <summary>A question about unix sockets.</summary>
[CStruct("struct unix_diag_req", "linux/types.h linux/unix_diag.h")]
public unsafe struct unix_diag_req
{
    public byte sdiag_family;
    public byte sdiag_protocol;
    public ushort pad;
    public uint udiag_states;
    public uint udiag_ino;
    public uint udiag_show;
    public fixed uint udiag_cookie[2];
}

/// <summary>A unix socket; attributes follow.</summary>
[CStruct("struct unix_diag_msg", "linux/types.h linux/unix_diag.h")]
public unsafe struct unix_diag_msg
{
    public byte udiag_family;
    public byte udiag_type;
    public byte udiag_state;
    public byte pad;
    public uint udiag_ino;
    public fixed uint udiag_cookie[2];
}

/// <summary>The file that a unix socket is bound to. The device is as inside the kernel: the minor number has the low 20 bits.</summary>
[CStruct("struct unix_diag_vfs", "linux/types.h linux/unix_diag.h")]
public struct unix_diag_vfs
{
    public uint udiag_vfs_ino;
    public uint udiag_vfs_dev;
}
