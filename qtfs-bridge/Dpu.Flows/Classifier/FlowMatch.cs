using System.Diagnostics.CodeAnalysis;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// What a rule matches: bits of the key, and port ranges, which stay ranges. A value: canonical after
/// <see cref="Canonical"/>, so that equal matches have equal bits.
/// </summary>
[SuppressMessage("Design", "CA1051", Justification = "A struct of bits: its fields are its interface.")]
public struct FlowMatch : IEquatable<FlowMatch>
{
    /// <summary>The values, under the mask.</summary>
    public FlowKey Key;

    /// <summary>Which bits count.</summary>
    public FlowMask Mask;

    /// <summary>Source ports, besides the bits.</summary>
    public PortRange TpSrc;

    /// <summary>Destination ports, besides the bits.</summary>
    public PortRange TpDst;

    /// <summary>Matches every packet.</summary>
    public static FlowMatch Any => new() { TpSrc = PortRange.Any, TpDst = PortRange.Any };

    /// <summary>Whether a range has to be compared.</summary>
    public readonly bool HasRange => !TpSrc.IsAny || !TpDst.IsAny;

    /// <summary>
    /// The same match in its one form: no bits outside of the mask, and a range that a mask can say is bits.
    /// </summary>
    public readonly FlowMatch Canonical()
    {
        FlowMatch match = this;
        if (TpSrc.TryToMask(out ushort value, out ushort mask) && match.Mask.Bits.TpSrc == 0)
        {
            (match.Key.TpSrc, match.Mask.Bits.TpSrc, match.TpSrc) = (value, mask, PortRange.Any);
        }

        if (TpDst.TryToMask(out value, out mask) && match.Mask.Bits.TpDst == 0)
        {
            (match.Key.TpDst, match.Mask.Bits.TpDst, match.TpDst) = (value, mask, PortRange.Any);
        }

        match.Key = match.Mask.Apply(match.Key);
        return match;
    }

    /// <summary>Whether a packet's key matches: the definition that every faster way is tested against.</summary>
    public readonly bool Matches(in FlowKey key) => Mask.Matches(key, Key) && TpSrc.Contains(key.TpSrc) && TpDst.Contains(key.TpDst);

    /// <summary>Whether every packet of another canonical match is one of this canonical match too, as far as bits and ranges say it.</summary>
    public readonly bool Contains(in FlowMatch other) =>
        Mask.IsSubsetOf(other.Mask)
        && Mask.Matches(Key, other.Key)
        && Contains(TpSrc, other.TpSrc, other.Key.TpSrc, other.Mask.Bits.TpSrc)
        && Contains(TpDst, other.TpDst, other.Key.TpDst, other.Mask.Bits.TpDst);

    private static bool Contains(PortRange range, PortRange other, ushort value, ushort mask)
    {
        // Bits of a port reach from all the free ones 0 to all of them 1.
        int low = Math.Max(other.Low, value & mask), high = Math.Min(other.High, value | (ushort)~mask);
        return range.Low <= low && high <= range.High;
    }

    /// <inheritdoc/>
    public readonly bool Equals(FlowMatch other) => Key == other.Key && Mask == other.Mask && TpSrc == other.TpSrc && TpDst == other.TpDst;

    /// <inheritdoc/>
    public override readonly bool Equals(object? obj) => obj is FlowMatch other && Equals(other);

    /// <inheritdoc/>
    public override readonly int GetHashCode() => HashCode.Combine(Key, Mask, TpSrc, TpDst);

    /// <summary>Same bits and ranges.</summary>
    public static bool operator ==(FlowMatch left, FlowMatch right) => left.Equals(right);

    /// <summary>Other bits or ranges.</summary>
    public static bool operator !=(FlowMatch left, FlowMatch right) => !left.Equals(right);
}
