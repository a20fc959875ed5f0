using Dpu.Linux;

namespace Dpu.Relay;

/// <summary>Types of unix sockets, with the kernel's numbers.</summary>
public enum SocketKind
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>A stream of bytes.</summary>
    Stream = sys_socket.SOCK_STREAM,

    /// <summary>Messages, without a connection.</summary>
    Datagram = sys_socket.SOCK_DGRAM,

    /// <summary>A connection that keeps messages apart.</summary>
    SeqPacket = sys_socket.SOCK_SEQPACKET,
}
