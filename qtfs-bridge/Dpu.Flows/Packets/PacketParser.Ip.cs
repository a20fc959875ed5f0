using Dpu.Flows.Keys;

namespace Dpu.Flows.Packets;

/// <summary>IPv4 with options and fragments; IPv6 with its extension headers.</summary>
public static unsafe partial class PacketParser
{
    private const int IPv4Size = 20;
    private const int IPv6Size = 40;

    // RFC 8200, 4.1 names seven, of which one may come twice; a longer chain is somebody's attack on our time.
    private const int MaxExtensionHeaders = 16;

    // RFC 791, 3.1.
    private static void IPv4(ref State state, FlowKey* key, int at)
    {
        state.Network = at;
        if (!state.Has(at, IPv4Size))
        {
            return;
        }

        int headerSize = (state.U8(at) & 0xf) * 4;
        int totalSize = state.U16(at + 2);
        if (state.U8(at) >> 4 != 4 || headerSize < IPv4Size || totalSize < headerSize)
        {
            state.Traits |= PacketTraits.Malformed;
            return;
        }

        if (!state.Has(at, totalSize))
        {
            // Longer than what came: OVS takes no field of such a packet either.
            return;
        }

        state.End = at + totalSize;
        key->IpTos = state.U8(at + 1);
        key->IpTtl = state.U8(at + 8);
        key->IpProto = state.U8(at + 9);
        key->IpSrc.Word0 = state.U32(at + 12);
        key->IpDst.Word0 = state.U32(at + 16);
        ushort fragment = state.U16(at + 6);
        bool moreFragments = (fragment & 0x2000) != 0;
        bool later = (fragment & 0x1fff) != 0;
        key->IpFrag = (byte)((moreFragments || later ? FlowKey.FragAny : 0) | (later ? FlowKey.FragLater : 0));
        if (!later)
        {
            Transport(ref state, key, at + headerSize);
        }
    }

    // RFC 8200, 3 and 4.
    private static void IPv6(ref State state, FlowKey* key, int at)
    {
        state.Network = at;
        if (!state.Has(at, IPv6Size))
        {
            return;
        }

        uint first = state.U32(at);
        int payloadSize = state.U16(at + 4);
        if (first >> 28 != 6)
        {
            state.Traits |= PacketTraits.Malformed;
            return;
        }

        if (!state.Has(at, IPv6Size + payloadSize))
        {
            return;
        }

        // A payload length of 0 is a jumbogram's (RFC 2675), whose length an option has: it ends where the packet does.
        if (payloadSize != 0)
        {
            state.End = at + IPv6Size + payloadSize;
        }

        key->IpTos = (byte)(first >> 20);
        key->Ipv6Label = first & 0xfffff;
        key->IpTtl = state.U8(at + 7);
        key->IpSrc = Address(ref state, at + 8);
        key->IpDst = Address(ref state, at + 24);
        byte next = state.U8(at + 6);
        at += IPv6Size;
        for (int count = 0; count < MaxExtensionHeaders; count++)
        {
            key->IpProto = next;
            int size;
            switch (next)
            {
                case IpProtocols.IPPROTO_HOPOPTS or IpProtocols.IPPROTO_ROUTING or IpProtocols.IPPROTO_DSTOPTS or IpProtocols.IPPROTO_MH:
                    if (!state.Has(at, 8))
                    {
                        return;
                    }

                    size = (state.U8(at + 1) + 1) * 8;
                    break;
                case IpProtocols.IPPROTO_AH:
                    // RFC 4302, 2.2: 32-bit words, less two.
                    if (!state.Has(at, 8))
                    {
                        return;
                    }

                    size = (state.U8(at + 1) + 2) * 4;
                    break;
                case IpProtocols.IPPROTO_FRAGMENT:
                    if (!state.Has(at, 8))
                    {
                        return;
                    }

                    ushort fragment = state.U16(at + 2);
                    bool later = (fragment & 0xfff8) != 0;
                    if (later || (fragment & 1) != 0)
                    {
                        // RFC 6946: one that is whole, an atomic fragment, is none.
                        key->IpFrag = (byte)(FlowKey.FragAny | (later ? FlowKey.FragLater : 0));
                    }

                    if (later)
                    {
                        // The protocol stays 44: extension headers of the first fragment may come before what this one names (as OVS has it).
                        return;
                    }

                    size = 8;
                    break;
                default:
                    Transport(ref state, key, at);
                    return;
            }

            if (!state.Has(at, size))
            {
                return;
            }

            next = state.U8(at);
            at += size;
        }

        key->IpProto = next;
        state.Traits |= PacketTraits.Malformed;
    }

    private static Address128 Address(ref State state, int at) =>
        new(state.U32(at), state.U32(at + 4), state.U32(at + 8), state.U32(at + 12));
}
