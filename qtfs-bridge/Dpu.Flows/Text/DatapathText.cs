using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Flows.Table;

namespace Dpu.Flows.Text;

/// <summary>
/// Lines of <c>ovs-appctl dpctl/dump-flows</c>, with and without <c>-m</c>, of any version: keys and attributes come in any
/// order, a mask of 0 is no match, host bits may be printed unmasked, <c>dp-extra-info</c> follows the actions. What cannot be
/// kept as it is (conntrack actions, GENEVE options) is an error with a reason, never left out. Pure.
/// </summary>
public sealed partial class DatapathText(Func<string, uint?>? portOf = null)
{
    // Keys that say nothing where their mask is 0, and cannot be kept where it is not.
    private static readonly string[] _onlyWild = ["skb_priority", "skb_mark", "dp_hash", "ct_label", "nsh"];

    /// <summary>Whether a line is of this kind, and not of OpenFlow's.</summary>
    public static bool Looks(string line)
    {
        ArgumentNullException.ThrowIfNull(line);
        return line.StartsWith("ufid:", StringComparison.Ordinal) || (line.Contains("eth_type(", StringComparison.Ordinal) && line.Contains("actions:", StringComparison.Ordinal))
            || (line.Contains("recirc_id(", StringComparison.Ordinal) && line.Contains("actions:", StringComparison.Ordinal));
    }

    /// <summary>Reads a line.</summary>
    /// <exception cref="FlowTextException">It is no flow, or one that cannot be kept as it is.</exception>
    public ParsedFlow Parse(string line)
    {
        ArgumentNullException.ThrowIfNull(line);
        FlowMatch match = FlowMatch.Any;
        IReadOnlyList<FlowAction>? actions = null;
        ulong packets = 0, bytes = 0;
        string? ufid = null, offloaded = null, dataPath = null;
        List<string> pieces = Pieces.Split(line);
        for (int i = 0; i < pieces.Count; i++)
        {
            (string name, string value) = Pieces.Pair(pieces[i]);
            switch (name)
            {
                case "ufid":
                    ufid = value;
                    break;
                case "packets":
                    packets = (ulong)FieldText.One(name, value, FieldStyle.Decimal, ulong.MaxValue);
                    break;
                case "bytes":
                    bytes = (ulong)FieldText.One(name, value, FieldStyle.Decimal, ulong.MaxValue);
                    break;
                case "offloaded":
                    offloaded = value;
                    break;
                case "dp":
                    dataPath = value;
                    break;
                case "used" or "flags" or "dp-extra-info" or "packet_type":
                    break;
                case "actions":
                    // All that follows, up to what is no action.
                    int end = pieces.FindIndex(i + 1, piece => piece.StartsWith("dp-extra-info:", StringComparison.Ordinal));
                    actions = Actions([value, .. pieces[(i + 1)..(end < 0 ? pieces.Count : end)]]);
                    i = end < 0 ? pieces.Count : end - 1;
                    break;
                default:
                    Key(ref match, name, value, 0);
                    break;
            }
        }

        return new ParsedFlow(
            new FlowDefinition { Match = match.Canonical(), Actions = actions ?? throw new FlowTextException("there is no actions:") }, packets, bytes, ufid, offloaded, dataPath);
    }

    /// <summary>Reads actions alone: what follows "actions:", without "dp-extra-info:".</summary>
    /// <exception cref="FlowTextException">One of them cannot be kept as it is.</exception>
    public IReadOnlyList<FlowAction> ParseActions(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Actions(Pieces.Split(text));
    }

