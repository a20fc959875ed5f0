using System.Runtime.CompilerServices;
using System.Text;
using Dpu.Flows.Classifier;
using Dpu.Flows.Packets;
using Dpu.Flows.Text;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Targets;

/// <summary>
/// Reads the lines of <c>ovs-ofctl dump-flows</c> that have nothing unusual straight from their bytes, without garbage. It gives
/// up on all others (IPv6, ranges, masks of Ethernet addresses, and whatever it does not know), which
/// <see cref="FlowTextReader"/> then reads: what both read, they read alike. One thread at a time.
/// </summary>
internal sealed class OpenFlowLine(FlowSet into)
{
    private const int MaxLists = 100_000;
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> _lists = new Dictionary<byte[], int>(new ByteComparer()).GetAlternateLookup<ReadOnlySpan<byte>>();
    private FlowMatch _match;
    private ulong _cookie;
    private ulong _packets;
    private ulong _bytes;
    private byte _table;
    private ushort _priority;
    private ushort _idle;
    private ushort _hard;

    /// <summary>Adds the line's flow; false where this reader does not know all of it, and nothing was added.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal bool TryAdd(ReadOnlySpan<byte> line)
    {
        _match = FlowMatch.Any;
        (_cookie, _packets, _bytes, _table, _priority, _idle, _hard) = (0, 0, 0, 0, 32768, 0, 0);
        int at = 0;
        while (at < line.Length)
        {
            byte c = line[at];
            if (c is (byte)' ' or (byte)',')
            {
                at++;
                continue;
            }

            ReadOnlySpan<byte> rest = line[at..];
            int end = rest.IndexOfAny((byte)'=', (byte)',', (byte)' ');
            if (end < 0)
            {
                return false;
            }

            ReadOnlySpan<byte> name = rest[..end];
            if (rest[end] != '=')
            {
                if (!TryKeyword(name))
                {
                    return false;
                }

                at += end;
                continue;
            }

            if (name.SequenceEqual("actions"u8))
            {
                return TryFinish(rest[(end + 1)..]);
            }

            ReadOnlySpan<byte> value = rest[(end + 1)..];
            int length = value.IndexOfAny((byte)',', (byte)' ');
            if (length < 0 || !TryField(name, value[..length]))
            {
                return false;
            }

            at += end + 1 + length;
        }

        return false;
    }

    private bool TryFinish(ReadOnlySpan<byte> actions)
    {
        if (!_lists.TryGetValue(actions, out int list))
        {
            if (Ascii.IsValid(actions) is false)
            {
                return false;
            }

            list = into.Actions.Of(ActionText.Parse(Encoding.ASCII.GetString(actions)));
            if (_lists.Dictionary.Count < MaxLists)
            {
                _lists[actions] = list;
            }
        }

        _ = into.Add(_table, _priority, _match, _cookie, list, _idle, _hard, new FlowFacts(0, _packets, _bytes));
        return true;
    }

