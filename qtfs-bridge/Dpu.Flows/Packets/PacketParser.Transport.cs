using Dpu.Flows.Keys;

namespace Dpu.Flows.Packets;

/// <summary>TCP, UDP, SCTP, ICMP, and the tunnels VXLAN, GENEVE, GRE.</summary>
public static unsafe partial class PacketParser
{
    private static void Transport(ref State state, FlowKey* key, int at)
    {
        state.Transport = at;
        switch (key->IpProto)
        {
            case IpProtocols.IPPROTO_TCP:
                // RFC 9293, 3.1: 20 bytes or more, in words of four.
                if (state.Has(at, 20))
                {
                    Ports(ref state, key, at);
                    key->TcpFlags = (ushort)(state.U16(at + 12) & 0x0fff);
                }

                break;
            case IpProtocols.IPPROTO_UDP:
                if (state.Has(at, 8))
                {
                    Ports(ref state, key, at);
                    if (state.Decapsulate && key->TpDst is IpProtocols.VxlanPort or IpProtocols.GenevePort)
                    {
                        UdpTunnel(ref state, key, at + 8);
                    }
                }

                break;
            case IpProtocols.IPPROTO_SCTP:
                // RFC 9260, 3.1.
                if (state.Has(at, 12))
                {
                    Ports(ref state, key, at);
                }

                break;
            case IpProtocols.IPPROTO_ICMP when key->EthType == EtherTypes.ETH_P_IP:
            case IpProtocols.IPPROTO_IGMP when key->EthType == EtherTypes.ETH_P_IP:
            case IpProtocols.IPPROTO_ICMPV6 when key->EthType == EtherTypes.ETH_P_IPV6:
                if (state.Has(at, 8))
                {
                    key->TpSrc = state.U8(at);
                    key->TpDst = state.U8(at + 1);
                }

                break;
            case IpProtocols.IPPROTO_GRE when state.Decapsulate && (key->IpFrag & FlowKey.FragAny) == 0:
                Gre(ref state, key, at);
                break;
            default:
                break;
        }
    }

    private static void Ports(ref State state, FlowKey* key, int at)
    {
        key->TpSrc = state.U16(at);
        key->TpDst = state.U16(at + 2);
    }

    // A fragment's payload is not whole, so the packet inside cannot be read.
    private static void UdpTunnel(ref State state, FlowKey* key, int at)
    {
        if (!state.Decapsulate || (key->IpFrag & FlowKey.FragAny) != 0 || !state.Has(at, 8))
        {
            return;
        }

        if (key->TpDst == IpProtocols.VxlanPort)
        {
            // RFC 7348, 5: flags, of which I must be set, 24 bits of VNI.
            if ((state.U8(at) & 0x08) == 0)
            {
                state.Traits |= PacketTraits.Malformed;
                return;
            }

            Inner(ref state, key, TunnelKind.Vxlan, state.U32(at + 4) >> 8);
            Ethernet(ref state, key, at + 8);
            return;
        }

        // RFC 8926, 3.4: version 0, options in words of four, the protocol, 24 bits of VNI.
        int size = 8 + ((state.U8(at) & 0x3f) * 4);
        ushort protocol = state.U16(at + 2);
        if (state.U8(at) >> 6 != 0)
        {
            state.Traits |= PacketTraits.Malformed;
            return;
        }

        if (state.Has(at, size) && CanCarry(protocol))
        {
            Inner(ref state, key, TunnelKind.Geneve, state.U32(at + 4) >> 8);
            Carried(ref state, key, at + size, protocol);
        }
    }

    // RFC 2784 and 2890: optional checksum, key and sequence number of four bytes each, in this order.
    private static void Gre(ref State state, FlowKey* key, int at)
    {
        const ushort Checksum = 0x8000, Key = 0x2000, Sequence = 0x1000, Version = 0x0007, Routing = 0x4000;
        if (!state.Has(at, 4))
        {
            return;
        }

        ushort flags = state.U16(at);
        ushort protocol = state.U16(at + 2);
        if ((flags & (Version | Routing)) != 0)
        {
            // PPTP's version 1 (RFC 2637), and RFC 1701's routing, which nobody sends.
            return;
        }

        int keyAt = at + 4 + ((flags & Checksum) != 0 ? 4 : 0);
        int size = keyAt - at + ((flags & Key) != 0 ? 4 : 0) + ((flags & Sequence) != 0 ? 4 : 0);
        if (state.Has(at, size) && CanCarry(protocol))
        {
            Inner(ref state, key, TunnelKind.Gre, (flags & Key) != 0 ? state.U32(keyAt) : 0);
            Carried(ref state, key, at + size, protocol);
        }
    }

    private static bool CanCarry(ushort protocol) => protocol == EtherTypes.ETH_P_TEB || EtherTypes.IsIp(protocol);

    private static void Carried(ref State state, FlowKey* key, int at, ushort protocol)
    {
        if (protocol == EtherTypes.ETH_P_TEB)
        {
            Ethernet(ref state, key, at);
        }
        else
        {
            state.Ethernet = -1;
            Network(ref state, key, at, protocol);
        }
    }

    // The key becomes the inner packet's; one tunnel is taken off.
    private static void Inner(ref State state, FlowKey* key, TunnelKind kind, ulong id)
    {
        FlowKey outer = *key;
        *key = default;
        key->InPort = outer.InPort;
        key->TunKind = kind;
        key->TunId = id;
        key->TunSrc = outer.IpSrc;
        key->TunDst = outer.IpDst;
        key->TunTos = outer.IpTos;
        key->TunTtl = outer.IpTtl;
        state.Decapsulate = false;
        state.Traits |= PacketTraits.Decapsulated;
        state.Network = -1;
        state.Transport = -1;
    }
}
