using System.Runtime.CompilerServices;
using System.Text;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Flows.Text;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Targets;

/// <summary>What came of a line that was tried the quick way.</summary>
internal enum LineResult
{
    /// <summary>This reader does not know all of it; nothing was added.</summary>
    Unknown,

    /// <summary>Its flow was added, under the number that it has now.</summary>
    Added,

    /// <summary>Its ufid came already.</summary>
    Repeated,
}

/// <summary>
/// Reads the lines of <c>dpctl/dump-flows</c>, with and without <c>-m</c>, that have nothing unusual (Ethernet, IPv4, TCP, UDP, SCTP, ICMP, no tags,
/// no tunnel) straight from their bytes, in any order of their parts. It gives up on all others, which <see cref="FlowTextReader"/> then
/// reads: what both read, they read alike. One thread at a time.
/// </summary>
/// <param name="into">Receives the flows.</param>
/// <param name="ufids">Those that came already.</param>
/// <param name="portOf">The number of a port's name; null where names are not known.</param>
/// <param name="named">Flows have hashes of their ufids as handles.</param>
internal sealed class DatapathLine(FlowSet into, UfidSet ufids, Func<string, uint?>? portOf = null, bool named = false)
{
    private const int MaxLists = 100_000;
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> _lists = new Dictionary<byte[], int>(new ByteComparer()).GetAlternateLookup<ReadOnlySpan<byte>>();
    private readonly DatapathText _text = new(portOf);
    private FlowMatch _match;
    private ulong _packets;
    private ulong _bytes;
    private OffloadState _offload;
    private bool _hasUfid;

    /// <summary>Whether a line is one of a data path's, by how it begins.</summary>
    internal static bool Looks(ReadOnlySpan<byte> line) => line.StartsWith("ufid:"u8) || line.StartsWith("recirc_id("u8);

    /// <summary>Adds the line's flow; its ufid, 0 where it has none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal LineResult TryAdd(ReadOnlySpan<byte> line, out UInt128 ufid)
    {
        _match = FlowMatch.Any;
        (_packets, _bytes, _offload, _hasUfid) = (0, 0, OffloadState.No, false);
        ufid = 0;
        while (!line.IsEmpty)
        {
            if (line[0] is (byte)',' or (byte)' ')
            {
                line = line[1..];
                continue;
            }

            int end = line.IndexOfAny((byte)'(', (byte)':', (byte)',');
            if (end <= 0 || line[end] == ',')
            {
                return LineResult.Unknown;
            }

            ReadOnlySpan<byte> name = line[..end];
            bool isKey = line[end] == '(';
            line = line[(end + 1)..];
            if (!isKey && name.SequenceEqual("actions"u8))
            {
                return TryFinish(line, ufid);
            }

            int length = isKey ? line.IndexOfAny((byte)')', (byte)'(', (byte)'{') : line.IndexOfAny((byte)',', (byte)' ', (byte)'(');
            if (length < 0 || line[length] is (byte)'(' or (byte)'{')
            {
                // Nested: tags and options of tunnels.
                return LineResult.Unknown;
            }

            ReadOnlySpan<byte> value = line[..length];
            line = line[(isKey ? length + 1 : length)..];
            if ((isKey && !line.IsEmpty && line[0] is not ((byte)',' or (byte)' ')) || value.Contains((byte)' ') || !(isKey ? TryKey(name, value) : TryAttribute(name, value, ref ufid)))
            {
                return LineResult.Unknown;
            }
        }

        return LineResult.Unknown;
    }

