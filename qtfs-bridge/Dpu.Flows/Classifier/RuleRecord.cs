using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// A rule in memory: this header of 24 bytes, the words of the match that its mask has, and a word of port ranges where the
/// mask says so. Most rules are one cache line.
/// </summary>
/// <remarks>
/// A rule is visible to a reader of version V if <see cref="Added"/> is 0 or not after V, and <see cref="Removed"/> is 0 or
/// after V. Versions are 32 bits and compared by difference; that they wrap does no harm, because the writer sets
/// <see cref="Added"/> to 0 as soon as no reader is older.
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = HeaderSize)]
internal unsafe struct RuleRecord
{
    internal const int HeaderSize = 24;

    /// <summary>Priority, then age: the higher wins; see <see cref="RankOf"/>.</summary>
    [FieldOffset(0)] internal ulong Rank;
    [FieldOffset(8)] internal uint Added;
    [FieldOffset(12)] internal uint Removed;
    [FieldOffset(16)] internal ushort Mask;

    /// <summary>The table that holds it (the writer's): a table's number, or <see cref="Compiled"/>.</summary>
    [FieldOffset(18)] internal ushort Home;

    /// <summary>What a look-up gives.</summary>
    [FieldOffset(20)] internal uint Value;

    internal const ushort Compiled = ushort.MaxValue;

    /// <summary>In <see cref="Home"/>: no reader sees it any more, but a tree names it.</summary>
    internal const ushort Dead = ushort.MaxValue - 1;

    private const int AgeBits = 46;

    /// <summary>The words of the match, <see cref="MaskInfo.Count"/> and one for ranges.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong* Words(RuleRecord* rule) => (ulong*)((byte*)rule + HeaderSize);

    /// <summary>Lines of 64 bytes that a rule of this mask takes.</summary>
    internal static int Lines(MaskInfo* mask) => (HeaderSize + ((mask->Count + mask->HasRange) * 8) + LineArena.LineSize - 1) / LineArena.LineSize;

    /// <summary>Higher priorities first; of one priority, what was added earlier. The age has 46 bits: two years at a million a second.</summary>
    internal static ulong RankOf(ushort priority, ulong sequence) => ((ulong)(priority + 1u) << AgeBits) | (~sequence & ((1ul << AgeBits) - 1));

    internal static ushort PriorityOf(ulong rank) => (ushort)((rank >> AgeBits) - 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsVisible(RuleRecord* rule, uint version)
    {
        ulong both = Volatile.Read(ref *(ulong*)&rule->Added);
        uint added = (uint)both, removed = (uint)(both >> 32);
        return (added == 0 || (int)(version - added) >= 0) && (removed == 0 || (int)(version - removed) < 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Matches(RuleRecord* rule, MaskInfo* mask, ulong* key)
    {
        ulong* words = Words(rule);
        ulong difference = 0;
        int count = mask->Count;
        for (int i = 0; i < count; i++)
        {
            difference |= (key[mask->Index[i]] & mask->Words[i]) ^ words[i];
        }

        return difference == 0 && (mask->HasRange == 0 || InRanges(words[count], (FlowKey*)key));
    }

    /// <summary>The ranges as a word: low and high of the source, low and high of the destination, from the lowest bits on.</summary>
    internal static ulong PackRanges(PortRange source, PortRange destination) =>
        source.Low | ((ulong)source.High << 16) | ((ulong)destination.Low << 32) | ((ulong)destination.High << 48);

    internal static (PortRange Source, PortRange Destination) UnpackRanges(ulong ranges) =>
        (new PortRange((ushort)ranges, (ushort)(ranges >> 16)), new PortRange((ushort)(ranges >> 32), (ushort)(ranges >> 48)));

    internal static bool InRanges(ulong ranges, FlowKey* key) =>
        (uint)(key->TpSrc - (ushort)ranges) <= (uint)((ushort)(ranges >> 16) - (ushort)ranges)
        && (uint)(key->TpDst - (ushort)(ranges >> 32)) <= (uint)((ushort)(ranges >> 48) - (ushort)(ranges >> 32));

    /// <summary>The match again.</summary>
    internal static FlowMatch MatchOf(RuleRecord* rule, MaskInfo* mask)
    {
        FlowMatch match = FlowMatch.Any;
        match.Mask = mask->ToMask();
        for (int i = 0; i < mask->Count; i++)
        {
            match.Key.SetWord(mask->Index[i], Words(rule)[i]);
        }

        if (mask->HasRange != 0)
        {
            (match.TpSrc, match.TpDst) = UnpackRanges(Words(rule)[mask->Count]);
        }

        return match;
    }
}
