using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>What the actions of a filter say besides what they do.</summary>
/// <param name="Cookie">The flow's cookie; 0 for none.</param>
/// <param name="Ufid">A cookie of 9 bytes or more that is not ours, as Open vSwitch's of 16; null for none.</param>
/// <param name="Counters">What the first action counted, which all packets pass.</param>
internal readonly record struct TcActionFacts(ulong Cookie, string? Ufid, TcCounters Counters);

/// <summary>
/// Actions of filters as actions of flows, and back (tc-actions(8)). A cookie is eight bytes, the first one the highest. A ninth says what
/// traffic control has no other place for: see <see cref="Tag"/>. Pure.
/// </summary>
internal static partial class TcActions
{
    /// <summary>The ninth byte of a cookie.</summary>
    internal enum Tag : byte
    {
        /// <summary>None.</summary>
        None,

        /// <summary>This copy is for watching.</summary>
        Mirror,

        /// <summary>It goes back to where it came from, whatever that is.</summary>
        InPort,

        /// <summary>The tunnel is GRE, which has no port that says it.</summary>
        Gre,
    }

    private const int CookieSize = 8;

    /// <summary>Reads a nest of actions.</summary>
    /// <param name="nest">TCA_FLOWER_ACT and its like.</param>
    /// <param name="match">What the filter matches.</param>
    /// <param name="portOf">The port of an interface's number; null where it has none.</param>
    /// <param name="actions">The actions.</param>
    /// <param name="facts">What else they say, also of those that cannot be kept.</param>
    /// <returns>Why they cannot be kept; null where they can.</returns>
    internal static string? Read(ReadOnlySpan<byte> nest, in FlowMatch match, Func<uint, uint?> portOf, out List<FlowAction> actions, out TcActionFacts facts)
    {
        (actions, facts) = ([], default);
        string? problem = null;
        bool ended = false, first = true;
        NetlinkAttributes attributes = new(nest);
        while (attributes.Next())
        {
            TcAction action = TcAction.Read(attributes.Value);
            facts = first ? facts with { Counters = action.Counters } : facts;
            first = false;
            Tag tag = Cookie(action.Cookie, ref facts);
            problem ??= ended ? "actions follow where packets never come" : Read(action, tag, match, portOf, actions, out ended);
        }

        if (attributes.IsBroken)
        {
            problem ??= "its actions are no netlink attributes";
        }
        else if (!ended)
        {
            // Past the last action a packet goes on as if there were no filter.
            actions.Add(new FlowAction(FlowActionKind.Normal));
        }

        return problem;
    }

    private static Tag Cookie(ReadOnlySpan<byte> bytes, ref TcActionFacts facts)
    {
        if (bytes.IsEmpty)
        {
            return Tag.None;
        }

        bool ours = bytes.Length <= CookieSize || (bytes.Length == CookieSize + 1 && (Tag)bytes[^1] is > Tag.None and <= Tag.Gre);
        if (!ours)
        {
            facts = facts with { Ufid = facts.Ufid ?? Ufid(bytes) };
            return Tag.None;
        }

        ulong cookie = 0;
        foreach (byte b in bytes[..Math.Min(bytes.Length, CookieSize)])
        {
            cookie = (cookie << 8) | b;
        }

        facts = facts with { Cookie = cookie };
        return bytes.Length > CookieSize ? (Tag)bytes[^1] : Tag.None;
    }

    // Open vSwitch keeps its name of a flow there, as four words in the machine's order, and prints it as a UUID (lib/uuid.h).
    private static string Ufid(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != 16)
        {
            return Convert.ToHexStringLower(bytes);
        }

