using System.Numerics;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// Which bits of a rule's mask a new table hashes: fewer than the rule has, so that rules of similar masks share a table
/// (TupleMerge, section 4.2). Addresses give up their last bits, ports count in whole or not at all; what all rules of a
/// kind have (EtherType, protocol, port, VLAN) stays.
/// </summary>
internal static class MaskRelaxation
{
    /// <summary>Relaxes a mask.</summary>
    /// <param name="mask">The rule's.</param>
    /// <param name="step">Address prefixes are cut to multiples of this: 8 for few tables, 4 for more and shorter chains, 1 for none.</param>
    internal static FlowMask Relax(in FlowMask mask, int step)
    {
        FlowMask relaxed = mask;
        Cut(ref relaxed.Bits.IpSrc, step);
        Cut(ref relaxed.Bits.IpDst, step);
        Cut(ref relaxed.Bits.TunSrc, step);
        Cut(ref relaxed.Bits.TunDst, step);
        if (step > 1)
        {
            // A port under a partial mask is a range that happened to be aligned.
            relaxed.Bits.TpSrc = relaxed.Bits.TpSrc == ushort.MaxValue ? ushort.MaxValue : (ushort)0;
            relaxed.Bits.TpDst = relaxed.Bits.TpDst == ushort.MaxValue ? ushort.MaxValue : (ushort)0;
            relaxed.Bits.TcpFlags = 0;
            relaxed.Bits.IpTos = 0;
            relaxed.Bits.IpTtl = 0;
        }

        return relaxed;
    }

    private static void Cut(ref Address128 address, int step)
    {
        address.Word0 = Cut(address.Word0, step);
        address.Word1 = Cut(address.Word1, step);
        address.Word2 = Cut(address.Word2, step);
        address.Word3 = Cut(address.Word3, step);
    }

    // Leading ones only: a mask with holes is hashed by its prefix.
    private static uint Cut(uint mask, int step)
    {
        if (step == 1)
        {
            return mask;
        }

        int length = BitOperations.LeadingZeroCount(~mask);
        length -= length % step;
        return length == 0 ? 0 : uint.MaxValue << (32 - length);
    }
}