    private LineResult TryFinish(ReadOnlySpan<byte> rest, UInt128 ufid)
    {
        ReadOnlySpan<byte> actions = rest;
        int extra = rest.IndexOf("dp-extra-info:"u8);
        if (extra >= 0)
        {
            // Nothing but brackets may follow it.
            ReadOnlySpan<byte> tail = rest[extra..];
            int open = tail.IndexOf((byte)'(');
            if (tail.Contains((byte)' ') || (open >= 0 && (tail[^1] != ')' || tail[(open + 1)..^1].IndexOfAny((byte)'(', (byte)')') >= 0)) || tail[..(open < 0 ? tail.Length : open)].Contains((byte)','))
            {
                return LineResult.Unknown;
            }

            actions = rest[..extra];
        }

        actions = actions.TrimEnd(" ,"u8);
        if (!_lists.TryGetValue(actions, out int list))
        {
            if (actions.IsEmpty || !Ascii.IsValid(actions))
            {
                return LineResult.Unknown;
            }

            list = into.Actions.Of(_text.ParseActions(Encoding.ASCII.GetString(actions)));
            if (_lists.Dictionary.Count < MaxLists)
            {
                _lists[actions] = list;
            }
        }

        if (_hasUfid && !ufids.Add(ufid))
        {
            return LineResult.Repeated;
        }

        ulong name = _hasUfid ? RecordHash.OfUfid(ufid) : 0;
        OffloadState offload = _hasUfid || _offload != OffloadState.No ? _offload : OffloadState.Unknown;
        _ = into.Add(0, Dpu.Flows.Table.FlowDefinition.DefaultPriority, _match, name, list, 0, 0, new FlowFacts(named ? name : 0, _packets, _bytes, offload) { IsUfid = _hasUfid });
        return LineResult.Added;
    }

    private bool TryAttribute(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, ref UInt128 ufid)
    {
        switch (name.Length)
        {
            case 4 when name.SequenceEqual("ufid"u8):
                return _hasUfid = Ufid.TryParse(value, out ufid);
            case 7 when name.SequenceEqual("packets"u8):
                return LineValue.TryNumber(value, ulong.MaxValue, out _packets);
            case 5 when name.SequenceEqual("bytes"u8):
                return LineValue.TryNumber(value, ulong.MaxValue, out _bytes);
            case 9 when name.SequenceEqual("offloaded"u8):
                _offload = value.SequenceEqual("yes"u8) ? OffloadState.Yes : value.SequenceEqual("partial"u8) ? OffloadState.Partial : OffloadState.No;
                return true;
            default:
                return name.SequenceEqual("used"u8) || name.SequenceEqual("flags"u8) || name.SequenceEqual("dp"u8);
        }
    }

