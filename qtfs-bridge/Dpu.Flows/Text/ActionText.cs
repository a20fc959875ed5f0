using System.Globalization;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Flows.Table;

namespace Dpu.Flows.Text;

/// <summary>
/// Actions in the syntax of ovs-actions(7). Beyond it: "mirror:PORT", "push_tunnel(type=vxlan,id=5,dst=ADDRESS)" and
/// "pop_tunnel". An action that is not known is an error: a flow is never kept with less than it does. Pure.
/// </summary>
public static class ActionText
{
    /// <summary>Reads a list; "drop" and nothing are the empty one.</summary>
    /// <exception cref="FlowTextException">An action is not known, or what it names does not fit.</exception>
    public static IReadOnlyList<FlowAction> Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<FlowAction> actions = [];
        foreach (string piece in Pieces.Split(text))
        {
            (string name, string value) = Pieces.Pair(piece);
            switch (name)
            {
                case "drop" when value.Length == 0:
                    break;
                case "output" or "mirror":
                    uint port = (uint)FieldText.One(name, value, FieldStyle.Decimal, uint.MaxValue);
                    actions.Add(name == "output" ? FlowAction.Output(port) : FlowAction.Mirror(port));
                    break;
                case "NORMAL" or "normal":
                    actions.Add(new FlowAction(FlowActionKind.Normal));
                    break;
                case "IN_PORT" or "in_port":
                    actions.Add(new FlowAction(FlowActionKind.InPort));
                    break;
                case "CONTROLLER" or "controller":
                    actions.Add(new FlowAction(FlowActionKind.Controller));
                    break;
                case "goto_table":
                    actions.Add(FlowAction.Goto((byte)FieldText.One(name, value, FieldStyle.Decimal, FlowTable.MaxTables - 1)));
                    break;
                case "meter":
                    actions.Add(FlowAction.Meter((uint)FieldText.One(name, value, FieldStyle.Decimal, uint.MaxValue)));
                    break;
                case "push_vlan":
                    actions.Add(FlowAction.PushVlan(VlanType(value)));
                    break;
                case "pop_vlan" or "strip_vlan":
                    actions.Add(FlowAction.PopVlan);
                    break;
                case "pop_tunnel":
                    actions.Add(new FlowAction(FlowActionKind.PopTunnel));
                    break;
                case "push_tunnel":
                    actions.Add(Tunnel(value));
                    break;
                case "set_field" or "load":
                    actions.Add(SetField(piece, value));
                    break;
                default:
                    actions.Add(Modify(name, value, piece));
                    break;
            }
        }

