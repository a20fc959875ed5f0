using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Packets;

/// <summary>
/// Reads a packet's headers into a <see cref="FlowKey"/>. A pure function over bytes that somebody hostile may have made: it
/// reads only inside of them, each length is checked before it is believed, every chain is bounded, and it does not throw or
/// allocate. A header that is cut off or contradicts itself leaves its fields 0, as OVS' miniflow_extract does.
/// </summary>
public static unsafe partial class PacketParser
{
    /// <summary>Bytes of an Ethernet header.</summary>
    public const int EthernetSize = 14;

    private const int VlanSize = 4;
    private const int MplsSize = 4;

    /// <summary>Labels of a stack that are counted: more than any network has.</summary>
    private const int MaxMplsLabels = 16;

    /// <summary>Parses a packet that begins with an Ethernet header.</summary>
    /// <param name="packet">The packet, of any length.</param>
    /// <param name="inPort">The port that it came in by.</param>
    /// <param name="decapsulate">
    /// Whether VXLAN (UDP port 4789), GENEVE (6081) and GRE are taken off, once: the key is then the inner packet's, with the
    /// outer one's addresses and id in the tunnel's fields.
    /// </param>
    /// <param name="key">Receives the key; every field is set.</param>
    public static PacketLayout Parse(ReadOnlySpan<byte> packet, uint inPort, bool decapsulate, out FlowKey key)
    {
        fixed (byte* start = packet)
        {
            // SAFETY: start[0..Length) is the span; Parse reads nothing outside of it.
            fixed (FlowKey* target = &key)
            {
                return Parse(start, packet.Length, inPort, decapsulate, target);
            }
        }
    }

    /// <summary>The same on native memory; <paramref name="key"/> is wholly overwritten.</summary>
    internal static PacketLayout Parse(byte* packet, int length, uint inPort, bool decapsulate, FlowKey* key)
    {
        *key = default;
        key->InPort = inPort;
        State state = new() { Packet = packet, End = length, Decapsulate = decapsulate, Ethernet = 0, Network = -1, Transport = -1 };
        Ethernet(ref state, key, 0);
        return new PacketLayout(state.Traits, state.Ethernet, state.Network, state.Transport, state.End);
    }

    private static void Ethernet(ref State state, FlowKey* key, int at)
    {
        if (!state.Has(at, EthernetSize))
        {
            return;
        }

        key->EthDst = ((ulong)state.U32(at) << 16) | state.U16(at + 4);
        key->EthSrc = ((ulong)state.U32(at + 6) << 16) | state.U16(at + 10);
        ushort type = state.U16(at + 12);
        at += EthernetSize;
        if (EtherTypes.IsVlan(type))
        {
            // IEEE 802.1Q clause 9.6: priority, a bit, the identifier. A third tag is left in place, as its EtherType.
            if (!state.Has(at, VlanSize))
            {
                key->EthType = type;
                return;
            }

            key->VlanTci = (ushort)(state.U16(at) | FlowKey.VlanPresent);
            type = state.U16(at + 2);
            at += VlanSize;
            if (EtherTypes.IsVlan(type))
            {
                if (!state.Has(at, VlanSize))
                {
                    key->EthType = type;
                    return;
                }

                key->VlanTci2 = (ushort)(state.U16(at) | FlowKey.VlanPresent);
                type = state.U16(at + 2);
                at += VlanSize;
            }
        }

        if (type < EtherTypes.ETH_P_802_3_MIN)
        {
            type = SnapType(ref state, ref at);
        }

        Network(ref state, key, at, type);
    }

    // IEEE 802.2 with SNAP (AA-AA-03 and an OUI of 0) carries an EtherType; any other 802.3 frame has none.
    private static ushort SnapType(ref State state, ref int at)
    {
        const int SnapSize = 8;
        if (state.End - at < SnapSize || state.U32(at) != 0xaaaa0300 || state.U16(at + 4) != 0)
        {
            return EtherTypes.OFP_DL_TYPE_NOT_ETH_TYPE;
        }

        ushort type = state.U16(at + 6);
        at += SnapSize;
        return type >= EtherTypes.ETH_P_802_3_MIN ? type : EtherTypes.OFP_DL_TYPE_NOT_ETH_TYPE;
    }

    private static void Network(ref State state, FlowKey* key, int at, ushort type)
    {
        key->EthType = type;
        switch (type)
        {
            case EtherTypes.ETH_P_IP:
                IPv4(ref state, key, at);
                break;
            case EtherTypes.ETH_P_IPV6:
                IPv6(ref state, key, at);
                break;
            case EtherTypes.ETH_P_ARP or EtherTypes.ETH_P_RARP:
                Arp(ref state, key, at);
                break;
            case EtherTypes.ETH_P_MPLS_UC or EtherTypes.ETH_P_MPLS_MC:
                Mpls(ref state, key, at);
                break;
            default:
                break;
        }
    }

    // RFC 3032, 2.1: label 20 bits, class 3, bottom of stack 1, TTL 8. What lies below the stack is not said by it.
    private static void Mpls(ref State state, FlowKey* key, int at)
    {
        for (int depth = 0; depth < MaxMplsLabels; depth++, at += MplsSize)
        {
            if (!state.Has(at, MplsSize))
            {
                return;
            }

            uint entry = state.U32(at);
            if (depth == 0)
            {
                key->MplsLse = entry & 0xffffff00;
            }

            key->MplsDepth = (byte)(depth + 1);
            if ((entry & 0x100) != 0)
            {
                state.Network = at + MplsSize;
                return;
            }
        }

        state.Traits |= PacketTraits.Malformed;
    }

    // RFC 826 for Ethernet and IPv4; another ARP has no fields.
    private static void Arp(ref State state, FlowKey* key, int at)
    {
        const int ArpSize = 28;
        state.Network = at;
        if (!state.Has(at, ArpSize))
        {
            return;
        }

        if (state.U32(at) != 0x00010800 || state.U16(at + 4) != 0x0604)
        {
            state.Traits |= PacketTraits.Malformed;
            return;
        }

        ushort operation = state.U16(at + 6);
        key->IpProto = operation <= 0xff ? (byte)operation : (byte)0;
        key->ArpSha = ((ulong)state.U32(at + 8) << 16) | state.U16(at + 12);
        key->IpSrc.Word0 = state.U32(at + 14);
        key->ArpTha = ((ulong)state.U32(at + 18) << 16) | state.U16(at + 22);
        key->IpDst.Word0 = state.U32(at + 24);
    }

    /// <summary>What is being read; every read is of bytes that <see cref="Has"/> found inside.</summary>
    private struct State
    {
        public byte* Packet;
        public int End;
        public int Ethernet;
        public int Network;
        public int Transport;
        public PacketTraits Traits;
        public bool Decapsulate;

        /// <summary>Whether so many bytes lie there; says that the packet is truncated where not.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public bool Has(int at, int size)
        {
            if (End - at >= size)
            {
                return true;
            }

            Traits |= PacketTraits.Truncated;
            return false;
        }

        // SAFETY (the three below): callers have asked for at..at+size with Has, and 0 <= at <= End <= the packet's length.
        public readonly byte U8(int at) => Packet[at];

        public readonly ushort U16(int at) => BinaryPrimitives.ReverseEndianness(Unsafe.ReadUnaligned<ushort>(Packet + at));

        public readonly uint U32(int at) => BinaryPrimitives.ReverseEndianness(Unsafe.ReadUnaligned<uint>(Packet + at));
    }
}