    private void Key(ref FlowMatch match, string name, string value, int tags)
    {
        switch (name)
        {
            case "recirc_id" or "ct_mark":
                Add(ref match, name, value);
                break;
            case "ct_state" or "ct_zone":
                // "0/0" is nothing, "0x21/0x3f" bits, "+trk-new" words.
                Add(ref match, name, value);
                break;
            case "in_port":
                Add(ref match, name, Port(value));
                break;
            case "eth":
                Members(ref match, value, inner => inner switch { "src" => "eth_src", "dst" => "eth_dst", _ => null });
                break;
            case "eth_type":
                // A tag's type says that there is a tag, which "vlan" does too.
                if (!EtherTypes.IsVlan((ushort)FieldText.Parse(name, value, FieldStyle.Hex, 16).Value))
                {
                    Add(ref match, name, value);
                }

                break;
            case "vlan":
                Tag(ref match, value, tags);
                break;
            case "encap":
                foreach (string piece in Pieces.Split(value))
                {
                    (string inner, string what) = Pieces.Pair(piece);
                    Key(ref match, inner, what, tags + 1);
                }

                break;
            case "ipv4":
                Members(ref match, value, inner => inner switch { "src" => "nw_src", "dst" => "nw_dst", "proto" => "nw_proto", "tos" => "nw_tos", "ttl" => "nw_ttl", "frag" => "ip_frag", _ => null });
                break;
            case "ipv6":
                Members(ref match, value, inner => inner switch { "src" => "ipv6_src", "dst" => "ipv6_dst", "label" => "ipv6_label", "proto" => "nw_proto", "tclass" => "nw_tos", "hlimit" => "nw_ttl", "frag" => "ip_frag", _ => null });
                break;
            case "tcp" or "udp" or "sctp":
                Members(ref match, value, inner => inner switch { "src" => "tp_src", "dst" => "tp_dst", _ => null });
                break;
            case "icmp" or "icmpv6":
                Members(ref match, value, inner => inner switch { "type" => "icmp_type", "code" => "icmp_code", _ => null });
                break;
            case "arp":
                Members(ref match, value, inner => inner switch { "sip" => "arp_spa", "tip" => "arp_tpa", "op" => "arp_op", "sha" => "arp_sha", "tha" => "arp_tha", _ => null });
                break;
            case "tcp_flags":
                Add(ref match, name, value);
                break;
            case "mpls":
                Members(ref match, value, inner => inner switch { "label" => "mpls_label", "tc" => "mpls_tc", "bos" => "mpls_bos", "ttl" => null, _ => null });
                break;
            case "tunnel":
                Members(ref match, value, inner => inner switch { "tun_id" => "tun_id", "src" => "tun_src", "dst" => "tun_dst", "ipv6_src" => "tun_ipv6_src", "ipv6_dst" => "tun_ipv6_dst", "tos" => "tun_tos", "ttl" => "tun_ttl", _ => null });
                break;
            default:
                if (!_onlyWild.Contains(name) || !IsWild(value))
                {
                    throw new FlowTextException($"the key '{Pieces.Short(name)}({Pieces.Short(value)})' cannot be kept");
                }

                break;
        }
    }

    private static void Members(ref FlowMatch match, string value, Func<string, string?> nameOf)
    {
        foreach (string piece in Pieces.Split(value))
        {
            (string name, string what) = Pieces.Pair(piece);
            if (nameOf(name) is { } field)
            {
                Add(ref match, field, what);
            }
            else if (!IsWild(what) && !(name == "flags" && what.Length > 0))
            {
                throw new FlowTextException($"'{Pieces.Short(piece)}' cannot be kept");
            }
        }
    }

    private static void Add(ref FlowMatch match, string name, string value)
    {
        if (IsWild(value))
        {
            return;
        }

        if (!MatchText.TryAdd(ref match, name, value))
        {
            throw new FlowTextException($"'{name}' is no field that is known here");
        }
    }

    // vid, pcp and cfi of a tag that is there.
    private static void Tag(ref FlowMatch match, string value, int tags)
    {
        ushort tci = 0, mask = 0;
        foreach (string piece in Pieces.Split(value))
        {
            (string name, string what) = Pieces.Pair(piece);
            (int shift, int width) = name switch { "vid" => (0, 12), "cfi" => (12, 1), "pcp" => (13, 3), "tci" => (0, 16), _ => throw new FlowTextException($"'{name}' is no part of a tag") };
            (UInt128 bits, UInt128 which) = FieldText.Parse(name, what, FieldStyle.Hex, width);
            tci |= (ushort)((uint)bits << shift);
            mask |= (ushort)((uint)which << shift);
        }

        // What says something of a tag says that it is there, as cfi=1, the default, does.
        (tci, mask) = ((ushort)(tci | ((mask & FlowKey.VlanPresent) == 0 ? FlowKey.VlanPresent : 0)), (ushort)(mask | FlowKey.VlanPresent));
        FlowField field = tags switch { 0 => FlowField.VlanTci, 1 => FlowField.VlanTci2, _ => throw new FlowTextException("more than two tags cannot be kept") };
        FieldAccess.Set(ref match.Key, field, tci);
        FieldAccess.Set(ref match.Mask.Bits, field, mask);
    }