        return actions;
    }

    /// <summary>Writes a list; <see cref="Parse"/> of it is the same list.</summary>
    public static string Format(IReadOnlyList<FlowAction> actions)
    {
        ArgumentNullException.ThrowIfNull(actions);
        return actions.Count == 0 ? "drop" : string.Join(',', actions.Select(Format));
    }

    private static string Format(FlowAction action) => action.Kind switch
    {
        FlowActionKind.Output => string.Create(CultureInfo.InvariantCulture, $"output:{action.Argument}"),
        FlowActionKind.Mirror => string.Create(CultureInfo.InvariantCulture, $"mirror:{action.Argument}"),
        FlowActionKind.InPort => "IN_PORT",
        FlowActionKind.Normal => "NORMAL",
        FlowActionKind.Controller => "CONTROLLER",
        FlowActionKind.Goto => string.Create(CultureInfo.InvariantCulture, $"goto_table:{action.Argument}"),
        FlowActionKind.Meter => string.Create(CultureInfo.InvariantCulture, $"meter:{action.Argument}"),
        FlowActionKind.PushVlan => string.Create(CultureInfo.InvariantCulture, $"push_vlan:0x{action.Argument:x4}"),
        FlowActionKind.PopVlan => "pop_vlan",
        FlowActionKind.PopTunnel => "pop_tunnel",
        FlowActionKind.PushTunnel => FormatTunnel(action),
        FlowActionKind.SetField => FormatSet(action),
        _ => throw new ArgumentOutOfRangeException(nameof(action), action.Kind, "there is no such action"),
    };

    private static string FormatSet(FlowAction action)
    {
        string name = NameOf(action.Field, out FieldStyle style);
        if (action.Field == FlowField.VlanVid)
        {
            // OpenFlow's vlan_vid has a thirteenth bit: there is a tag.
            return $"set_field:{FieldText.Format(action.Value | FlowKey.VlanPresent, action.Mask | FlowKey.VlanPresent, style, 13)}->{name}";
        }

        return $"set_field:{FieldText.Format(action.Value, action.Mask, style == FieldStyle.Decimal ? FieldStyle.Decimal : Plain(style), FieldAccess.Width(action.Field))}->{name}";
    }

    // A set field has a plain value: no words and no prefix lengths, as OVS writes it.
    private static FieldStyle Plain(FieldStyle style) => style is FieldStyle.Fragment or FieldStyle.ConnectionState or FieldStyle.TcpFlags or FieldStyle.Tunnel ? FieldStyle.Hex : style;

    private static string NameOf(FlowField field, out FieldStyle style)
    {
        string name = field switch
        {
            FlowField.InPort => "in_port",
            FlowField.EthSrc => "eth_src",
            FlowField.EthDst => "eth_dst",
            FlowField.EthType => "eth_type",
            FlowField.VlanTci => "vlan_tci",
            FlowField.VlanTci2 => "inner_vlan_tci",
            FlowField.VlanVid => "vlan_vid",
            FlowField.VlanPcp => "vlan_pcp",
            FlowField.IpProto => "ip_proto",
            FlowField.IpFrag => "ip_frag",
            FlowField.IpTos => "nw_tos",
            FlowField.IpTtl => "nw_ttl",
            FlowField.IpSrc => "ip_src",
            FlowField.IpDst => "ip_dst",
            FlowField.Ipv6Src => "ipv6_src",
            FlowField.Ipv6Dst => "ipv6_dst",
            FlowField.Ipv6Label => "ipv6_label",
            FlowField.ArpSha => "arp_sha",
            FlowField.ArpTha => "arp_tha",
            FlowField.TpSrc => "tp_src",
            FlowField.TpDst => "tp_dst",
            FlowField.TcpFlags => "tcp_flags",
            FlowField.TunId => "tun_id",
            FlowField.TunSrc => "tun_src",
            FlowField.TunDst => "tun_dst",
            FlowField.TunIpv6Src => "tun_ipv6_src",
            FlowField.TunIpv6Dst => "tun_ipv6_dst",
            FlowField.TunTos => "tun_tos",
            FlowField.TunTtl => "tun_ttl",
            FlowField.TunKind => "tunnel_type",
            FlowField.MplsLabel => "mpls_label",
            FlowField.MplsTc => "mpls_tc",
            FlowField.MplsBos => "mpls_bos",
            FlowField.CtState => "ct_state",
            FlowField.CtZone => "ct_zone",
            FlowField.CtMark => "ct_mark",
            FlowField.RecircId => "recirc_id",
            _ => throw new ArgumentOutOfRangeException(nameof(field), field, "there is no such field"),
        };
        _ = MatchText.TryField(name, out _, out style);
        return name;
    }

    // set_field:VALUE[/MASK]->NAME.
    private static FlowAction SetField(string piece, string value)
    {
        int arrow = value.LastIndexOf("->", StringComparison.Ordinal);
        if (!piece.StartsWith("set_field:", StringComparison.Ordinal) || arrow < 0 || !MatchText.TryField(value[(arrow + 2)..], out FlowField field, out FieldStyle style))
        {
            throw new FlowTextException($"'{Pieces.Short(piece)}' is not set_field:VALUE[/MASK]->FIELD of a field that is known here");
        }

        (UInt128 bits, UInt128 mask) = FieldText.Parse(value[(arrow + 2)..], value[..arrow], Plain(style), field == FlowField.VlanVid ? 13 : FieldAccess.Width(field));
        UInt128 full = FieldAccess.Full(field);
        return FlowAction.Set(field, bits & full, mask & full);
    }

    // mod_nw_dst:10.0.0.1 and its like; a port's number alone is output.
    private static FlowAction Modify(string name, string value, string piece)
    {
        (FlowField field, FieldStyle style) = name switch
        {
            "mod_dl_src" => (FlowField.EthSrc, FieldStyle.Ethernet),
            "mod_dl_dst" => (FlowField.EthDst, FieldStyle.Ethernet),
            "mod_vlan_vid" => (FlowField.VlanVid, FieldStyle.Decimal),
            "mod_vlan_pcp" => (FlowField.VlanPcp, FieldStyle.Decimal),
            "mod_nw_src" => (FlowField.IpSrc, FieldStyle.IPv4),
            "mod_nw_dst" => (FlowField.IpDst, FieldStyle.IPv4),
            "mod_nw_tos" => (FlowField.IpTos, FieldStyle.Decimal),
            "mod_nw_ttl" => (FlowField.IpTtl, FieldStyle.Decimal),
            "mod_tp_src" => (FlowField.TpSrc, FieldStyle.Decimal),
            "mod_tp_dst" => (FlowField.TpDst, FieldStyle.Decimal),
            "set_tunnel" => (FlowField.TunId, FieldStyle.Hex),
            _ => (FlowField.None, FieldStyle.Decimal),
        };
        if (field != FlowField.None)
        {
            UInt128 bits = FieldText.One(name, value, style, FieldAccess.Full(field));

            // The type of service has its lower bits for congestion, which OVS leaves (mod_nw_tos sets DSCP).
            return name == "mod_nw_tos" ? FlowAction.Set(field, bits, 0xfc) : FlowAction.Set(field, bits);
        }

        return value.Length == 0 && uint.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out uint port)
            ? FlowAction.Output(port)
            : throw new FlowTextException($"the action '{Pieces.Short(piece)}' is not known here; the flow would do less than it says");
    }

    private static ushort VlanType(string text)
    {
        ushort type = (ushort)FieldText.One("push_vlan", text, FieldStyle.Hex, ushort.MaxValue);
        return EtherTypes.IsVlan(type) ? type : throw FieldText.Bad("push_vlan", text, "it is 0x8100 or 0x88a8");
    }

    private static string FormatTunnel(FlowAction action)
    {
        string Address(UInt128 address) => FieldText.Format(address, UInt128.MaxValue, address <= uint.MaxValue ? FieldStyle.IPv4 : FieldStyle.IPv6, 128);
        string source = action.Mask == 0 ? "" : $",src={Address(action.Mask)}";
        return string.Create(CultureInfo.InvariantCulture, $"push_tunnel(type={action.Tunnel.ToString().ToLowerInvariant()},id={action.Argument},dst={Address(action.Value)}{source})");
    }

    private static FlowAction Tunnel(string text)
    {
        TunnelKind kind = TunnelKind.None;
        uint id = 0;
        UInt128 source = 0, destination = 0;
        foreach (string piece in Pieces.Split(text))
        {
            (string name, string value) = Pieces.Pair(piece);
            UInt128 Address() => FieldText.One(name, value, value.Contains(':', StringComparison.Ordinal) ? FieldStyle.IPv6 : FieldStyle.IPv4, UInt128.MaxValue);
            switch (name)
            {
                case "type":
                    kind = (TunnelKind)(byte)FieldText.Parse(name, value, FieldStyle.Tunnel, 8).Value;
                    break;
                case "id":
                    id = (uint)FieldText.One(name, value, FieldStyle.Decimal, uint.MaxValue);
                    break;
                case "dst":
                    destination = Address();
                    break;
                case "src":
                    source = Address();
                    break;
                default:
                    throw new FlowTextException($"push_tunnel does not know '{name}': type, id, dst, src");
            }
        }

        return kind is > TunnelKind.None and <= TunnelKind.Gre && destination != 0
            ? FlowAction.PushTunnel(kind, id, destination, source)
            : throw new FlowTextException("push_tunnel needs type=vxlan, geneve or gre, and dst=ADDRESS");
    }
}
