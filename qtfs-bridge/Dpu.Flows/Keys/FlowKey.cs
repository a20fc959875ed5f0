using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Dpu.Flows.Keys;

/// <summary>
/// What a packet is classified by: 128 bytes, two cache lines. The first has what most rules match (port, Ethernet, IP,
/// ports), the second tunnels, MPLS, connection tracking and metadata. Numbers are in host order, so that prefixes are high
/// bits and port ranges compare; an absent field is 0.
/// </summary>
/// <remarks>
/// The names follow OVS (ovs-fields(7)), and so do the overloads: ICMP type and code are in <see cref="TpSrc"/> and
/// <see cref="TpDst"/>, an ARP operation in <see cref="IpProto"/>, its protocol addresses in the IP addresses, its hardware
/// addresses in the words behind them. Buffers of keys lie on 64-byte boundaries (<see cref="KeyBuffer"/>).
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = Size)]
[SuppressMessage("Design", "CA1051", Justification = "A wire-like struct: its fields are its interface.")]
public struct FlowKey : IEquatable<FlowKey>
{
    /// <summary>Bytes of a key.</summary>
    public const int Size = 128;

    /// <summary>64-bit words of a key.</summary>
    public const int Words = Size / 8;

    /// <summary>The port that the packet came in by; 0 is none.</summary>
    [FieldOffset(0)] public uint InPort;

    /// <summary>The EtherType behind VLAN tags; 0x05ff for 802.3 frames without one (OFP_DL_TYPE_NOT_ETH_TYPE).</summary>
    [FieldOffset(4)] public ushort EthType;

    /// <summary>The IP protocol behind IPv6's extension headers, or the low byte of an ARP operation.</summary>
    [FieldOffset(6)] public byte IpProto;

    /// <summary>Fragments: <see cref="FragAny"/>, and <see cref="FragLater"/> for all but the first.</summary>
    [FieldOffset(7)] public byte IpFrag;

    /// <summary>Source port of TCP, UDP, SCTP; ICMP type.</summary>
    [FieldOffset(8)] public ushort TpSrc;

    /// <summary>Destination port of TCP, UDP, SCTP; ICMP code.</summary>
    [FieldOffset(10)] public ushort TpDst;

    /// <summary>The 12 flag bits of TCP.</summary>
    [FieldOffset(12)] public ushort TcpFlags;

    /// <summary>DSCP and ECN: IPv4's TOS, IPv6's traffic class.</summary>
    [FieldOffset(14)] public byte IpTos;

    /// <summary>TTL or hop limit.</summary>
    [FieldOffset(15)] public byte IpTtl;

    /// <summary>Source address: an IPv4 address fills the first word.</summary>
    [FieldOffset(16)] public Address128 IpSrc;

    /// <summary>Destination address: an IPv4 address fills the first word.</summary>
    [FieldOffset(32)] public Address128 IpDst;

    [FieldOffset(48)] private uint _ethSrcHigh;
    [FieldOffset(52)] private ushort _ethSrcLow;
    [FieldOffset(54)] private ushort _ethDstLow;
    [FieldOffset(56)] private uint _ethDstHigh;

    /// <summary>The outer VLAN tag, with <see cref="VlanPresent"/>; 0 without one.</summary>
    [FieldOffset(60)] public ushort VlanTci;

    /// <summary>The inner VLAN tag of QinQ, likewise.</summary>
    [FieldOffset(62)] public ushort VlanTci2;

    /// <summary>VNI or GRE key of the tunnel that the packet came in.</summary>
    [FieldOffset(64)] public ulong TunId;

    /// <summary>The tunnel's source.</summary>
    [FieldOffset(72)] public Address128 TunSrc;

    /// <summary>The tunnel's destination.</summary>
    [FieldOffset(88)] public Address128 TunDst;

    /// <summary>The outer MPLS label stack entry with its TTL set to 0: label, traffic class, bottom of stack.</summary>
    [FieldOffset(104)] public uint MplsLse;

    /// <summary>IPv6 flow label, 20 bits.</summary>
    [FieldOffset(108)] public uint Ipv6Label;

    /// <summary>Connection-tracking state (<see cref="CtState"/> bits), set by who tracks connections.</summary>
    [FieldOffset(112)] public ushort CtStateBits;

