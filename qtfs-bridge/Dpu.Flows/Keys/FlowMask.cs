using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Dpu.Flows.Keys;

/// <summary>Which bits of a <see cref="FlowKey"/> count: a bit that is 1 must be equal. The layout is the key's.</summary>
[StructLayout(LayoutKind.Sequential, Size = FlowKey.Size)]
[SuppressMessage("Design", "CA1051", Justification = "A struct of bits: its fields are its interface.")]
public struct FlowMask : IEquatable<FlowMask>
{
    /// <summary>The bits, each where the key has its own.</summary>
    public FlowKey Bits;

    /// <summary>Every bit counts.</summary>
    public static FlowMask Exact
    {
        get
        {
            FlowMask mask = default;
            for (int i = 0; i < FlowKey.Words; i++)
            {
                mask.Bits.SetWord(i, ulong.MaxValue);
            }

            return mask;
        }
    }

    /// <summary>One bit a word of the mask that is not 0.</summary>
    public readonly uint WordMap
    {
        get
        {
            uint map = 0;
            for (int i = 0; i < FlowKey.Words; i++)
            {
                map |= Bits.Word(i) == 0 ? 0 : 1u << i;
            }

            return map;
        }
    }

    /// <summary>Whether no bit counts.</summary>
    public readonly bool IsEmpty => WordMap == 0;

    /// <summary>How many bits count.</summary>
    public readonly int BitCount
    {
        get
        {
            int count = 0;
            for (int i = 0; i < FlowKey.Words; i++)
            {
                count += System.Numerics.BitOperations.PopCount(Bits.Word(i));
            }

            return count;
        }
    }

    /// <summary>The key without the bits that do not count.</summary>
    public readonly FlowKey Apply(in FlowKey key)
    {
        FlowKey masked = default;
        for (int i = 0; i < FlowKey.Words; i++)
        {
            masked.SetWord(i, key.Word(i) & Bits.Word(i));
        }

        return masked;
    }

    /// <summary>Whether both keys agree in every bit that counts.</summary>
    public readonly bool Matches(in FlowKey left, in FlowKey right)
    {
        ulong difference = 0;
        for (int i = 0; i < FlowKey.Words; i++)
        {
            difference |= (left.Word(i) ^ right.Word(i)) & Bits.Word(i);
        }

        return difference == 0;
    }

    /// <summary>Adds the bits of another mask.</summary>
    public void Add(in FlowMask other)
    {
        for (int i = 0; i < FlowKey.Words; i++)
        {
            Bits.SetWord(i, Bits.Word(i) | other.Bits.Word(i));
        }
    }

    /// <summary>Whether every bit of this mask is in the other too: rules with the other mask can live in a table with this one.</summary>
    public readonly bool IsSubsetOf(in FlowMask other)
    {
        ulong extra = 0;
        for (int i = 0; i < FlowKey.Words; i++)
        {
            extra |= Bits.Word(i) & ~other.Bits.Word(i);
        }

        return extra == 0;
    }

    /// <inheritdoc/>
    public readonly bool Equals(FlowMask other) => Bits.Equals(other.Bits);

    /// <inheritdoc/>
    public override readonly bool Equals(object? obj) => obj is FlowMask other && Equals(other);

    /// <inheritdoc/>
    public override readonly int GetHashCode() => Bits.GetHashCode();

    /// <summary>Same bits.</summary>
    public static bool operator ==(FlowMask left, FlowMask right) => left.Equals(right);

    /// <summary>Other bits.</summary>
    public static bool operator !=(FlowMask left, FlowMask right) => !left.Equals(right);
}
