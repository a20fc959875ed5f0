namespace Dpu.Linux.Sockets;

/// <summary>What is bound to a file.</summary>
/// <param name="Type">SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET; 0 where nothing is.</param>
/// <param name="Receives">Whether it takes connections, or messages.</param>
public readonly record struct BoundSocket(int Type, bool Receives)
{
    /// <summary>Bit of <see cref="ToWire"/> for <see cref="Receives"/>.</summary>
    public const uint ReceivesBit = 1 << 8;

    /// <summary>As the answer to a look-up carries it.</summary>
    public uint ToWire() => (uint)Type | (Receives ? ReceivesBit : 0);

    /// <summary>What <see cref="ToWire"/> made; nothing where a host says what cannot be.</summary>
    public static BoundSocket FromWire(uint value) =>
        (value & ~ReceivesBit) is sys_socket.SOCK_STREAM or sys_socket.SOCK_DGRAM or sys_socket.SOCK_SEQPACKET
            ? new BoundSocket((int)(value & ~ReceivesBit), (value & ReceivesBit) != 0)
            : default;
}