    // "0/0", "0x0/0x0", "10.0.0.1/0.0.0.0", "00:…/00:…": a mask of nothing.
    private static bool IsWild(string value)
    {
        int slash = value.LastIndexOf('/');
        return slash >= 0 && value[(slash + 1)..] is var mask && mask.Length > 0 && mask.All(c => c is '0' or '.' or ':' or 'x');
    }

    private string Port(string text) =>
        text.Length == 0 || char.IsAsciiDigit(text[0]) ? text
        : portOf?.Invoke(text)?.ToString(CultureInfo.InvariantCulture) ?? throw new FlowTextException($"the port '{text}' has a name whose number is not known: dump without -m and --names, or give its number");

    private List<FlowAction> Actions(IEnumerable<string> pieces)
    {
        List<FlowAction> actions = [];
        foreach (string piece in pieces)
        {
            (string name, string value) = Pieces.Pair(piece);
            switch (name)
            {
                case "drop":
                    break;
                case "pop_vlan":
                    actions.Add(FlowAction.PopVlan);
                    break;
                case "push_vlan":
                    actions.AddRange(PushTag(value));
                    break;
                case "meter":
                    actions.Add(FlowAction.Meter((uint)FieldText.One(name, value, FieldStyle.Decimal, uint.MaxValue)));
                    break;
                case "set":
                    actions.AddRange(SetFields(value));
                    break;
                default:
                    actions.Add(FlowAction.Output((uint)FieldText.One("output", value.Length > 0 ? throw new FlowTextException($"the action '{Pieces.Short(piece)}' cannot be kept") : Port(name), FieldStyle.Decimal, uint.MaxValue)));
                    break;
            }
        }

        return actions;
    }

    private static IEnumerable<FlowAction> PushTag(string value)
    {
        FlowMatch tag = FlowMatch.Any;
        Tag(ref tag, string.Join(',', Pieces.Split(value).Where(p => !p.StartsWith("tpid=", StringComparison.Ordinal))), 0);
        string type = Pieces.Split(value).Select(Pieces.Pair).FirstOrDefault(p => p.Name == "tpid").Value ?? "0x8100";
        return [FlowAction.PushVlan((ushort)FieldText.One("tpid", type, FieldStyle.Hex, 0xffff)), FlowAction.Set(FlowField.VlanTci, tag.Key.VlanTci)];
    }

    // set(ipv4(dst=…,ttl=64)): the fields as a match would have them, and their masks.
    private List<FlowAction> SetFields(string value)
    {
        FlowMatch fields = FlowMatch.Any;
        (string name, string inner) = Pieces.Pair(value);
        if (name is "tunnel" or "encap" or "in_port" or "vlan" or "eth_type")
        {
            throw new FlowTextException($"the action 'set({Pieces.Short(value)})' cannot be kept");
        }

        Key(ref fields, name, inner, 0);
        return [.. Enum.GetValues<FlowField>()
            .Where(field => field != FlowField.None && !IsPart(fields.Mask.Bits, field) && FieldAccess.Get(fields.Mask.Bits, field) != 0)
            .Select(field => FlowAction.Set(field, FieldAccess.Get(fields.Key, field), FieldAccess.Get(fields.Mask.Bits, field)))];
    }

    // Names of the same bits: of IPv6 addresses the whole, of IPv4 and all else the part that has a name of its own.
    private static bool IsPart(in FlowKey mask, FlowField field) => field switch
    {
        FlowField.VlanVid or FlowField.VlanPcp => true,
        FlowField.IpSrc => (mask.IpSrc.Word1 | mask.IpSrc.Word2 | mask.IpSrc.Word3) != 0,
        FlowField.IpDst => (mask.IpDst.Word1 | mask.IpDst.Word2 | mask.IpDst.Word3) != 0,
        FlowField.Ipv6Src => (mask.IpSrc.Word1 | mask.IpSrc.Word2 | mask.IpSrc.Word3) == 0,
        FlowField.Ipv6Dst => (mask.IpDst.Word1 | mask.IpDst.Word2 | mask.IpDst.Word3) == 0,
        FlowField.ArpSha or FlowField.ArpTha or FlowField.TunSrc or FlowField.TunDst or FlowField.TunIpv6Src or FlowField.TunIpv6Dst => true,
        _ => false,
    };
}