    private bool TryKeyword(ReadOnlySpan<byte> name)
    {
        (ushort type, int protocol) = name.Length switch
        {
            2 when name.SequenceEqual("ip"u8) => (EtherTypes.ETH_P_IP, -1),
            3 when name.SequenceEqual("tcp"u8) => (EtherTypes.ETH_P_IP, IpProtocols.IPPROTO_TCP),
            3 when name.SequenceEqual("udp"u8) => (EtherTypes.ETH_P_IP, IpProtocols.IPPROTO_UDP),
            3 when name.SequenceEqual("arp"u8) => (EtherTypes.ETH_P_ARP, -1),
            4 when name.SequenceEqual("icmp"u8) => (EtherTypes.ETH_P_IP, IpProtocols.IPPROTO_ICMP),
            _ => ((ushort)0, -1),
        };
        if (type == 0)
        {
            return false;
        }

        (_match.Key.EthType, _match.Mask.Bits.EthType) = (type, ushort.MaxValue);
        if (protocol >= 0)
        {
            (_match.Key.IpProto, _match.Mask.Bits.IpProto) = ((byte)protocol, byte.MaxValue);
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryField(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        ulong number;
        switch (name.Length)
        {
            case 5 when name.SequenceEqual("table"u8):
                return LineValue.TryNumber(value, 253, out number) && (_table = (byte)number) == number;
            case 6 when name.SequenceEqual("cookie"u8):
                return LineValue.TryNumber(value, ulong.MaxValue, out _cookie);
            case 6 when name.SequenceEqual("nw_src"u8):
                return LineValue.TryAddress(value, ref _match.Key.IpSrc.Word0, ref _match.Mask.Bits.IpSrc.Word0);
            case 6 when name.SequenceEqual("nw_dst"u8):
                return LineValue.TryAddress(value, ref _match.Key.IpDst.Word0, ref _match.Mask.Bits.IpDst.Word0);
            case 6 when name.SequenceEqual("tp_src"u8):
                return TryShort(value, ref _match.Key.TpSrc, ref _match.Mask.Bits.TpSrc);
            case 6 when name.SequenceEqual("tp_dst"u8):
                return TryShort(value, ref _match.Key.TpDst, ref _match.Mask.Bits.TpDst);
            case 6 when name.SequenceEqual("dl_src"u8):
                bool isSource = LineValue.TryEthernet(value, out number);
                (_match.Key.EthSrc, _match.Mask.Bits.EthSrc) = (number, 0xffffffffffff);
                return isSource;
            case 6 when name.SequenceEqual("dl_dst"u8):
                bool isDestination = LineValue.TryEthernet(value, out number);
                (_match.Key.EthDst, _match.Mask.Bits.EthDst) = (number, 0xffffffffffff);
                return isDestination;
            case 7 when name.SequenceEqual("in_port"u8):
                bool isPort = LineValue.TryNumber(value, uint.MaxValue, out number);
                (_match.Key.InPort, _match.Mask.Bits.InPort) = ((uint)number, uint.MaxValue);
                return isPort;
            case 7 when name.SequenceEqual("dl_type"u8):
                return TryShort(value, ref _match.Key.EthType, ref _match.Mask.Bits.EthType);
            case 7 when name.SequenceEqual("n_bytes"u8):
                return LineValue.TryNumber(value, ulong.MaxValue, out _bytes);
            case 8 when name.SequenceEqual("nw_proto"u8):
                bool isProtocol = LineValue.TryNumber(value, byte.MaxValue, out number);
                (_match.Key.IpProto, _match.Mask.Bits.IpProto) = ((byte)number, byte.MaxValue);
                return isProtocol;
            case 8 when name.SequenceEqual("priority"u8):
                return LineValue.TryNumber(value, ushort.MaxValue, out number) && (_priority = (ushort)number) == number;
            case 8 when name.SequenceEqual("duration"u8) || name.SequenceEqual("idle_age"u8) || name.SequenceEqual("hard_age"u8):
                return true;
            case 9 when name.SequenceEqual("n_packets"u8):
                return LineValue.TryNumber(value, ulong.MaxValue, out _packets);
            case 12 when name.SequenceEqual("idle_timeout"u8):
                return LineValue.TryNumber(value, ushort.MaxValue, out number) && (_idle = (ushort)number) == number;
            case 12 when name.SequenceEqual("hard_timeout"u8):
                return LineValue.TryNumber(value, ushort.MaxValue, out number) && (_hard = (ushort)number) == number;
            default:
                return false;
        }
    }

    private static bool TryShort(ReadOnlySpan<byte> value, ref ushort key, ref ushort mask)
    {
        bool isNumber = LineValue.TryNumber(value, ushort.MaxValue, out ulong number);
        (key, mask) = ((ushort)number, ushort.MaxValue);
        return isNumber;
    }
}
