using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

internal static partial class FlowerMatch
{
    /// <summary>Reads what a filter matches; what it takes is gone from <paramref name="from"/>.</summary>
    /// <param name="from">The filter's attributes, without those that are no match.</param>
    /// <param name="protocol">The filter's protocol, an EtherType.</param>
    /// <param name="untagged">A filter of a protocol is told without saying that there is no tag.</param>
    /// <param name="portOf">The port of an interface's name; null where it has none.</param>
    /// <param name="match">The match.</param>
    /// <returns>Why it cannot be kept as it is; null where it can.</returns>
    internal static string? Read(ref FlowerAttributes from, ushort protocol, bool untagged, Func<string, uint?> portOf, out FlowMatch match)
    {
        match = FlowMatch.Any;
        if (ReadType(ref from, protocol, untagged, ref match) is { } problem)
        {
            return problem;
        }

        if (from.Take(linux_pkt_cls.TCA_FLOWER_INDEV, out ReadOnlySpan<byte> device))
        {
            string name = NetlinkAttributes.Text(device);
            if (portOf(name) is not { } port)
            {
                return $"it matches the interface {name}, which has no port number";
            }

            Set(ref match, FlowField.InPort, port, uint.MaxValue);
        }

        foreach (Field field in _fields)
        {
            if (!from.Has(field.Value))
            {
                continue;
            }

            if (field.When is not (When.TunnelIpv4 or When.TunnelIpv6) && !Holds(field.When, match))
            {
                return string.Create(CultureInfo.InvariantCulture, $"it matches attribute {field.Value} of packets that need not have it");
            }

            _ = Take(ref from, field.Value, field.IsHost, out UInt128 value);
            UInt128 full = FieldAccess.Full(field.Name);
            UInt128 mask = field.Mask != 0 && Take(ref from, field.Mask, field.IsHost, out UInt128 told) ? told : full;

            // ICMP has a byte where the field of a key has two.
            mask = field.Size == 1 && mask == byte.MaxValue ? full : mask;
            if ((value & mask & ~full) != 0)
            {
                return string.Create(CultureInfo.InvariantCulture, $"attribute {field.Value} has more bits than can be kept");
            }

            Set(ref match, field.Name, value & full, mask & full);
        }

        string? rest = ReadPorts(ref from, ref match) ?? ReadTunnel(ref from, ref match) ?? ReadStates(ref from, ref match);
        match = match.Canonical();
        return rest;
    }

    private static bool Take(ref FlowerAttributes from, ushort type, bool isHost, out UInt128 value)
    {
        if (!isHost)
        {
            return from.Take(type, out value);
        }

        bool there = from.TakeHost(type, out uint number);
        value = number;
        return there;
    }

    private static void Set(ref FlowMatch match, FlowField field, UInt128 value, UInt128 mask)
    {
        FieldAccess.Set(ref match.Key, field, (FieldAccess.Get(match.Key, field) & ~mask) | (value & mask));
        FieldAccess.Set(ref match.Mask.Bits, field, FieldAccess.Get(match.Mask.Bits, field) | mask);
    }

    // A request has the outer tag's type in ETH_TYPE; the kernel's dumps have the innermost type there, and the outer one as the protocol alone.
    private static string? ReadType(ref FlowerAttributes from, ushort protocol, bool untagged, ref FlowMatch match)
    {
        ushort type = from.Take(linux_pkt_cls.TCA_FLOWER_KEY_ETH_TYPE, out UInt128 told) ? (ushort)told : (ushort)0;
        if (!EtherTypes.IsVlan(protocol))
        {
            if (from.Has(linux_pkt_cls.TCA_FLOWER_KEY_VLAN_ID) || from.Has(linux_pkt_cls.TCA_FLOWER_KEY_VLAN_PRIO) || from.Has(linux_pkt_cls.TCA_FLOWER_KEY_VLAN_ETH_TYPE) || EtherTypes.IsVlan(type))
            {
                return "it matches tags, and its protocol does not say of which kind";
            }

            if (protocol != ETH_P_ALL)
            {
                if (type != 0 && type != protocol)
                {
                    return string.Create(CultureInfo.InvariantCulture, $"its protocol 0x{protocol:x4} is not its EtherType 0x{type:x4}: it matches nothing");
                }

                type = protocol;
                Set(ref match, FlowField.VlanTci, 0, untagged ? 0u : 0xffffu);
            }

            Set(ref match, FlowField.EthType, type, type == 0 ? 0u : 0xffffu);
            return null;
        }

        ushort inner = EtherTypes.IsVlan(type) ? (ushort)0 : type, second = 0;
        if (from.Take(linux_pkt_cls.TCA_FLOWER_KEY_VLAN_ETH_TYPE, out told))
        {
            (inner, second) = EtherTypes.IsVlan((ushort)told) ? (inner, (ushort)told) : ((ushort)told, (ushort)0);
        }

        if (from.Take(linux_pkt_cls.TCA_FLOWER_KEY_CVLAN_ETH_TYPE, out told))
        {
            inner = (ushort)told;
        }

        ReadTag(ref from, linux_pkt_cls.TCA_FLOWER_KEY_VLAN_ID, linux_pkt_cls.TCA_FLOWER_KEY_VLAN_PRIO, FlowField.VlanTci, ref match);
        if (second != 0)
        {
            ReadTag(ref from, linux_pkt_cls.TCA_FLOWER_KEY_CVLAN_ID, linux_pkt_cls.TCA_FLOWER_KEY_CVLAN_PRIO, FlowField.VlanTci2, ref match);
        }

        Set(ref match, FlowField.EthType, inner, inner == 0 ? 0u : 0xffffu);
        return (protocol, second) switch
        {
            (EtherTypes.ETH_P_8021Q, 0) or (EtherTypes.ETH_P_8021AD, EtherTypes.ETH_P_8021Q) => null,
            _ => string.Create(CultureInfo.InvariantCulture, $"its tags are of the types 0x{protocol:x4} and 0x{second:x4}; kept are 0x8100 for one tag, 0x88a8 and 0x8100 for two"),
        };
    }

