using System.Runtime.InteropServices;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Flows.Table;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>Settings of fields as writes into headers (tc-pedit(8)), and back. Pure.</summary>
internal static class PeditFields
{
    private const int HeaderBytes = 40; // The longest: IPv6's.
    private const int Headers = linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_UDP + 1;

    private static readonly (FlowField Field, ushort Header, int At, int Size)[] _places =
    [
        (FlowField.EthDst, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_ETH, 0, 6),
        (FlowField.EthSrc, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_ETH, 6, 6),
        (FlowField.IpTos, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP4, 1, 1),
        (FlowField.IpTtl, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP4, 8, 1),
        (FlowField.IpSrc, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP4, 12, 4),
        (FlowField.IpDst, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP4, 16, 4),
        (FlowField.IpTtl, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP6, 7, 1),
        (FlowField.Ipv6Src, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP6, 8, 16),
        (FlowField.Ipv6Dst, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP6, 24, 16),
        (FlowField.TpSrc, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_TCP, 0, 2),
        (FlowField.TpDst, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_TCP, 2, 2),
        (FlowField.TpSrc, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_UDP, 0, 2),
        (FlowField.TpDst, linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_UDP, 2, 2),
    ];

    /// <summary>Whether a field can be written, given what packets the flow matches.</summary>
    internal static bool Has(FlowField field, in FlowMatch match) => PlaceOf(field, match) >= 0;

    /// <summary>
    /// Adds the keys and their headers of settings that follow each other. TCA_PEDIT_PARMS_EX and TCA_PEDIT_KEYS_EX go into the action's options.
    /// </summary>
    /// <returns>The checksums to compute anew; 0 for none.</returns>
    internal static uint Write(NetlinkWriter to, ReadOnlySpan<FlowAction> settings, in FlowMatch match, in tc_gact generic)
    {
        byte[] values = new byte[Headers * HeaderBytes], masks = new byte[Headers * HeaderBytes];
        foreach (FlowAction setting in settings)
        {
            (_, ushort header, int at, int size) = _places[PlaceOf(setting.Field, match)];
            for (int i = 0; i < size; i++)
            {
                int shift = 8 * (size - 1 - i), place = (header * HeaderBytes) + at + i;
                byte mask = (byte)(setting.Mask >> shift);
                values[place] = (byte)((values[place] & ~mask) | ((byte)(setting.Value >> shift) & mask));
                masks[place] |= mask;
            }
        }

        List<(ushort Header, tc_pedit_key Key)> keys = [];
        uint checksums = 0;
        for (ushort header = 0; header < Headers; header++)
        {
            for (int at = 0; at < HeaderBytes; at += 4)
            {
                uint mask = BitConverter.ToUInt32(masks, (header * HeaderBytes) + at);
                if (mask != 0)
                {
                    keys.Add((header, new tc_pedit_key { mask = ~mask, val = BitConverter.ToUInt32(values, (header * HeaderBytes) + at), off = (uint)at }));
                    checksums |= Checksums(header, at, match);
                }
            }
        }

        tc_pedit_sel head = new() { action = generic.action, nkeys = (byte)keys.Count };
        to.Attribute(linux_tc_pedit.TCA_PEDIT_PARMS_EX, [.. MemoryMarshal.AsBytes(new ReadOnlySpan<tc_pedit_sel>(in head)), .. MemoryMarshal.AsBytes(keys.Select(k => k.Key).ToArray().AsSpan())]);
        int nest = to.BeginNest(linux_tc_pedit.TCA_PEDIT_KEYS_EX | linux_rtnetlink.NLA_F_NESTED);
        foreach ((ushort header, _) in keys)
        {
            int key = to.BeginNest(linux_tc_pedit.TCA_PEDIT_KEY_EX | linux_rtnetlink.NLA_F_NESTED);
            to.Attribute(linux_tc_pedit.TCA_PEDIT_KEY_EX_HTYPE, header);
            to.Attribute(linux_tc_pedit.TCA_PEDIT_KEY_EX_CMD, linux_tc_pedit.TCA_PEDIT_KEY_EX_CMD_SET);
            to.EndNest(key);
        }

        to.EndNest(nest);
        return checksums;
    }

