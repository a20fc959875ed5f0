using System.Diagnostics.CodeAnalysis;

namespace Dpu.Flows.Keys;

/// <summary>The tunnel that a packet was in.</summary>
[SuppressMessage("Design", "CA1028", Justification = "A byte of a key's layout.")]
public enum TunnelKind : byte
{
    /// <summary>None.</summary>
    None,

    /// <summary>RFC 7348.</summary>
    Vxlan,

    /// <summary>RFC 8926.</summary>
    Geneve,

    /// <summary>RFC 2784 and 2890.</summary>
    Gre,
}

/// <summary>Connection-tracking state, the bits of OVS' ct_state (ovs-fields(7)).</summary>
[Flags]
[SuppressMessage("Design", "CA1028", Justification = "Two bytes of a key's layout.")]
public enum CtState : ushort
{
    /// <summary>Not tracked.</summary>
    None = 0,

    /// <summary>Begins a connection.</summary>
    New = 0x01,

    /// <summary>Of a known connection.</summary>
    Established = 0x02,

    /// <summary>Belongs to a known connection (ICMP errors, FTP data).</summary>
    Related = 0x04,

    /// <summary>In the reply's direction.</summary>
    Reply = 0x08,

    /// <summary>Could not be associated.</summary>
    Invalid = 0x10,

    /// <summary>Went through the tracker.</summary>
    Tracked = 0x20,

    /// <summary>Source was translated.</summary>
    SourceNat = 0x40,

    /// <summary>Destination was translated.</summary>
    DestinationNat = 0x80,
}
