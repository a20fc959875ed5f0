using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Flows.Table;

namespace Dpu.Flows.Text;

/// <summary>Actions as data paths have them.</summary>
public sealed partial class DatapathText
{
    /// <summary>
    /// Writes actions as <c>dpctl/mod-flow</c> takes them; null where one of them has no form here, or would be read back as another one.
    /// </summary>
    /// <param name="actions">The actions.</param>
    /// <param name="match">The packets that they are for: a port is one of TCP, UDP or SCTP.</param>
    public static string? TryFormatActions(IReadOnlyList<FlowAction> actions, in FlowMatch match)
    {
        ArgumentNullException.ThrowIfNull(actions);
        List<string> pieces = [];
        for (int i = 0; i < actions.Count; i++)
        {
            FlowAction action = actions[i];
            FlowAction? next = i + 1 < actions.Count ? actions[i + 1] : null;
            switch (action.Kind)
            {
                case FlowActionKind.Output:
                    pieces.Add(action.Argument.ToString(CultureInfo.InvariantCulture));
                    break;
                case FlowActionKind.PopVlan:
                    pieces.Add("pop_vlan");
                    break;
                case FlowActionKind.Meter:
                    pieces.Add(string.Create(CultureInfo.InvariantCulture, $"meter({action.Argument})"));
                    break;
                case FlowActionKind.PushVlan when next is { Kind: FlowActionKind.SetField, Field: FlowField.VlanTci } tag && tag.Mask == ushort.MaxValue && ((ushort)tag.Value & FlowKey.VlanPresent) != 0:
                    ushort tci = (ushort)tag.Value;
                    pieces.Add(string.Create(CultureInfo.InvariantCulture, $"push_vlan(tpid=0x{action.Argument:x4},vid={tci & 0xfff},pcp={tci >> 13})"));
                    i++;
                    break;
                case FlowActionKind.SetField when action.Mask == FieldAccess.Full(action.Field) && SetText(action, match) is { } set:
                    pieces.Add(set);
                    break;
                default:
                    return null;
            }
        }

        return pieces.Count == 0 ? "drop" : string.Join(',', pieces);
    }

    private static string? SetText(FlowAction action, in FlowMatch match)
    {
        string? transport = match.Mask.Bits.IpProto != byte.MaxValue ? null : match.Key.IpProto switch
        {
            IpProtocols.IPPROTO_TCP => "tcp",
            IpProtocols.IPPROTO_UDP => "udp",
            IpProtocols.IPPROTO_SCTP => "sctp",
            _ => null,
        };
        string Value(FieldStyle style) => FieldText.Format(action.Value, action.Mask, style, FieldAccess.Width(action.Field));
        return action.Field switch
        {
            FlowField.EthSrc => $"set(eth(src={Value(FieldStyle.Ethernet)}))",
            FlowField.EthDst => $"set(eth(dst={Value(FieldStyle.Ethernet)}))",
            FlowField.IpSrc => $"set(ipv4(src={Value(FieldStyle.IPv4)}))",
            FlowField.IpDst => $"set(ipv4(dst={Value(FieldStyle.IPv4)}))",
            FlowField.IpTtl => $"set(ipv4(ttl={Value(FieldStyle.Decimal)}))",
            FlowField.IpTos => $"set(ipv4(tos={Value(FieldStyle.Hex)}))",
            FlowField.TpSrc when transport is not null => $"set({transport}(src={Value(FieldStyle.Decimal)}))",
            FlowField.TpDst when transport is not null => $"set({transport}(dst={Value(FieldStyle.Decimal)}))",
            _ => null,
        };
    }
}