    // A field that comes twice is no plain line.
    private bool TryKey(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        switch (name.Length)
        {
            case 12 when name.SequenceEqual("skb_priority"u8):
            case 8 when name.SequenceEqual("skb_mark"u8) || name.SequenceEqual("ct_state"u8) || name.SequenceEqual("ct_label"u8):
            case 7 when name.SequenceEqual("ct_zone"u8) || name.SequenceEqual("ct_mark"u8) || name.SequenceEqual("dp_hash"u8):
            case 9 when name.SequenceEqual("tcp_flags"u8):
                return IsWild(value);
            case 11 when name.SequenceEqual("packet_type"u8):
                return true;
            case 9 when name.SequenceEqual("recirc_id"u8):
                return TryBits(value, ref _match.Key.RecircId, ref _match.Mask.Bits.RecircId);
            case 7 when name.SequenceEqual("in_port"u8):
                return TryBits(value, ref _match.Key.InPort, ref _match.Mask.Bits.InPort);
            case 8 when name.SequenceEqual("eth_type"u8):
                return TryBits(value, ref _match.Key.EthType, ref _match.Mask.Bits.EthType) && !EtherTypes.IsVlan(_match.Key.EthType);
            case 3 when name.SequenceEqual("eth"u8):
                return TryMembers(value, Group.Ethernet);
            case 4 when name.SequenceEqual("ipv4"u8):
                return TryMembers(value, Group.Ipv4);
            case 3 when name.SequenceEqual("tcp"u8) || name.SequenceEqual("udp"u8):
            case 4 when name.SequenceEqual("sctp"u8):
                return TryMembers(value, Group.Ports);
            case 4 when name.SequenceEqual("icmp"u8):
                return TryMembers(value, Group.Icmp);
            default:
                return false;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryMembers(ReadOnlySpan<byte> members, Group group)
    {
        while (!members.IsEmpty)
        {
            int end = members.IndexOf((byte)',');
            ReadOnlySpan<byte> member = end < 0 ? members : members[..end];
            members = end < 0 ? default : members[(end + 1)..];
            int equals = member.IndexOf((byte)'=');
            if (equals <= 0 || !TryMember(member[..equals], member[(equals + 1)..], group))
            {
                return false;
            }
        }

        return true;
    }

    private bool TryMember(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, Group group)
    {
        if (name.Length == 3 && group != Group.Icmp)
        {
            bool source = name.SequenceEqual("src"u8);
            if (source || name.SequenceEqual("dst"u8))
            {
                return group switch
                {
                    Group.Ethernet => TryEthernet(value, source),
                    Group.Ipv4 when source => LineValue.TryAddress(value, ref _match.Key.IpSrc.Word0, ref _match.Mask.Bits.IpSrc.Word0),
                    Group.Ipv4 => LineValue.TryAddress(value, ref _match.Key.IpDst.Word0, ref _match.Mask.Bits.IpDst.Word0),
                    _ => TryPort(value, source),
                };
            }
        }

        if (group == Group.Icmp)
        {
            bool type = name.SequenceEqual("type"u8);
            return (type || name.SequenceEqual("code"u8)) && TryPort(value, type);
        }

        switch (name.Length)
        {
            case 5 when group == Group.Ipv4 && name.SequenceEqual("proto"u8):
                return TryBits(value, ref _match.Key.IpProto, ref _match.Mask.Bits.IpProto);
            case 3 when group == Group.Ipv4 && name.SequenceEqual("tos"u8):
                return TryBits(value, ref _match.Key.IpTos, ref _match.Mask.Bits.IpTos);
            case 3 when group == Group.Ipv4 && name.SequenceEqual("ttl"u8):
                return TryBits(value, ref _match.Key.IpTtl, ref _match.Mask.Bits.IpTtl);
            case 4 when group == Group.Ipv4 && name.SequenceEqual("frag"u8):
                const byte Both = FlowKey.FragAny | FlowKey.FragLater;
                int bits = value.SequenceEqual("no"u8) ? 0 : value.SequenceEqual("first"u8) ? FlowKey.FragAny : value.SequenceEqual("later"u8) ? Both : -1;
                bool isFirst = _match.Mask.Bits.IpFrag == 0;
                (_match.Key.IpFrag, _match.Mask.Bits.IpFrag) = ((byte)Math.Max(0, bits), Both);
                return bits >= 0 && isFirst;
            default:
                return false;
        }
    }

    private bool TryEthernet(ReadOnlySpan<byte> value, bool source)
    {
        bool isAddress = LineValue.TryEthernet(value, out ulong address, out ulong mask);
        if (source)
        {
            isAddress &= _match.Mask.Bits.EthSrc == 0;
            (_match.Key.EthSrc, _match.Mask.Bits.EthSrc) = (address, mask);
        }
        else
        {
            isAddress &= _match.Mask.Bits.EthDst == 0;
            (_match.Key.EthDst, _match.Mask.Bits.EthDst) = (address, mask);
        }

        return isAddress;
    }

    private bool TryPort(ReadOnlySpan<byte> value, bool source) => source
        ? TryBits(value, ref _match.Key.TpSrc, ref _match.Mask.Bits.TpSrc)
        : TryBits(value, ref _match.Key.TpDst, ref _match.Mask.Bits.TpDst);

    private static bool TryBits(ReadOnlySpan<byte> value, ref byte key, ref byte bits)
    {
        bool fits = LineValue.TryMasked(value, byte.MaxValue, out ulong number, out ulong mask) && bits == 0;
        (key, bits) = ((byte)number, (byte)mask);
        return fits;
    }

    private static bool TryBits(ReadOnlySpan<byte> value, ref ushort key, ref ushort bits)
    {
        bool fits = LineValue.TryMasked(value, ushort.MaxValue, out ulong number, out ulong mask) && bits == 0;
        (key, bits) = ((ushort)number, (ushort)mask);
        return fits;
    }

    private static bool TryBits(ReadOnlySpan<byte> value, ref uint key, ref uint bits)
    {
        bool fits = LineValue.TryMasked(value, uint.MaxValue, out ulong number, out ulong mask) && bits == 0;
        (key, bits) = ((uint)number, (uint)mask);
        return fits;
    }

    // "0/0", "0x0/0x0", "+trk/0": a mask of nothing, as DatapathText has it.
    private static bool IsWild(ReadOnlySpan<byte> value)
    {
        int slash = value.LastIndexOf((byte)'/');
        return slash >= 0 && slash + 1 < value.Length && value[(slash + 1)..].IndexOfAnyExcept("0.:x"u8) < 0;
    }

    private enum Group
    {
        Ethernet,
        Ipv4,
        Ports,
        Icmp,
    }
}
