using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;

namespace Dpu.Flows.Text;

/// <summary>
/// Matches in the syntax of ovs-ofctl(8): "tcp,in_port=1,nw_dst=10.0.0.0/8,tp_dst=80". Fields come in any order. Beyond OVS'
/// syntax, a port range is "tp_dst=1024-65535", the inner tag "inner_vlan_tci", a tunnel's kind "tunnel_type". Pure.
/// </summary>
public static class MatchText
{
    private static readonly Dictionary<string, (ushort EthType, byte? Protocol)> _keywords = new(StringComparer.Ordinal)
    {
        ["ip"] = (EtherTypes.ETH_P_IP, null),
        ["ipv6"] = (EtherTypes.ETH_P_IPV6, null),
        ["icmp"] = (EtherTypes.ETH_P_IP, IpProtocols.IPPROTO_ICMP),
        ["icmp6"] = (EtherTypes.ETH_P_IPV6, IpProtocols.IPPROTO_ICMPV6),
        ["tcp"] = (EtherTypes.ETH_P_IP, IpProtocols.IPPROTO_TCP),
        ["tcp6"] = (EtherTypes.ETH_P_IPV6, IpProtocols.IPPROTO_TCP),
        ["udp"] = (EtherTypes.ETH_P_IP, IpProtocols.IPPROTO_UDP),
        ["udp6"] = (EtherTypes.ETH_P_IPV6, IpProtocols.IPPROTO_UDP),
        ["sctp"] = (EtherTypes.ETH_P_IP, IpProtocols.IPPROTO_SCTP),
        ["sctp6"] = (EtherTypes.ETH_P_IPV6, IpProtocols.IPPROTO_SCTP),
        ["arp"] = (EtherTypes.ETH_P_ARP, null),
        ["rarp"] = (EtherTypes.ETH_P_RARP, null),
        ["mpls"] = (EtherTypes.ETH_P_MPLS_UC, null),
        ["mplsm"] = (EtherTypes.ETH_P_MPLS_MC, null),
    };

