using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Tests.Support;

/// <summary>Random rules that overlap much, and packets that hit them: values of few bits, so that coincidences are common.</summary>
internal sealed class RuleSets(int seed)
{
    private readonly Random _random = new(seed);

    internal Random Random => _random;

    /// <summary>A match of a random kind: prefixes, ranges, exact, IPv6, tunnels, Ethernet, holes in masks.</summary>
    internal FlowMatch Match()
    {
        FlowMatch match = FlowMatch.Any;
        switch (_random.Next(12))
        {
            case 0:
                match.Mask = FlowMask.Exact;
                match.Key = Packet();
                return match;
            case 1:
                (match.Key.EthDst, match.Mask.Bits.EthDst) = ((ulong)_random.Next(4), 0xffffffffffff);
                (match.Key.VlanTci, match.Mask.Bits.VlanTci) = ((ushort)(0x1000 | _random.Next(4)), 0x1fff);
                return match;
            case 2:
                (match.Key.TunId, match.Mask.Bits.TunId) = ((ulong)_random.Next(4), ulong.MaxValue);
                (match.Key.IpDst, match.Mask.Bits.IpDst) = (Address(), Address128.Prefix(_random.Next(33)));
                return match;
            case 3:
                (match.Key.EthType, match.Mask.Bits.EthType) = (0x86dd, 0xffff);
                match.Mask.Bits.IpSrc = Address128.Prefix(_random.Next(129));
                match.Key.IpSrc = new Address128(Address().Word0, 0, 0, (uint)_random.Next(4));
                return match.Canonical();
            case 4:
                // Any bits at all.
                match.Mask.Bits.IpSrc.Word0 = (uint)_random.Next() & (uint)_random.Next();
                match.Key.IpSrc = Address();
                return match.Canonical();
            default:
                (match.Key.EthType, match.Mask.Bits.EthType) = (0x0800, 0xffff);
                (match.Key.IpSrc, match.Mask.Bits.IpSrc) = (Address(), Address128.Prefix(Length()));
                (match.Key.IpDst, match.Mask.Bits.IpDst) = (Address(), Address128.Prefix(Length()));
                if (_random.Next(4) > 0)
                {
                    (match.Key.IpProto, match.Mask.Bits.IpProto) = (Protocol(), 0xff);
                    match.TpSrc = Range();
                    match.TpDst = Range();
                }

                return match.Canonical();
        }
    }

    /// <summary>A packet from the same few values.</summary>
    internal FlowKey Packet() => new()
    {
        InPort = (uint)_random.Next(3),
        EthType = _random.Next(5) == 0 ? (ushort)0x86dd : (ushort)0x0800,
        IpProto = Protocol(),
        IpSrc = new Address128(Address().Word0, 0, 0, (uint)_random.Next(4)),
        IpDst = Address(),
        TpSrc = Port(),
        TpDst = Port(),
        EthDst = (ulong)_random.Next(4),
        VlanTci = _random.Next(3) == 0 ? (ushort)(0x1000 | _random.Next(4)) : (ushort)0,
        TunId = (ulong)_random.Next(4),
    };

    /// <summary>A packet that hits the match, other fields at random.</summary>
    internal FlowKey PacketOf(in FlowMatch match)
    {
        FlowKey key = Packet();
        for (int i = 0; i < FlowKey.Words; i++)
        {
            key.SetWord(i, (key.Word(i) & ~match.Mask.Bits.Word(i)) | match.Key.Word(i));
        }

        key.TpSrc = match.TpSrc.IsAny ? key.TpSrc : (ushort)_random.Next(match.TpSrc.Low, match.TpSrc.High + 1);
        key.TpDst = match.TpDst.IsAny ? key.TpDst : (ushort)_random.Next(match.TpDst.Low, match.TpDst.High + 1);
        return key;
    }

    private int Length() => _random.Next(4) switch { 0 => 0, 1 => 32, _ => _random.Next(33) };

    private Address128 Address() => new((uint)(_random.Next(3) << 30) | (uint)(_random.Next(3) << 16) | (uint)(_random.Next(4) << 8) | (uint)_random.Next(6));

    private byte Protocol() => _random.Next(2) == 0 ? (byte)6 : (byte)17;

    private ushort Port() => (ushort)(_random.Next(3) switch { 0 => _random.Next(4), 1 => 1020 + _random.Next(8), _ => _random.Next(65536) });

    private PortRange Range()
    {
        ushort a = Port(), b = Port();
        return _random.Next(4) switch
        {
            0 => PortRange.Any,
            1 => new PortRange(a, a),
            2 => new PortRange(1024, 65535),
            _ => new PortRange(Math.Min(a, b), Math.Max(a, b)),
        };
    }
}
