using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

internal static partial class FlowerMatch
{
    /// <summary>Writes what a flow matches as attributes, in TCA_OPTIONS.</summary>
    /// <param name="to">The message.</param>
    /// <param name="match">A canonical match.</param>
    /// <param name="untagged">A match that says nothing of tags is one of packets without.</param>
    /// <param name="nameOf">The interface of a port; null where there is none.</param>
    /// <param name="protocol">The filter's protocol.</param>
    /// <returns>Why flower cannot match that; null where it can.</returns>
    internal static string? Write(NetlinkWriter to, in FlowMatch match, bool untagged, Func<uint, string?> nameOf, out ushort protocol)
    {
        // What is written is taken out; what is left then cannot be said.
        FlowMatch rest = match;
        if (WriteType(to, ref rest, untagged, out protocol) is { } problem)
        {
            return problem;
        }

        if (rest.Mask.Bits.InPort != 0)
        {
            if (rest.Mask.Bits.InPort != uint.MaxValue || nameOf(rest.Key.InPort) is not { } device)
            {
                return string.Create(CultureInfo.InvariantCulture, $"no interface is known for its in_port={rest.Key.InPort}");
            }

            to.Text(linux_pkt_cls.TCA_FLOWER_INDEV, device);
            rest.Mask.Bits.InPort = 0;
        }

        foreach (Field field in _fields)
        {
            UInt128 mask = FieldAccess.Get(rest.Mask.Bits, field.Name), full = FieldAccess.Full(field.Name);
            if (mask == 0 || !Holds(field.When, match) || (field.Mask == 0 && mask != full) || (field.Size == 1 && mask > byte.MaxValue && mask != full))
            {
                continue;
            }

            UInt128 value = FieldAccess.Get(rest.Key, field.Name) & mask;
            if (field.Size == 1 && value > byte.MaxValue)
            {
                continue;
            }

            Put(to, field.Value, field, value);
            if (field.Mask != 0 && !(field.Name is FlowField.TpSrc or FlowField.TpDst && field.Size == 2 && mask == full))
            {
                // A port without a mask is a whole one, as tc(8) has it; drivers may know no other.
                Put(to, field.Mask, field, mask & ((UInt128.One << (8 * field.Size - 1) << 1) - 1));
            }

            FieldAccess.Set(ref rest.Mask.Bits, field.Name, 0);
        }

        WritePorts(to, match, ref rest);
        WriteTunnel(to, ref rest);
        WriteStates(to, ref rest);
        return rest.Mask.IsEmpty && !rest.HasRange ? null : $"flower cannot match {Dpu.Flows.Text.MatchText.Format(rest)}{(rest.HasRange ? ", ports" : "")} so";
    }

    private static void Put(NetlinkWriter to, ushort type, Field field, UInt128 value)
    {
        switch (field.Size, field.IsHost)
        {
            case (1, _): to.Attribute(type, (byte)value); break;
            case (2, true): to.Attribute(type, (ushort)value); break;
            case (4, true): to.Attribute(type, (uint)value); break;
            case (2, _): to.BigEndian(type, (ushort)value); break;
            case (4, _): to.BigEndian(type, (uint)value); break;
            case (6, _): to.Ethernet(type, (ulong)value); break;
            default: to.BigEndian(type, value); break;
        }
    }

    private static string? WriteType(NetlinkWriter to, ref FlowMatch rest, bool untagged, out ushort protocol)
    {
        protocol = ETH_P_ALL;
        if (rest.Mask.Bits.EthType is not (0 or ushort.MaxValue))
        {
            return "flower matches a whole EtherType, or none";
        }

        ushort type = rest.Mask.Bits.EthType != 0 ? rest.Key.EthType : (ushort)0;
        (ushort tci, ushort which) = (rest.Key.VlanTci, rest.Mask.Bits.VlanTci);
        bool tagged = (which & tci & FlowKey.VlanPresent) != 0;
        if (!tagged)
        {
            if (which != 0 && (which != ushort.MaxValue || tci != 0 || type == 0))
            {
                return "flower matches no tag as vlan_tci=0x0000 together with an EtherType";
            }

            if (which != 0 && untagged)
            {
                return "a match of this target that says nothing of tags is one of packets without";
            }

            protocol = type != 0 && (which != 0 || untagged) ? type : ETH_P_ALL;
            rest.Mask.Bits.VlanTci = 0;
        }
        else
        {
            bool second = (rest.Mask.Bits.VlanTci2 & rest.Key.VlanTci2 & FlowKey.VlanPresent) != 0;
            protocol = second ? EtherTypes.ETH_P_8021AD : EtherTypes.ETH_P_8021Q;
            to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_ETH_TYPE, protocol);
            if (WriteTag(to, linux_pkt_cls.TCA_FLOWER_KEY_VLAN_ID, linux_pkt_cls.TCA_FLOWER_KEY_VLAN_PRIO, tci, ref rest.Mask.Bits.VlanTci) is { } problem)
            {
                return problem;
            }

            if (second)
            {
                to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_VLAN_ETH_TYPE, EtherTypes.ETH_P_8021Q);
                if (WriteTag(to, linux_pkt_cls.TCA_FLOWER_KEY_CVLAN_ID, linux_pkt_cls.TCA_FLOWER_KEY_CVLAN_PRIO, rest.Key.VlanTci2, ref rest.Mask.Bits.VlanTci2) is { } inner)
                {
                    return inner;
                }
            }