        ReadOnlySpan<uint> words = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, uint>(bytes);
        return string.Create(CultureInfo.InvariantCulture, $"{words[0]:x8}-{words[1] >> 16:x4}-{words[1] & 0xffff:x4}-{words[2] >> 16:x4}-{words[2] & 0xffff:x4}{words[3]:x8}");
    }

    private static string? Read(in TcAction action, Tag tag, in FlowMatch match, Func<uint, uint?> portOf, List<FlowAction> to, out bool ended)
    {
        ended = false;
        switch (action.Kind)
        {
            case "gact":
                return ReadVerdict(action, to, out ended);
            case "mirred":
                return ReadMirred(action, tag, portOf, to, out ended);
            case "vlan":
                return ReadVlan(action, to);
            case "pedit":
                return action.TryOption(linux_tc_pedit.TCA_PEDIT_PARMS_EX, out tc_gact edit) && edit.action == linux_pkt_cls.TC_ACT_PIPE
                    ? PeditFields.Read(action.Option(linux_tc_pedit.TCA_PEDIT_PARMS_EX), action.Option(linux_tc_pedit.TCA_PEDIT_KEYS_EX), match, to)
                    : NotPiped(action.Kind);
            case "csum":
                // It makes right what was changed, and changes nothing of a right packet.
                return action.TryOption(linux_tc_csum.TCA_CSUM_PARMS, out tc_csum sum) && sum.action == linux_pkt_cls.TC_ACT_PIPE ? null : NotPiped(action.Kind);
            case "tunnel_key":
                return ReadTunnel(action, tag, to);
            case "ct":
                return $"it tracks connections, {action.DescribeTracking()}, which is not known here";
            default:
                return $"it has the action '{action.Kind}', which is not known here";
        }
    }

    private static string NotPiped(string kind) => $"its action {kind} ends a packet's way in a way that is not known here";

    private static string? ReadVerdict(in TcAction action, List<FlowAction> to, out bool ended)
    {
        ended = true;
        if (!action.TryOption(linux_tc_gact.TCA_GACT_PARMS, out tc_gact gact) || action.OptionBeyond(linux_tc_gact.TCA_GACT_PARMS, linux_tc_gact.TCA_GACT_TM, linux_tc_gact.TCA_GACT_PAD) != 0)
        {
            return "it has a verdict by chance, or none";
        }

        switch (gact.action)
        {
            case linux_pkt_cls.TC_ACT_SHOT or linux_pkt_cls.TC_ACT_STOLEN:
                return null;
            case linux_pkt_cls.TC_ACT_OK:
                to.Add(new FlowAction(FlowActionKind.Normal));
                return null;
            case linux_pkt_cls.TC_ACT_TRAP:
                to.Add(new FlowAction(FlowActionKind.Controller));
                return null;
            case linux_pkt_cls.TC_ACT_PIPE:
                ended = false;
                return null;
            case var go when (go & ~linux_pkt_cls.TC_ACT_EXT_VAL_MASK) == linux_pkt_cls.TC_ACT_GOTO_CHAIN && (go & linux_pkt_cls.TC_ACT_EXT_VAL_MASK) < FlowTable.MaxTables:
                to.Add(FlowAction.Goto((byte)(go & linux_pkt_cls.TC_ACT_EXT_VAL_MASK)));
                return null;
            default:
                return string.Create(CultureInfo.InvariantCulture, $"its verdict 0x{gact.action:x} is not known here");
        }
    }

    private static string? ReadMirred(in TcAction action, Tag tag, Func<uint, uint?> portOf, List<FlowAction> to, out bool ended)
    {
        ended = false;
        if (!action.TryOption(linux_tc_mirred.TCA_MIRRED_PARMS, out tc_mirred mirred) || action.OptionBeyond(linux_tc_mirred.TCA_MIRRED_PARMS, linux_tc_mirred.TCA_MIRRED_TM, linux_tc_mirred.TCA_MIRRED_PAD) != 0)
        {
            return "it sends packets in a way that is not known here";
        }

        ended = mirred.eaction == linux_tc_mirred.TCA_EGRESS_REDIR;
        if (ended ? mirred.action is not (linux_pkt_cls.TC_ACT_STOLEN or linux_pkt_cls.TC_ACT_SHOT) : mirred.eaction != linux_tc_mirred.TCA_EGRESS_MIRROR || mirred.action != linux_pkt_cls.TC_ACT_PIPE)
        {
            return mirred.eaction is linux_tc_mirred.TCA_INGRESS_REDIR or linux_tc_mirred.TCA_INGRESS_MIRROR ? "it sends packets into an interface as if they came in there" : NotPiped("mirred");
        }

        if (tag == Tag.InPort)
        {
            to.Add(new FlowAction(FlowActionKind.InPort));
            return null;
        }

        if (portOf(mirred.ifindex) is not { } port)
        {
            return string.Create(CultureInfo.InvariantCulture, $"it sends packets to interface {mirred.ifindex}, which has no port number");
        }

        to.Add(tag == Tag.Mirror ? FlowAction.Mirror(port) : FlowAction.Output(port));
        return null;
    }

    private static string? ReadVlan(in TcAction action, List<FlowAction> to)
    {
        if (!action.TryOption(linux_tc_vlan.TCA_VLAN_PARMS, out tc_vlan vlan) || vlan.action != linux_pkt_cls.TC_ACT_PIPE)
        {
            return NotPiped("vlan");
        }

        bool hasId = action.TryOption(linux_tc_vlan.TCA_VLAN_PUSH_VLAN_ID, out ushort id), hasPriority = action.TryOption(linux_tc_vlan.TCA_VLAN_PUSH_VLAN_PRIORITY, out byte priority);
        _ = action.TryOption(linux_tc_vlan.TCA_VLAN_PUSH_VLAN_PROTOCOL, out ushort type);
        switch (vlan.v_action)
        {
            case linux_tc_vlan.TCA_VLAN_ACT_POP:
                to.Add(FlowAction.PopVlan);
                return null;
            case linux_tc_vlan.TCA_VLAN_ACT_PUSH or linux_tc_vlan.TCA_VLAN_ACT_MODIFY:
                type = type == 0 ? Dpu.Flows.Packets.EtherTypes.ETH_P_8021Q : System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(type);
                if (vlan.v_action == linux_tc_vlan.TCA_VLAN_ACT_PUSH)
                {
                    to.Add(FlowAction.PushVlan(type));
                }
                else if (type != Dpu.Flows.Packets.EtherTypes.ETH_P_8021Q)
                {
                    return "it changes the type of a tag";
                }

                if (hasId)
                {
                    to.Add(FlowAction.Set(FlowField.VlanVid, id));
                }

                if (hasPriority)
                {
                    to.Add(FlowAction.Set(FlowField.VlanPcp, priority));
                }

                return null;
            default:
                return "it pushes or pops Ethernet headers";
        }
    }

    private static string? ReadTunnel(in TcAction action, Tag tag, List<FlowAction> to)
    {
        if (!action.TryOption(linux_tc_tunnel_key.TCA_TUNNEL_KEY_PARMS, out tc_tunnel_key tunnel) || tunnel.action != linux_pkt_cls.TC_ACT_PIPE)
        {
            return NotPiped("tunnel_key");
        }

        if (tunnel.t_action == linux_tc_tunnel_key.TCA_TUNNEL_KEY_ACT_RELEASE)
        {
            to.Add(new FlowAction(FlowActionKind.PopTunnel));
            return null;
        }

        if (action.OptionBeyond(
            linux_tc_tunnel_key.TCA_TUNNEL_KEY_PARMS, linux_tc_tunnel_key.TCA_TUNNEL_KEY_TM, linux_tc_tunnel_key.TCA_TUNNEL_KEY_PAD, linux_tc_tunnel_key.TCA_TUNNEL_KEY_NO_CSUM,
            linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_KEY_ID, linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_DST_PORT, linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV4_SRC,
            linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV4_DST, linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV6_SRC, linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV6_DST) is > 0 and int beyond)
        {
            return string.Create(CultureInfo.InvariantCulture, $"it puts packets into a tunnel with attribute {beyond} of tunnel_key, which cannot be kept");
        }

        UInt128 Number(ReadOnlySpan<byte> bytes)
        {
            UInt128 number = 0;
            foreach (byte b in bytes)
            {
                number = (number << 8) | b;
            }

            return number;
        }

        UInt128 port = Number(action.Option(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_DST_PORT));
        TunnelKind kind = tag == Tag.Gre && port == 0 ? TunnelKind.Gre : FlowerMatch.TunnelPorts.FirstOrDefault(t => t.Port == port).Kind;
        if (kind == TunnelKind.None)
        {
            return "it puts packets into a tunnel whose kind is not known: kept are VXLAN's port 4789 and GENEVE's 6081";
        }

        UInt128 source = Number(action.Option(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV4_SRC)) + Number(action.Option(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV6_SRC));
        UInt128 destination = Number(action.Option(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV4_DST)) + Number(action.Option(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV6_DST));
        to.Add(FlowAction.PushTunnel(kind, (uint)Number(action.Option(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_KEY_ID)), destination, source));
        return null;
    }
}