    private static void ReadTag(ref FlowerAttributes from, ushort id, ushort priority, FlowField field, ref FlowMatch match)
    {
        Set(ref match, field, FlowKey.VlanPresent, FlowKey.VlanPresent);
        if (from.TakeHost(id, out uint value))
        {
            Set(ref match, field, value & 0xfff, 0xfff);
        }

        if (from.TakeHost(priority, out value))
        {
            Set(ref match, field, (value & 7) << 13, 0xe000);
        }
    }

    private static string? ReadPorts(ref FlowerAttributes from, ref FlowMatch match)
    {
        bool source = from.Take(linux_pkt_cls.TCA_FLOWER_KEY_PORT_SRC_MIN, out UInt128 low) & from.Take(linux_pkt_cls.TCA_FLOWER_KEY_PORT_SRC_MAX, out UInt128 high);
        match.TpSrc = source ? new PortRange((ushort)low, (ushort)high) : match.TpSrc;
        bool destination = from.Take(linux_pkt_cls.TCA_FLOWER_KEY_PORT_DST_MIN, out low) & from.Take(linux_pkt_cls.TCA_FLOWER_KEY_PORT_DST_MAX, out high);
        match.TpDst = destination ? new PortRange((ushort)low, (ushort)high) : match.TpDst;
        if (!from.Take(linux_pkt_cls.TCA_FLOWER_KEY_FLAGS, out UInt128 flags))
        {
            return null;
        }

        // Later fragments are those that are not the first.
        UInt128 mask = from.Take(linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_MASK, out UInt128 told) ? told : uint.MaxValue;
        bool fragment = (flags & linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT) != 0, first = (flags & linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_FRAG_IS_FIRST) != 0;
        const byte Both = FlowKey.FragAny | FlowKey.FragLater;
        switch ((uint)mask)
        {
            case linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT:
                Set(ref match, FlowField.IpFrag, fragment ? FlowKey.FragAny : 0u, FlowKey.FragAny);
                return null;
            case linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT | linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_FRAG_IS_FIRST when fragment || !first:
                Set(ref match, FlowField.IpFrag, (fragment ? FlowKey.FragAny : 0u) | (fragment && !first ? FlowKey.FragLater : 0u), Both);
                return null;
            default:
                return string.Create(CultureInfo.InvariantCulture, $"it matches flags 0x{(uint)flags:x}/0x{(uint)mask:x} of packets, which cannot be kept");
        }
    }

    private static string? ReadTunnel(ref FlowerAttributes from, ref FlowMatch match)
    {
        if (from.Take(linux_pkt_cls.TCA_FLOWER_KEY_ENC_KEY_ID, out UInt128 id))
        {
            Set(ref match, FlowField.TunId, id, ulong.MaxValue);
        }

        if (from.Take(linux_pkt_cls.TCA_FLOWER_KEY_ENC_UDP_DST_PORT, out UInt128 port))
        {
            UInt128 mask = from.Take(linux_pkt_cls.TCA_FLOWER_KEY_ENC_UDP_DST_PORT_MASK, out UInt128 told) ? told : ushort.MaxValue;
            TunnelKind kind = TunnelPorts.FirstOrDefault(t => t.Port == port).Kind;
            if (mask != ushort.MaxValue || kind == TunnelKind.None)
            {
                return string.Create(CultureInfo.InvariantCulture, $"it matches tunnels of port {(uint)port}/0x{(uint)mask:x}; kept are VXLAN's 4789 and GENEVE's 6081");
            }

            Set(ref match, FlowField.TunKind, (uint)kind, byte.MaxValue);
        }

        return null;
    }

    private static string? ReadStates(ref FlowerAttributes from, ref FlowMatch match)
    {
        if (from.TakeHost(linux_pkt_cls.TCA_FLOWER_KEY_CT_STATE, out uint state))
        {
            uint mask = from.TakeHost(linux_pkt_cls.TCA_FLOWER_KEY_CT_STATE_MASK, out uint told) ? told : ushort.MaxValue;
            ushort bits = 0, which = 0;
            foreach ((ushort flower, CtState kept) in _states)
            {
                bits |= (state & mask & flower) != 0 ? (ushort)kept : (ushort)0;
                which |= (mask & flower) != 0 ? (ushort)kept : (ushort)0;
                mask &= ~(uint)flower;
            }

            if (mask != 0)
            {
                return string.Create(CultureInfo.InvariantCulture, $"it matches states of connections that are not known here (0x{mask:x})");
            }

            Set(ref match, FlowField.CtState, bits, which);
        }

        return from.Left == 0 ? null : string.Create(CultureInfo.InvariantCulture, $"it matches attribute {from.Left} of flower, which cannot be kept");
    }
}