    // Every name that is read; those that are written stand in _written.
    private static readonly Dictionary<string, (FlowField Field, FieldStyle Style)> _fields = new(StringComparer.Ordinal)
    {
        ["recirc_id"] = (FlowField.RecircId, FieldStyle.Hex),
        ["in_port"] = (FlowField.InPort, FieldStyle.Decimal),
        ["dl_src"] = (FlowField.EthSrc, FieldStyle.Ethernet),
        ["eth_src"] = (FlowField.EthSrc, FieldStyle.Ethernet),
        ["dl_dst"] = (FlowField.EthDst, FieldStyle.Ethernet),
        ["eth_dst"] = (FlowField.EthDst, FieldStyle.Ethernet),
        ["dl_type"] = (FlowField.EthType, FieldStyle.Hex),
        ["eth_type"] = (FlowField.EthType, FieldStyle.Hex),
        ["vlan_tci"] = (FlowField.VlanTci, FieldStyle.Hex),
        ["vlan_tci1"] = (FlowField.VlanTci2, FieldStyle.Hex),
        ["inner_vlan_tci"] = (FlowField.VlanTci2, FieldStyle.Hex),
        ["nw_proto"] = (FlowField.IpProto, FieldStyle.Decimal),
        ["ip_proto"] = (FlowField.IpProto, FieldStyle.Decimal),
        ["arp_op"] = (FlowField.IpProto, FieldStyle.Decimal),
        ["nw_tos"] = (FlowField.IpTos, FieldStyle.Decimal),
        ["nw_ttl"] = (FlowField.IpTtl, FieldStyle.Decimal),
        ["ip_frag"] = (FlowField.IpFrag, FieldStyle.Fragment),
        ["nw_frag"] = (FlowField.IpFrag, FieldStyle.Fragment),
        ["nw_src"] = (FlowField.IpSrc, FieldStyle.IPv4),
        ["ip_src"] = (FlowField.IpSrc, FieldStyle.IPv4),
        ["arp_spa"] = (FlowField.IpSrc, FieldStyle.IPv4),
        ["nw_dst"] = (FlowField.IpDst, FieldStyle.IPv4),
        ["ip_dst"] = (FlowField.IpDst, FieldStyle.IPv4),
        ["arp_tpa"] = (FlowField.IpDst, FieldStyle.IPv4),
        ["ipv6_src"] = (FlowField.Ipv6Src, FieldStyle.IPv6),
        ["ipv6_dst"] = (FlowField.Ipv6Dst, FieldStyle.IPv6),
        ["ipv6_label"] = (FlowField.Ipv6Label, FieldStyle.Hex),
        ["arp_sha"] = (FlowField.ArpSha, FieldStyle.Ethernet),
        ["arp_tha"] = (FlowField.ArpTha, FieldStyle.Ethernet),
        ["icmp_type"] = (FlowField.TpSrc, FieldStyle.Decimal),
        ["icmp_code"] = (FlowField.TpDst, FieldStyle.Decimal),
        ["icmpv6_type"] = (FlowField.TpSrc, FieldStyle.Decimal),
        ["icmpv6_code"] = (FlowField.TpDst, FieldStyle.Decimal),
        ["tcp_flags"] = (FlowField.TcpFlags, FieldStyle.TcpFlags),
        ["tun_id"] = (FlowField.TunId, FieldStyle.Hex),
        ["tunnel_id"] = (FlowField.TunId, FieldStyle.Hex),
        ["tun_src"] = (FlowField.TunSrc, FieldStyle.IPv4),
        ["tun_dst"] = (FlowField.TunDst, FieldStyle.IPv4),
        ["tun_ipv6_src"] = (FlowField.TunIpv6Src, FieldStyle.IPv6),
        ["tun_ipv6_dst"] = (FlowField.TunIpv6Dst, FieldStyle.IPv6),
        ["tun_tos"] = (FlowField.TunTos, FieldStyle.Decimal),
        ["tun_ttl"] = (FlowField.TunTtl, FieldStyle.Decimal),
        ["tunnel_type"] = (FlowField.TunKind, FieldStyle.Tunnel),
        ["mpls_label"] = (FlowField.MplsLabel, FieldStyle.Decimal),
        ["mpls_tc"] = (FlowField.MplsTc, FieldStyle.Decimal),
        ["mpls_bos"] = (FlowField.MplsBos, FieldStyle.Decimal),
        ["ct_state"] = (FlowField.CtState, FieldStyle.ConnectionState),
        ["ct_zone"] = (FlowField.CtZone, FieldStyle.Decimal),
        ["ct_mark"] = (FlowField.CtMark, FieldStyle.Hex),
    };

    private static readonly string[] _written =
    [
        "recirc_id", "ct_state", "ct_zone", "ct_mark", "tunnel_type", "tun_id", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst", "tun_tos", "tun_ttl", "in_port",
        "vlan_tci", "inner_vlan_tci", "dl_src", "dl_dst", "mpls_label", "mpls_tc", "mpls_bos", "nw_src", "nw_dst", "ipv6_src", "ipv6_dst",
        "ipv6_label", "arp_sha", "arp_tha", "nw_proto", "nw_tos", "nw_ttl", "ip_frag", "tcp_flags",
    ];

    /// <summary>The field of a name, and how it is written; false for a name that no field has.</summary>
    internal static bool TryField(string name, out FlowField field, out FieldStyle style)
    {
        bool known = _fields.TryGetValue(name, out (FlowField Field, FieldStyle Style) found)
            || (name is "tp_src" or "tcp_src" or "udp_src" or "sctp_src" && (found = (FlowField.TpSrc, FieldStyle.Decimal)) != default)
            || (name is "tp_dst" or "tcp_dst" or "udp_dst" or "sctp_dst" && (found = (FlowField.TpDst, FieldStyle.Decimal)) != default)
            || (name is "vlan_vid" or "dl_vlan" && (found = (FlowField.VlanVid, FieldStyle.Decimal)) != default)
            || (name is "vlan_pcp" or "dl_vlan_pcp" && (found = (FlowField.VlanPcp, FieldStyle.Decimal)) != default);
        (field, style) = found;
        return known;
    }

    /// <summary>Reads a whole match.</summary>
    /// <exception cref="FlowTextException">Something in it is no field, or a value does not fit.</exception>
    public static FlowMatch Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        FlowMatch match = FlowMatch.Any;
        foreach (string piece in Pieces.Split(text))
        {
            (string name, string value) = Pieces.Pair(piece);
            if (!TryAdd(ref match, name, value))
            {
                throw new FlowTextException($"'{name}' is no field that is known here (see ovs-fields(7) for names)");
            }
        }