    /// <summary>Connection-tracking zone.</summary>
    [FieldOffset(114)] public ushort CtZone;

    /// <summary>Connection-tracking mark.</summary>
    [FieldOffset(116)] public uint CtMark;

    /// <summary>Metadata of a pipeline: OVS' recirc_id.</summary>
    [FieldOffset(120)] public uint RecircId;

    /// <summary>The tunnel's kind (<see cref="TunnelKind"/>).</summary>
    [FieldOffset(124)] public TunnelKind TunKind;

    /// <summary>The tunnel's TOS.</summary>
    [FieldOffset(125)] public byte TunTos;

    /// <summary>The tunnel's TTL.</summary>
    [FieldOffset(126)] public byte TunTtl;

    /// <summary>MPLS labels, at most 255.</summary>
    [FieldOffset(127)] public byte MplsDepth;

    /// <summary>In <see cref="IpFrag"/>: it is a fragment (OVS: FLOW_NW_FRAG_ANY).</summary>
    public const byte FragAny = 1;

    /// <summary>In <see cref="IpFrag"/>: not the first (OVS: FLOW_NW_FRAG_LATER).</summary>
    public const byte FragLater = 2;

    /// <summary>In a TCI: there is a tag. The bit is the canonical format indicator on the wire, as in OVS.</summary>
    public const ushort VlanPresent = 0x1000;

    /// <summary>Ethernet source, 48 bits.</summary>
    public ulong EthSrc
    {
        readonly get => ((ulong)_ethSrcHigh << 16) | _ethSrcLow;
        set => (_ethSrcHigh, _ethSrcLow) = ((uint)(value >> 16), (ushort)value);
    }

    /// <summary>Ethernet destination, 48 bits.</summary>
    public ulong EthDst
    {
        readonly get => ((ulong)_ethDstHigh << 16) | _ethDstLow;
        set => (_ethDstHigh, _ethDstLow) = ((uint)(value >> 16), (ushort)value);
    }

    /// <summary>ARP sender hardware address, 48 bits, in the words behind the sender's IPv4 address.</summary>
    public ulong ArpSha
    {
        readonly get => ((ulong)IpSrc.Word1 << 16) | (IpSrc.Word2 >> 16);
        set => (IpSrc.Word1, IpSrc.Word2) = ((uint)(value >> 16), (uint)(value & 0xffff) << 16);
    }

    /// <summary>ARP target hardware address, likewise.</summary>
    public ulong ArpTha
    {
        readonly get => ((ulong)IpDst.Word1 << 16) | (IpDst.Word2 >> 16);
        set => (IpDst.Word1, IpDst.Word2) = ((uint)(value >> 16), (uint)(value & 0xffff) << 16);
    }

    /// <summary>Word <paramref name="index"/> of <see cref="Words"/>.</summary>
    public readonly ulong Word(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Words, nameof(index));
        return Unsafe.Add(ref Unsafe.As<FlowKey, ulong>(ref Unsafe.AsRef(in this)), index);
    }

    /// <summary>Sets word <paramref name="index"/>.</summary>
    public void SetWord(int index, ulong value)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Words, nameof(index));
        Unsafe.Add(ref Unsafe.As<FlowKey, ulong>(ref this), index) = value;
    }

    /// <summary>The bytes of the key in memory.</summary>
    [UnscopedRef]
    public Span<byte> AsBytes() => MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref this, 1));

    /// <inheritdoc/>
    public readonly bool Equals(FlowKey other)
    {
        for (int i = 0; i < Words; i++)
        {
            if (Word(i) != other.Word(i))
            {
                return false;
            }
        }

        return true;
    }

    /// <inheritdoc/>
    public override readonly bool Equals(object? obj) => obj is FlowKey other && Equals(other);

    /// <inheritdoc/>
    public override readonly int GetHashCode()
    {
        HashCode hash = default;
        hash.AddBytes(MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(in this, 1)));
        return hash.ToHashCode();
    }

    /// <summary>Same bits.</summary>
    public static bool operator ==(FlowKey left, FlowKey right) => left.Equals(right);

    /// <summary>Other bits.</summary>
    public static bool operator !=(FlowKey left, FlowKey right) => !left.Equals(right);
}
