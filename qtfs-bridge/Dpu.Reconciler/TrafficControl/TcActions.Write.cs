using System.Buffers.Binary;
using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

internal static partial class TcActions
{
    /// <summary>Writes a flow's actions as a nest.</summary>
    /// <param name="to">The message.</param>
    /// <param name="type">TCA_FLOWER_ACT.</param>
    /// <param name="flow">The flow.</param>
    /// <param name="indexOf">The interface's number of a port; null where there is none.</param>
    /// <param name="own">The interface's number that packets come in by; 0 where there are several.</param>
    /// <returns>Why traffic control cannot do that; null where it can.</returns>
    internal static string? Write(NetlinkWriter to, ushort type, FlowDefinition flow, Func<uint, uint?> indexOf, uint own)
    {
        Writer writer = new(to, flow, indexOf, own);
        int nest = to.BeginNest((ushort)(type | linux_rtnetlink.NLA_F_NESTED));
        string? problem = writer.Run();
        to.EndNest(nest);
        return problem;
    }

    private sealed class Writer(NetlinkWriter to, FlowDefinition flow, Func<uint, uint?> indexOf, uint own)
    {
        private readonly FlowAction[] _actions = [.. flow.Actions];
        private ushort _number;

        internal string? Run()
        {
            for (int i = 0; i < _actions.Length; i++)
            {
                bool last = i == _actions.Length - 1;
                switch (_actions[i].Kind)
                {
                    case FlowActionKind.Output or FlowActionKind.InPort or FlowActionKind.Mirror:
                        if (Send(_actions[i], last) is { } problem)
                        {
                            return problem;
                        }

                        break;
                    case FlowActionKind.SetField when _actions[i].Field is not (FlowField.VlanVid or FlowField.VlanPcp or FlowField.VlanTci):
                        int end = i;
                        while (end < _actions.Length && _actions[end].Kind == FlowActionKind.SetField && PeditFields.Has(_actions[end].Field, flow.Match))
                        {
                            end++;
                        }

                        if (end == i)
                        {
                            return $"traffic control cannot set the field {_actions[i].Field} of the packets that the flow matches";
                        }

                        Edit(_actions.AsSpan(i..end));
                        i = end - 1;
                        break;
                    case FlowActionKind.SetField or FlowActionKind.PushVlan:
                        i = Tags(i);
                        break;
                    case FlowActionKind.PopVlan:
                        Action("vlan", Tag.None, () => to.Attribute(linux_tc_vlan.TCA_VLAN_PARMS, new tc_vlan { action = linux_pkt_cls.TC_ACT_PIPE, v_action = linux_tc_vlan.TCA_VLAN_ACT_POP }));
                        break;
                    case FlowActionKind.PushTunnel:
                        Tunnel(_actions[i]);
                        break;
                    case FlowActionKind.PopTunnel:
                        Action("tunnel_key", Tag.None, () =>
                        {
                            to.Attribute(linux_tc_tunnel_key.TCA_TUNNEL_KEY_PARMS, new tc_tunnel_key { action = linux_pkt_cls.TC_ACT_PIPE, t_action = linux_tc_tunnel_key.TCA_TUNNEL_KEY_ACT_RELEASE });
                            to.Attribute(linux_tc_tunnel_key.TCA_TUNNEL_KEY_NO_CSUM, (byte)0);
                        });
                        break;
                    case FlowActionKind.Normal or FlowActionKind.Controller or FlowActionKind.Goto when last:
                        Verdict(_actions[i].Kind switch
                        {
                            FlowActionKind.Normal => linux_pkt_cls.TC_ACT_OK,
                            FlowActionKind.Controller => linux_pkt_cls.TC_ACT_TRAP,
                            _ => linux_pkt_cls.TC_ACT_GOTO_CHAIN | (int)_actions[i].Argument,
                        });
                        break;
                    default:
                        return $"traffic control has no action as {Dpu.Flows.Text.ActionText.Format([_actions[i]])}{(last ? "" : " before others")} here";
                }
            }

            // What is neither sent nor told where to go on is dropped.
            if (_actions.Length == 0 || _actions[^1].Kind is not (FlowActionKind.Output or FlowActionKind.InPort or FlowActionKind.Normal or FlowActionKind.Controller or FlowActionKind.Goto))
            {
                Verdict(linux_pkt_cls.TC_ACT_SHOT);
            }

            return _number <= linux_pkt_cls.TCA_ACT_MAX_PRIO ? null
                : string.Create(CultureInfo.InvariantCulture, $"it would have {_number} actions; traffic control takes {linux_pkt_cls.TCA_ACT_MAX_PRIO}");
        }

        private string? Send(FlowAction action, bool last)
        {
            bool back = action.Kind == FlowActionKind.InPort, copy = action.Kind == FlowActionKind.Mirror;
            uint? index = back ? (own == 0 ? null : own) : indexOf(action.Argument);
            if (index is not { } there)
            {
                return back ? "packets come in by several interfaces, and traffic control cannot send one back" : string.Create(CultureInfo.InvariantCulture, $"no interface is known for the port {action.Argument}");
            }

            bool ends = last && !copy;
            Action("mirred", back ? Tag.InPort : copy ? Tag.Mirror : Tag.None, () => to.Attribute(linux_tc_mirred.TCA_MIRRED_PARMS, new tc_mirred
            {
                action = ends ? linux_pkt_cls.TC_ACT_STOLEN : linux_pkt_cls.TC_ACT_PIPE,
                eaction = ends ? linux_tc_mirred.TCA_EGRESS_REDIR : linux_tc_mirred.TCA_EGRESS_MIRROR,
                ifindex = there,
            }));
            return null;
        }