    /// <summary>Reads TCA_PEDIT_PARMS_EX and TCA_PEDIT_KEYS_EX.</summary>
    /// <returns>Why the settings cannot be kept; null where they can.</returns>
    internal static string? Read(ReadOnlySpan<byte> parameters, ReadOnlySpan<byte> extended, in FlowMatch match, List<FlowAction> to)
    {
        const string Unknown = "it writes into headers in a way that cannot be kept";
        if (!NetlinkAttributes.TryRead(parameters, out tc_pedit_sel head) || parameters.Length < Marshal.SizeOf<tc_pedit_sel>() + (head.nkeys * Marshal.SizeOf<tc_pedit_key>()))
        {
            return Unknown;
        }

        byte[] values = new byte[Headers * HeaderBytes], masks = new byte[Headers * HeaderBytes];
        ReadOnlySpan<tc_pedit_key> keys = MemoryMarshal.Cast<byte, tc_pedit_key>(parameters[Marshal.SizeOf<tc_pedit_sel>()..]);
        NetlinkAttributes list = new(extended);
        for (int i = 0; i < head.nkeys; i++)
        {
            tc_pedit_key key = keys[i];
            ushort header = 0, command = linux_tc_pedit.TCA_PEDIT_KEY_EX_CMD_SET;
            NetlinkAttributes ex = new(list.Next() ? list.Value : default);
            while (ex.Next())
            {
                _ = ex.Type == linux_tc_pedit.TCA_PEDIT_KEY_EX_HTYPE ? NetlinkAttributes.TryRead(ex.Value, out header) : NetlinkAttributes.TryRead(ex.Value, out command);
            }

            if (header is 0 or >= Headers || command != linux_tc_pedit.TCA_PEDIT_KEY_EX_CMD_SET || key.offmask != 0 || key.off % 4 != 0 || key.off > HeaderBytes - 4)
            {
                return Unknown;
            }

            for (int b = 0; b < 4; b++)
            {
                int place = (header * HeaderBytes) + (int)key.off + b;
                byte mask = (byte)~(key.mask >> (8 * b));
                values[place] = (byte)((values[place] & ~mask) | ((byte)(key.val >> (8 * b)) & mask));
                masks[place] |= mask;
                if (((byte)(key.val >> (8 * b)) & ~mask) != 0)
                {
                    // Bits that are flipped and not set.
                    return Unknown;
                }
            }
        }

        foreach ((FlowField field, ushort header, int at, int size) in _places)
        {
            UInt128 value = 0, mask = 0;
            for (int i = 0; i < size; i++)
            {
                int place = (header * HeaderBytes) + at + i;
                (value, mask) = ((value << 8) | values[place], (mask << 8) | masks[place]);
                masks[place] = 0;
            }

            if (mask != 0)
            {
                if (PlaceOf(field, match) is < 0 and var _)
                {
                    return "it writes into headers that its packets need not have";
                }

                to.Add(FlowAction.Set(field, value, mask));
            }
        }

        return masks.AsSpan().ContainsAnyExcept((byte)0) ? "it writes into fields of headers that cannot be kept" : null;
    }

    private static int PlaceOf(FlowField field, in FlowMatch match)
    {
        ushort type = match.Mask.Bits.EthType == ushort.MaxValue ? match.Key.EthType : (ushort)0;
        byte protocol = match.Mask.Bits.IpProto == byte.MaxValue ? match.Key.IpProto : (byte)0;
        for (int i = 0; i < _places.Length; i++)
        {
            bool there = _places[i].Field == field && _places[i].Header switch
            {
                linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP4 => type == EtherTypes.ETH_P_IP,
                linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP6 => type == EtherTypes.ETH_P_IPV6,
                linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_TCP => type is EtherTypes.ETH_P_IP or EtherTypes.ETH_P_IPV6 && protocol == IpProtocols.IPPROTO_TCP,
                linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_UDP => type is EtherTypes.ETH_P_IP or EtherTypes.ETH_P_IPV6 && protocol == IpProtocols.IPPROTO_UDP,
                _ => true,
            };
            if (there)
            {
                return i;
            }
        }

        return -1;
    }

    // Checksums cover their own header, and of IP headers the addresses.
    private static uint Checksums(ushort header, int at, in FlowMatch match)
    {
        uint transport = match.Mask.Bits.IpProto != byte.MaxValue
            ? linux_tc_csum.TCA_CSUM_UPDATE_FLAG_TCP | linux_tc_csum.TCA_CSUM_UPDATE_FLAG_UDP | linux_tc_csum.TCA_CSUM_UPDATE_FLAG_ICMP
            : match.Key.IpProto switch
            {
                IpProtocols.IPPROTO_TCP => linux_tc_csum.TCA_CSUM_UPDATE_FLAG_TCP,
                IpProtocols.IPPROTO_UDP => linux_tc_csum.TCA_CSUM_UPDATE_FLAG_UDP,
                IpProtocols.IPPROTO_ICMPV6 => linux_tc_csum.TCA_CSUM_UPDATE_FLAG_ICMP,
                _ => 0,
            };
        return header switch
        {
            linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP4 => linux_tc_csum.TCA_CSUM_UPDATE_FLAG_IPV4HDR | (at >= 12 ? transport : 0),
            linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_IP6 => at >= 8 ? transport : 0,
            linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_TCP or linux_tc_pedit.TCA_PEDIT_KEY_EX_HDR_TYPE_UDP => transport,
            _ => 0,
        };
    }
}