        return match.Canonical();
    }

    /// <summary>Adds one field or keyword; false where the name is neither.</summary>
    internal static bool TryAdd(ref FlowMatch match, string name, string value)
    {
        if (_keywords.TryGetValue(name, out (ushort EthType, byte? Protocol) keyword))
        {
            (match.Key.EthType, match.Mask.Bits.EthType) = (keyword.EthType, ushort.MaxValue);
            if (keyword.Protocol is { } protocol)
            {
                (match.Key.IpProto, match.Mask.Bits.IpProto) = (protocol, byte.MaxValue);
            }

            return true;
        }

        switch (name)
        {
            case "dl_vlan" or "vlan_vid" or "dl_vlan_pcp" or "vlan_pcp":
                Vlan(ref match, FlowField.VlanTci, name, value);
                return true;
            case "dl_vlan1" or "dl_vlan_pcp1":
                // The inner tag, as OVS prints packets.
                Vlan(ref match, FlowField.VlanTci2, name[..^1], value);
                return true;
            case "ip_dscp":
                Set(ref match, FlowField.IpTos, FieldText.One(name, value, FieldStyle.Decimal, 63) << 2, 0xfc);
                return true;
            case "nw_ecn" or "ip_ecn":
                Set(ref match, FlowField.IpTos, FieldText.One(name, value, FieldStyle.Decimal, 3), 3);
                return true;
        }

        if (!TryField(name, out FlowField field, out FieldStyle style))
        {
            return false;
        }

        if (field is FlowField.TpSrc or FlowField.TpDst && value.IndexOf('-', StringComparison.Ordinal) is > 0 and int dash)
        {
            PortRange range = new((ushort)FieldText.One(name, value[..dash], style, 65535), (ushort)FieldText.One(name, value[(dash + 1)..], style, 65535));
            if (range.IsEmpty)
            {
                throw FieldText.Bad(name, value, "the range ends before it begins");
            }

            _ = field == FlowField.TpSrc ? match.TpSrc = range : match.TpDst = range;
            return true;
        }

        (UInt128 bits, UInt128 mask) = FieldText.Parse(name, value, style, FieldAccess.Width(field));
        Set(ref match, field, bits, mask);
        return true;
    }

    /// <summary>Writes a match; <see cref="Parse"/> of it is the same match.</summary>
    public static string Format(in FlowMatch match) => string.Join(',', Fields(match).Select(field => field.Value.Length == 0 ? field.Name : $"{field.Name}={field.Value}"));

    /// <summary>The fields of a match in the order in which they are written; keywords have no value.</summary>
    internal static IEnumerable<(string Name, string Value)> Fields(FlowMatch match)
    {
        FlowMatch rest = match.Canonical();
        List<(string, string)> fields = [];
        bool exactType = rest.Mask.Bits.EthType == ushort.MaxValue, exactProtocol = rest.Mask.Bits.IpProto == byte.MaxValue;
        (ushort type, byte protocol) = (rest.Key.EthType, rest.Key.IpProto);
        bool arp = exactType && type is EtherTypes.ETH_P_ARP or EtherTypes.ETH_P_RARP;
        bool icmp = exactType && exactProtocol && protocol is IpProtocols.IPPROTO_ICMP or IpProtocols.IPPROTO_ICMPV6;
        string? keyword = exactType ? _keywords.FirstOrDefault(k => k.Value.EthType == type && exactProtocol && k.Value.Protocol == protocol).Key
            ?? _keywords.FirstOrDefault(k => k.Value.EthType == type && k.Value.Protocol is null).Key : null;
        if (keyword is not null)
        {
            fields.Add((keyword, ""));
            rest.Mask.Bits.EthType = 0;
            rest.Mask.Bits.IpProto = _keywords[keyword].Protocol is null ? rest.Mask.Bits.IpProto : (byte)0;
        }
        else if (rest.Mask.Bits.EthType != 0)
        {
            fields.Add(("dl_type", FieldText.Format(type, rest.Mask.Bits.EthType, FieldStyle.Hex, 16)));
        }

        foreach (string name in _written)
        {
            (FlowField field, FieldStyle style) = _fields[name];
            if (Skips(rest.Mask.Bits, field, arp, exactType && type == EtherTypes.ETH_P_IPV6))
            {
                continue;
            }

            UInt128 mask = FieldAccess.Get(rest.Mask.Bits, field);
            if (mask != 0)
            {
                string written = (arp, name) switch { (true, "nw_src") => "arp_spa", (true, "nw_dst") => "arp_tpa", (true, "nw_proto") => "arp_op", _ => name };
                fields.Add((written, FieldText.Format(FieldAccess.Get(rest.Key, field), mask, style, FieldAccess.Width(field))));
            }
        }

        AddPort(fields, icmp ? "icmp_type" : "tp_src", rest.Key.TpSrc, rest.Mask.Bits.TpSrc, rest.TpSrc);
        AddPort(fields, icmp ? "icmp_code" : "tp_dst", rest.Key.TpDst, rest.Mask.Bits.TpDst, rest.TpDst);
        return fields;
    }

    private static void AddPort(List<(string, string)> fields, string name, ushort value, ushort mask, PortRange range)
    {
        if (mask != 0)
        {
            fields.Add((name, FieldText.Format(value, mask, FieldStyle.Decimal, 16)));
        }

        if (!range.IsAny)
        {
            fields.Add((name, string.Create(CultureInfo.InvariantCulture, $"{range.Low}-{range.High}")));
        }
    }

    // One field of those that share bits: addresses are IPv6's if the type is, or if they have bits beyond 32 (and are no ARP).
    private static bool Skips(in FlowKey mask, FlowField field, bool arp, bool ipv6)
    {
        bool Long(Address128 address) => ipv6 || ((address.Word1 | address.Word2 | address.Word3) != 0 && !arp);
        return field switch
        {
            FlowField.IpSrc => Long(mask.IpSrc),
            FlowField.Ipv6Src => !Long(mask.IpSrc),
            FlowField.IpDst => Long(mask.IpDst),
            FlowField.Ipv6Dst => !Long(mask.IpDst),
            FlowField.TunSrc => (mask.TunSrc.Word1 | mask.TunSrc.Word2 | mask.TunSrc.Word3) != 0,
            FlowField.TunIpv6Src => (mask.TunSrc.Word1 | mask.TunSrc.Word2 | mask.TunSrc.Word3) == 0,
            FlowField.TunDst => (mask.TunDst.Word1 | mask.TunDst.Word2 | mask.TunDst.Word3) != 0,
            FlowField.TunIpv6Dst => (mask.TunDst.Word1 | mask.TunDst.Word2 | mask.TunDst.Word3) == 0,
            FlowField.ArpSha or FlowField.ArpTha => !arp,
            _ => false,
        };
    }

    private static void Set(ref FlowMatch match, FlowField field, UInt128 value, UInt128 mask)
    {
        UInt128 bits = FieldAccess.Get(match.Mask.Bits, field) | mask;
        FieldAccess.Set(ref match.Key, field, (FieldAccess.Get(match.Key, field) & ~mask) | value);
        FieldAccess.Set(ref match.Mask.Bits, field, bits);
    }

    // dl_vlan names a tag that is there, or 0xffff for none; vlan_vid has the presence as bit 12.
    private static void Vlan(ref FlowMatch match, FlowField tci, string name, string value)
    {
        if (name is "dl_vlan_pcp" or "vlan_pcp")
        {
            Set(ref match, tci, (FieldText.One(name, value, FieldStyle.Decimal, 7) << 13) | FlowKey.VlanPresent, 0xf000);
        }
        else if (name == "vlan_vid")
        {
            (UInt128 vid, UInt128 mask) = FieldText.Parse(name, value, FieldStyle.Hex, 13);
            Set(ref match, tci, vid, mask);
        }
        else if (FieldText.One(name, value, FieldStyle.Hex, 0xffff) is var number && number == 0xffff)
        {
            Set(ref match, tci, 0, 0xffff);
        }
        else
        {
            Set(ref match, tci, number <= 0xfff ? number | FlowKey.VlanPresent : throw FieldText.Bad(name, value, "it is at most 4095, or 0xffff for no tag"), 0x1fff);
        }
    }
}