        private void Edit(ReadOnlySpan<FlowAction> settings)
        {
            int action = Begin("pedit", Tag.None, out int options);
            uint checksums = PeditFields.Write(to, settings, flow.Match, new tc_gact { action = linux_pkt_cls.TC_ACT_PIPE });
            to.EndNest(options);
            to.EndNest(action);
            if (checksums != 0)
            {
                Action("csum", Tag.None, () => to.Attribute(linux_tc_csum.TCA_CSUM_PARMS, new tc_csum { action = linux_pkt_cls.TC_ACT_PIPE, update_flags = checksums }));
            }
        }

        // A pushed tag, or the one that is there, with the settings of it that follow.
        private int Tags(int at)
        {
            bool push = _actions[at].Kind == FlowActionKind.PushVlan;
            ushort type = push ? (ushort)_actions[at].Argument : (ushort)0;
            int next = push ? at + 1 : at;
            FlowKey value = default, bits = default;
            for (; next < _actions.Length && _actions[next].Kind == FlowActionKind.SetField && _actions[next].Field is FlowField.VlanVid or FlowField.VlanPcp or FlowField.VlanTci; next++)
            {
                FlowAction set = _actions[next];
                FieldAccess.Set(ref value, set.Field, (FieldAccess.Get(value, set.Field) & ~set.Mask) | (set.Value & set.Mask));
                FieldAccess.Set(ref bits, set.Field, FieldAccess.Get(bits, set.Field) | set.Mask);
            }

            Action("vlan", Tag.None, () =>
            {
                to.Attribute(linux_tc_vlan.TCA_VLAN_PARMS, new tc_vlan { action = linux_pkt_cls.TC_ACT_PIPE, v_action = push ? linux_tc_vlan.TCA_VLAN_ACT_PUSH : linux_tc_vlan.TCA_VLAN_ACT_MODIFY });
                to.Attribute(linux_tc_vlan.TCA_VLAN_PUSH_VLAN_ID, (ushort)(value.VlanTci & 0xfff));
                if (push)
                {
                    to.BigEndian(linux_tc_vlan.TCA_VLAN_PUSH_VLAN_PROTOCOL, type);
                }

                if ((bits.VlanTci & 0xe000) != 0)
                {
                    to.Attribute(linux_tc_vlan.TCA_VLAN_PUSH_VLAN_PRIORITY, (byte)(value.VlanTci >> 13));
                }
            });
            return next - 1;
        }

        private void Tunnel(FlowAction action)
        {
            Action("tunnel_key", action.Tunnel == TunnelKind.Gre ? Tag.Gre : Tag.None, () =>
            {
                to.Attribute(linux_tc_tunnel_key.TCA_TUNNEL_KEY_PARMS, new tc_tunnel_key { action = linux_pkt_cls.TC_ACT_PIPE, t_action = linux_tc_tunnel_key.TCA_TUNNEL_KEY_ACT_SET });
                if (action.Value <= uint.MaxValue)
                {
                    to.BigEndian(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV4_SRC, (uint)action.Mask);
                    to.BigEndian(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV4_DST, (uint)action.Value);
                }
                else
                {
                    to.BigEndian(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV6_SRC, action.Mask);
                    to.BigEndian(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_IPV6_DST, action.Value);
                }

                to.BigEndian(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_KEY_ID, action.Argument);
                if (FlowerMatch.TunnelPorts.FirstOrDefault(t => t.Kind == action.Tunnel).Port is > 0 and ushort port)
                {
                    to.BigEndian(linux_tc_tunnel_key.TCA_TUNNEL_KEY_ENC_DST_PORT, port);
                }

                to.Attribute(linux_tc_tunnel_key.TCA_TUNNEL_KEY_NO_CSUM, (byte)0);
            });
        }

        private void Verdict(int verdict) => Action("gact", Tag.None, () => to.Attribute(linux_tc_gact.TCA_GACT_PARMS, new tc_gact { action = verdict }));

        private void Action(string kind, Tag tag, Action options)
        {
            int action = Begin(kind, tag, out int nest);
            options();
            to.EndNest(nest);
            to.EndNest(action);
        }

        private int Begin(string kind, Tag tag, out int options)
        {
            int action = to.BeginNest(++_number);
            to.Text(linux_pkt_cls.TCA_ACT_KIND, kind);
            if (flow.Cookie != 0 || tag != Tag.None)
            {
                Span<byte> cookie = stackalloc byte[CookieSize + 1];
                BinaryPrimitives.WriteUInt64BigEndian(cookie, flow.Cookie);
                cookie[CookieSize] = (byte)tag;
                to.Attribute(linux_pkt_cls.TCA_ACT_COOKIE, cookie[..(tag == Tag.None ? CookieSize : CookieSize + 1)]);
            }

            options = to.BeginNest(linux_pkt_cls.TCA_ACT_OPTIONS | linux_rtnetlink.NLA_F_NESTED);
            return action;
        }
    }
}
