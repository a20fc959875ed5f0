#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>
/// The socket calls that <see cref="System.Net.Sockets.Socket"/> cannot make for us: families it does not know
/// (AF_VSOCK) and a <c>connect</c> that stays blocking and obeys SO_SNDTIMEO.
/// </summary>
[CConstants("sys/socket.h")]
public static unsafe partial class sys_socket
{
    public const int AF_UNSPEC = 0;
    public const int AF_UNIX = 1;
    public const int AF_INET = 2;
    public const int AF_INET6 = 10;
    public const int AF_NETLINK = 16;
    public const int AF_VSOCK = 40;
    public const int SOCK_STREAM = 1;
    public const int SOCK_DGRAM = 2;
    public const int SOCK_RAW = 3;
    public const int SOCK_SEQPACKET = 5;
    public const int SOCK_NONBLOCK = 0x800;
    public const int SOCK_CLOEXEC = 0x80000;
    public const int SOL_SOCKET = 1;
    public const int SOL_NETLINK = 270;
    public const int SO_REUSEADDR = 2;
    public const int SO_TYPE = 3;
    public const int SO_ERROR = 4;
    public const int SO_SNDBUF = 7;
    public const int SO_KEEPALIVE = 9;
    public const int SO_PASSCRED = 16;
    public const int SO_PEERCRED = 17;
    public const int SO_RCVTIMEO = 20;
    public const int SO_ACCEPTCONN = 30;
    public const int SO_DOMAIN = 39;
    public const int SO_SNDTIMEO = 21;
    public const int MSG_WAITALL = 0x100;
    public const int MSG_NOSIGNAL = 0x4000;

    /// <summary>As SO_SNDBUF, beyond net.core.wmem_max; needs CAP_NET_ADMIN.</summary>
    public const int SO_SNDBUFFORCE = 32;

    /// <summary>The supplementary groups of a unix socket's other end, as of its connect(2) or listen(2).</summary>
    public const int SO_PEERGROUPS = 59;

    /// <summary>As SO_RCVBUF, beyond net.core.rmem_max; needs CAP_NET_ADMIN.</summary>
    public const int SO_RCVBUFFORCE = 33;
    public const int SHUT_RD = 0;
    public const int SHUT_WR = 1;
    public const int SHUT_RDWR = 2;
    public const int SOMAXCONN = 4096;

    /// <summary>socket(2): a descriptor, or -1 with errno.</summary>
    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    public static partial int socket(int domain, int type, int protocol);

    /// <summary>socketpair(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", EntryPoint = "socketpair", SetLastError = true)]
    public static partial int socketpair(int domain, int type, int protocol, int* descriptors);

    /// <summary>bind(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    public static partial int bind(SafeHandle sockfd, byte* addr, uint addrlen);

    /// <summary>connect(2): 0, or -1 with errno; on a blocking socket SO_SNDTIMEO bounds it (EINPROGRESS, EAGAIN).</summary>
    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    public static partial int connect(SafeHandle sockfd, byte* addr, uint addrlen);

    /// <summary>listen(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", EntryPoint = "listen", SetLastError = true)]
    public static partial int listen(SafeHandle sockfd, int backlog);

    /// <summary>accept4(2): a descriptor, or -1 with errno.</summary>
    [LibraryImport("libc", EntryPoint = "accept4", SetLastError = true)]
    public static partial int accept4(SafeHandle sockfd, byte* addr, uint* addrlen, int flags);

    /// <summary>getsockname(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", EntryPoint = "getsockname", SetLastError = true)]
    public static partial int getsockname(SafeHandle sockfd, byte* addr, uint* addrlen);

    /// <summary>setsockopt(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    public static partial int setsockopt(SafeHandle sockfd, int level, int optname, void* optval, uint optlen);

    /// <summary>recv(2): the bytes, 0 where the peer has closed, or -1 with errno. For hot paths: the caller keeps the descriptor open.</summary>
    [LibraryImport("libc", EntryPoint = "recv")]
    public static partial nint recv(int sockfd, void* buf, nuint len, int flags);

    /// <summary>send(2): the bytes, or -1 with errno. For hot paths: the caller keeps the descriptor open.</summary>
    [LibraryImport("libc", EntryPoint = "send")]
    public static partial nint send(int sockfd, void* buf, nuint len, int flags);

    /// <summary>getsockopt(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    public static partial int getsockopt(SafeHandle sockfd, int level, int optname, void* optval, uint* optlen);

    /// <summary>shutdown(2): 0, or -1 with errno. Wakes a thread that is blocked in accept (not vsock), recv or send.</summary>
    [LibraryImport("libc", EntryPoint = "shutdown", SetLastError = true)]
    public static partial int shutdown(SafeHandle sockfd, int how);
}

/// <summary>The credentials of a unix socket's other end, as of its connect(2) or listen(2) (unix(7), SO_PEERCRED).</summary>
[CStruct("struct ucred", "sys/socket.h")]
public struct ucred
{
    public int pid;
    public uint uid;
    public uint gid;
}
