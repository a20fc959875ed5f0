namespace Dpu.Flows.Packets;

/// <summary>What a parser found out about a packet besides its key.</summary>
[Flags]
public enum PacketTraits
{
    /// <summary>Nothing special.</summary>
    None = 0,

    /// <summary>A header that was announced does not lie in the packet; the fields that it would have are 0.</summary>
    Truncated = 1,

    /// <summary>A header contradicts itself or the packet's length; its fields are 0.</summary>
    Malformed = 2,

    /// <summary>The key is that of the packet inside a tunnel.</summary>
    Decapsulated = 4,
}

/// <summary>Where the headers of a packet lie: offsets in bytes from its begin, -1 where there is none.</summary>
/// <param name="Traits">What was found out.</param>
/// <param name="Ethernet">The Ethernet header: 0, or that of the packet inside a tunnel; -1 where GRE carries bare IP.</param>
/// <param name="Network">The header behind Ethernet, VLAN tags and MPLS labels: IP or ARP.</param>
/// <param name="Transport">The header behind IP and its extensions.</param>
/// <param name="End">Behind the last byte that belongs to the packet: what IP's length leaves out is padding.</param>
public readonly record struct PacketLayout(PacketTraits Traits, int Ethernet, int Network, int Transport, int End)
{
    /// <summary>Whether the whole of every header was there and made sense.</summary>
    public bool IsWhole => (Traits & (PacketTraits.Truncated | PacketTraits.Malformed)) == 0;
}