            if (type != 0)
            {
                to.BigEndian(second ? linux_pkt_cls.TCA_FLOWER_KEY_CVLAN_ETH_TYPE : linux_pkt_cls.TCA_FLOWER_KEY_VLAN_ETH_TYPE, type);
            }

            rest.Mask.Bits.EthType = 0;
            return null;
        }

        if (type != 0)
        {
            to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_ETH_TYPE, type);
            rest.Mask.Bits.EthType = 0;
        }

        return null;
    }

    private static string? WriteTag(NetlinkWriter to, ushort id, ushort priority, ushort tci, ref ushort which)
    {
        if ((which & 0xfff) is not (0 or 0xfff) || (which & 0xe000) is not (0 or 0xe000))
        {
            return "flower matches the whole identifier or priority of a tag, or nothing of it";
        }

        if ((which & 0xfff) != 0)
        {
            to.Attribute(id, (ushort)(tci & 0xfff));
        }

        if ((which & 0xe000) != 0)
        {
            to.Attribute(priority, (byte)(tci >> 13));
        }

        which = 0;
        return null;
    }

    private static void WritePorts(NetlinkWriter to, in FlowMatch match, ref FlowMatch rest)
    {
        if (Holds(When.Tcp, match) || Holds(When.Udp, match) || Holds(When.Sctp, match))
        {
            if (!rest.TpSrc.IsAny)
            {
                to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_PORT_SRC_MIN, rest.TpSrc.Low);
                to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_PORT_SRC_MAX, rest.TpSrc.High);
                rest.TpSrc = PortRange.Any;
            }

            if (!rest.TpDst.IsAny)
            {
                to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_PORT_DST_MIN, rest.TpDst.Low);
                to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_PORT_DST_MAX, rest.TpDst.High);
                rest.TpDst = PortRange.Any;
            }
        }

        byte frag = rest.Key.IpFrag, mask = rest.Mask.Bits.IpFrag;
        bool any = (frag & FlowKey.FragAny) != 0, later = (frag & FlowKey.FragLater) != 0;
        if (Holds(When.Ip, match) && (mask == FlowKey.FragAny || (mask == (FlowKey.FragAny | FlowKey.FragLater) && (any || !later))))
        {
            uint flags = (any ? linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT : 0) | (any && !later && mask != FlowKey.FragAny ? linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_FRAG_IS_FIRST : 0);
            to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_FLAGS, flags);
            to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_MASK, linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT | (mask == FlowKey.FragAny ? 0 : linux_pkt_cls.TCA_FLOWER_KEY_FLAGS_FRAG_IS_FIRST));
            rest.Mask.Bits.IpFrag = 0;
        }
    }

    private static void WriteTunnel(NetlinkWriter to, ref FlowMatch rest)
    {
        if (rest.Mask.Bits.TunId == ulong.MaxValue && rest.Key.TunId <= uint.MaxValue)
        {
            to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_ENC_KEY_ID, (uint)rest.Key.TunId);
            rest.Mask.Bits.TunId = 0;
        }

        TunnelKind kind = rest.Key.TunKind;
        ushort port = TunnelPorts.FirstOrDefault(t => t.Kind == kind).Port;
        if ((byte)rest.Mask.Bits.TunKind == byte.MaxValue && port != 0)
        {
            to.BigEndian(linux_pkt_cls.TCA_FLOWER_KEY_ENC_UDP_DST_PORT, port);
            rest.Mask.Bits.TunKind = 0;
        }
    }

    private static void WriteStates(NetlinkWriter to, ref FlowMatch rest)
    {
        ushort state = 0, mask = 0, left = rest.Mask.Bits.CtStateBits;
        foreach ((ushort flower, CtState kept) in _states)
        {
            state |= (rest.Key.CtStateBits & left & (ushort)kept) != 0 ? flower : (ushort)0;
            mask |= (left & (ushort)kept) != 0 ? flower : (ushort)0;
            left &= (ushort)~(ushort)kept;
        }

        if (mask != 0)
        {
            to.Attribute(linux_pkt_cls.TCA_FLOWER_KEY_CT_STATE, state);
            to.Attribute(linux_pkt_cls.TCA_FLOWER_KEY_CT_STATE_MASK, mask);
        }

        rest.Mask.Bits.CtStateBits = left;
    }
}
