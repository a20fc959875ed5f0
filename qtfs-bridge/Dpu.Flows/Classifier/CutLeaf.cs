using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Dpu.Flows.Classifier;

/// <summary>
/// How a leaf's rules lie in memory, best first. A few are their numbers alone. More come in blocks of eight, with bounds for two
/// fields of the key that the leaf has chosen: a vector instruction tells which of the eight a packet can match at all, and only
/// these are compared in full, so that a leaf of fifty rules costs a few cache lines and not one for each rule.
/// </summary>
internal static unsafe class CutLeaf
{
    /// <summary>Up to so many rules are compared at once.</summary>
    internal const int PlainRules = 2;

    /// <summary>Rules of a block.</summary>
    internal const int Block = 8;

    // In a block: what the fields are at least, how much they may be above that, and the rules' numbers.
    private const int Lows = 0, Spans = Block, OtherLows = 2 * Block, OtherSpans = 3 * Block, Ids = 4 * Block, BlockWords = 5 * Block;
    private const int HeaderWords = 2;

    /// <summary>A field: bits of a 32-bit lane of the key.</summary>
    internal readonly record struct Field(int Lane, int Shift, int Width)
    {
        internal uint Code => (uint)(Lane | (Shift << 8) | (Width << 16));

        internal uint All => (uint)((1ul << Width) - 1);
    }

    /// <summary>Appends a leaf that has no fields.</summary>
    internal static void AppendPlain(List<uint> memory, ReadOnlySpan<uint> ids) => memory.AddRange(ids);

    /// <summary>Appends a leaf's fields; blocks follow.</summary>
    internal static void AppendHeader(List<uint> memory, Field field, Field other) => memory.AddRange([field.Code, other.Code]);

    /// <summary>Appends up to eight rules, with bounds for both fields each.</summary>
    internal static void AppendBlock(List<uint> memory, ReadOnlySpan<uint> ids, ReadOnlySpan<(uint Low, uint Span)> bounds, ReadOnlySpan<(uint Low, uint Span)> others)
    {
        Span<uint> block = stackalloc uint[BlockWords];
        block.Clear();
        for (int i = 0; i < ids.Length; i++)
        {
            (block[Lows + i], block[Spans + i]) = bounds[i];
            (block[OtherLows + i], block[OtherSpans + i]) = others[i];
            block[Ids + i] = ids[i];
        }

        memory.AddRange(block);
    }

    /// <summary>The number of a leaf's rule.</summary>
    internal static uint IdAt(uint* leaf, int count, int index) =>
        count <= PlainRules ? leaf[index] : leaf[HeaderWords + (index / Block * BlockWords) + Ids + (index % Block)];

    /// <summary>Which of a leaf's first rules a packet can match, a bit each. Reads the leaf, and no rule.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint First(uint* leaf, int count, uint* lanes) =>
        count <= PlainRules ? (1u << count) - 1
        : Candidates(leaf + HeaderWords, count, Vector256.Create(ValueOf(leaf[0], lanes)), Vector256.Create(ValueOf(leaf[1], lanes)));

    /// <summary>The best rule that is visible, matches and outranks <paramref name="best"/>; 0 where there is none.</summary>
    /// <param name="leaf">The leaf.</param>
    /// <param name="count">Its rules.</param>
    /// <param name="first">What <see cref="First"/> said.</param>
    /// <param name="lines">Where rules are.</param>
    /// <param name="masks">Where masks are.</param>
    /// <param name="key">The packet.</param>
    /// <param name="version">The version that counts.</param>
    /// <param name="best">The rank of what was found elsewhere; becomes that of what is found.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Find(uint* leaf, int count, uint first, byte** lines, MaskInfo** masks, ulong* key, uint version, ref ulong best)
    {
        bool plain = count <= PlainRules;
        uint* ids = plain ? leaf : leaf + HeaderWords + Ids;
        uint candidates = first;
        uint found;
        while (true)
        {
            for (; candidates != 0; candidates &= candidates - 1)
            {
                if (Decides(ids[BitOperations.TrailingZeroCount(candidates)], lines, masks, key, version, ref best, out found))
                {
                    return found;
                }
            }

            if (plain || (count -= Block) <= 0)
            {
                return 0;
            }

            ids += BlockWords;
            candidates = Candidates(ids - Ids, count, Vector256.Create(ValueOf(leaf[0], (uint*)key)), Vector256.Create(ValueOf(leaf[1], (uint*)key)));
        }
    }

    // Unsigned, so that what is below the low bound is far above the span.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Candidates(uint* block, int left, Vector256<uint> value, Vector256<uint> other)
    {
        Vector256<uint> fits = Vector256.LessThanOrEqual(value - Vector256.Load(block + Lows), Vector256.Load(block + Spans))
            & Vector256.LessThanOrEqual(other - Vector256.Load(block + OtherLows), Vector256.Load(block + OtherSpans));
        return fits.ExtractMostSignificantBits() & (left < Block ? (1u << left) - 1 : ~0u);
    }

    // Whether nothing of the leaf after this rule can win: it does, or what was found elsewhere is better.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Decides(uint id, byte** lines, MaskInfo** masks, ulong* key, uint version, ref ulong best, out uint found)
    {
        var rule = (RuleRecord*)LineArena.At(lines, id);
        found = 0;
        if (rule->Rank <= best)
        {
            return true;
        }

        if (!RuleRecord.Matches(rule, MaskStore.At(masks, rule->Mask), key) || !RuleRecord.IsVisible(rule, version))
        {
            return false;
        }

        best = rule->Rank;
        found = id;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint ValueOf(uint field, uint* lanes) => (lanes[(byte)field] >> (byte)(field >> 8)) & (uint)((1ul << (int)(field >> 16)) - 1);
}
