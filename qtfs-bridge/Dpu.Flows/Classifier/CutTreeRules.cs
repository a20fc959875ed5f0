using System.Numerics;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// Rules as a tree's builder sees them: 32-bit lanes of value and mask, and port ranges. Lanes that no rule has are left out.
/// </summary>
internal sealed unsafe class CutTreeRules
{
    /// <summary>The lane with both ports: source in the low half, destination in the high one.</summary>
    internal const int PortLane = 2;

    internal const int LaneCount = FlowKey.Size / 4;

    // Lanes beyond the ten with most bits would hardly ever be cut.
    private const int MaxLanes = 10;

    internal CutTreeRules(RuleStore store, IReadOnlyList<uint> ids)
    {
        Count = ids.Count;
        Ids = [.. ids];
        Ranks = new ulong[Count];
        Ranges = new ulong[Count];
        uint[][] values = new uint[LaneCount][], masks = new uint[LaneCount][];
        for (int lane = 0; lane < LaneCount; lane++)
        {
            (values[lane], masks[lane]) = (new uint[Count], new uint[Count]);
        }

        for (int i = 0; i < Count; i++)
        {
            RuleRecord* rule = store.At(Ids[i]);
            Ranks[i] = rule->Rank;
            MaskInfo* mask = store.MaskOf(Ids[i]);
            ulong* words = RuleRecord.Words(rule);
            for (int w = 0; w < mask->Count; w++)
            {
                int lane = mask->Index[w] * 2;
                (values[lane][i], values[lane + 1][i]) = ((uint)words[w], (uint)(words[w] >> 32));
                (masks[lane][i], masks[lane + 1][i]) = ((uint)mask->Words[w], (uint)(mask->Words[w] >> 32));
            }

            Ranges[i] = mask->HasRange != 0 ? words[mask->Count] : RuleRecord.PackRanges(PortRange.Any, PortRange.Any);
            AddRange(ref values[PortLane][i], ref masks[PortLane][i], Ranges[i]);
        }

        // Bits that are the same in all rules part nothing.
        Lanes = [.. Enumerable.Range(0, LaneCount)
            .Select(lane => (Lane: lane, Differing: Differing(values[lane], masks[lane])))
            .Select(item => (item.Lane, Bits: masks[item.Lane].Sum(m => (long)BitOperations.PopCount(m & item.Differing))))
            .Where(item => item.Bits > 0).OrderByDescending(item => item.Bits).Take(MaxLanes).Select(item => item.Lane)];
        Values = values;
        Masks = masks;
    }

    internal int Count { get; }

    internal uint[] Ids { get; }

    internal ulong[] Ranks { get; }

    /// <summary>Port ranges, packed as in a rule's record.</summary>
    internal ulong[] Ranges { get; }

    /// <summary>The lanes to cut, those with most bits first.</summary>
    internal int[] Lanes { get; }

    /// <summary>By lane, by rule; in the port lane a range stands as the bits that all its ports share.</summary>
    internal uint[][] Values { get; }

    internal uint[][] Masks { get; }

    /// <summary>Counts the rule in every child that it can match in.</summary>
    internal void Count1(int rule, int lane, int shift, int width, int[] counts)
    {
        uint all = (1u << width) - 1;
        if (TryRange(rule, lane, shift, width, out uint first, out uint last))
        {
            for (uint child = first; child <= last; child++)
            {
                counts[child]++;
            }

            return;
        }

        uint value = (Values[lane][rule] >> shift) & all;
        uint free = ~(Masks[lane][rule] >> shift) & all;
        for (uint subset = free; ; subset = (subset - 1) & free)
        {
            counts[value | subset]++;
            if (subset == 0)
            {
                return;
            }
        }
    }

    /// <summary>Puts the rule into every child that it can match in.</summary>
    internal void Place(int rule, int lane, int shift, int width, List<int>[] children)
    {
        uint all = (1u << width) - 1;
        if (TryRange(rule, lane, shift, width, out uint first, out uint last))
        {
            for (uint child = first; child <= last; child++)
            {
                children[child].Add(rule);
            }

            return;
        }

        uint value = (Values[lane][rule] >> shift) & all;
        uint free = ~(Masks[lane][rule] >> shift) & all;
        for (uint subset = free; ; subset = (subset - 1) & free)
        {
            children[value | subset].Add(rule);
            if (subset == 0)
            {
                return;
            }
        }
    }

    // A range of ports, seen through a window: neighbours if the bits above the window are the same at both ends, else all.
    private bool TryRange(int rule, int lane, int shift, int width, out uint first, out uint last)
    {
        first = 0;
        last = (1u << width) - 1;
        if (lane != PortLane)
        {
            return false;
        }

        uint range = (uint)(Ranges[rule] >> (shift < 16 ? 0 : 32));
        uint low = (ushort)range, high = range >> 16;
        if (low == 0 && high == ushort.MaxValue)
        {
            return false;
        }

        int within = shift & 15;
        if (low >> (within + width) == high >> (within + width))
        {
            first = (low >> within) & last;
            last &= high >> within;
        }

        return true;
    }

    private static uint Differing(uint[] values, uint[] masks)
    {
        uint ones = 0, zeros = 0;
        for (int i = 0; i < values.Length; i++)
        {
            ones |= values[i] & masks[i];
            zeros |= ~values[i] & masks[i];
        }

        return ones & zeros;
    }

    private static void AddRange(ref uint value, ref uint mask, ulong ranges)
    {
        for (int half = 0; half < 2; half++)
        {
            uint low = (ushort)(ranges >> (half * 32)), high = (ushort)(ranges >> ((half * 32) + 16));
            int differing = 32 - BitOperations.LeadingZeroCount(low ^ high);
            if (differing < 16)
            {
                uint shared = (ushort)(0xffff << differing);
                mask |= shared << (half * 16);
                value |= (low & shared) << (half * 16);
            }
        }
    }
}
