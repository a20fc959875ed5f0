using System.Numerics;

namespace Dpu.Flows.Classifier;

/// <summary>Chooses by which two fields a leaf's rules are told apart, and writes leaves.</summary>
internal sealed class CutLeafBuilder
{
    // Lanes whose parts are fields; those with most bits.
    private const int MaxLanes = 5;

    // Fields are judged by packets of at most so many of a leaf's rules, against so many of them.
    private const int MaxPackets = 8;
    private const int MaxJudged = 64;

    private readonly CutTreeRules _rules;
    private readonly CutLeaf.Field[] _fields;
    private readonly bool[] _passes = new bool[MaxPackets * MaxJudged];

    internal CutLeafBuilder(CutTreeRules rules)
    {
        _rules = rules;
        _fields = [.. rules.Lanes.Take(MaxLanes).SelectMany(Parts)];
    }

    /// <summary>Writes a leaf of rules, best first.</summary>
    internal void Append(List<uint> memory, List<int> rules)
    {
        uint[] ids = [.. rules.Select(rule => _rules.Ids[rule])];
        if (rules.Count <= CutLeaf.PlainRules)
        {
            CutLeaf.AppendPlain(memory, ids);
            return;
        }

        (CutLeaf.Field field, CutLeaf.Field other) = Choose(rules);
        CutLeaf.AppendHeader(memory, field, other);
        for (int i = 0; i < ids.Length; i += 8)
        {
            int[] block = [.. rules.Skip(i).Take(8)];
            CutLeaf.AppendBlock(
                memory, ids.AsSpan(i, block.Length), [.. block.Select(rule => Bounds(rule, field))], [.. block.Select(rule => Bounds(rule, other))]);
        }
    }

    private static IEnumerable<CutLeaf.Field> Parts(int lane)
    {
        (int Shift, int Width)[] parts = lane == CutTreeRules.PortLane
            ? [(0, 16), (16, 16)]
            : [(0, 32), (0, 16), (16, 16), (0, 8), (8, 8), (16, 8), (24, 8)];
        return parts.Select(part => new CutLeaf.Field(lane, part.Shift, part.Width));
    }

    // The first parts best for itself, the second best what the first leaves.
    private (CutLeaf.Field First, CutLeaf.Field Second) Choose(List<int> rules)
    {
        int judged = Math.Min(rules.Count, MaxJudged), packets = Math.Min(rules.Count, MaxPackets);
        Span<bool> passes = _passes.AsSpan(0, judged * packets);
        passes.Fill(true);
        Span<CutLeaf.Field> chosen = stackalloc CutLeaf.Field[2];
        for (int i = 0; i < 2; i++)
        {
            int least = int.MaxValue;
            foreach (CutLeaf.Field field in _fields)
            {
                int passing = Passing(rules, field, judged, packets, passes, keep: false, least);
                if (passing < least)
                {
                    (least, chosen[i]) = (passing, field);
                }
            }

            Passing(rules, chosen[i], judged, packets, passes, keep: true, int.MaxValue);
        }

        return (chosen[0], chosen[1]);
    }

    // How many pairs of a packet and a rule pass what was chosen and this field.
    private int Passing(List<int> rules, CutLeaf.Field field, int judged, int packets, Span<bool> passes, bool keep, int enough)
    {
        int passing = 0;
        for (int j = 0; j < judged && passing < enough; j++)
        {
            (uint low, uint span) = Bounds(rules[(int)((long)j * rules.Count / judged)], field);
            for (int p = 0; p < packets; p++)
            {
                ref bool passed = ref passes[(j * packets) + p];
                bool fits = passed && Bounds(rules[(int)((long)p * rules.Count / packets)], field).Low - low <= span;
                passing += fits ? 1 : 0;
                passed = keep ? fits : passed;
            }
        }

        return passing;
    }

    /// <summary>What a rule allows in a field: from a value on, so many more. It may allow less; never more.</summary>
    private (uint Low, uint Span) Bounds(int rule, CutLeaf.Field field)
    {
        if (field.Lane == CutTreeRules.PortLane)
        {
            uint range = (uint)(_rules.Ranges[rule] >> (field.Shift * 2));
            uint low = (ushort)range, high = range >> 16;
            if (high - low != ushort.MaxValue)
            {
                return (low, high - low);
            }
        }

        // The mask's leading ones; what it wants of lower bits is compared in full.
        uint mask = (_rules.Masks[field.Lane][rule] >> field.Shift) & field.All;
        int leading = BitOperations.LeadingZeroCount(~(mask << (32 - field.Width)));
        uint prefix = leading == 0 ? 0 : field.All & ~(uint)((1ul << (field.Width - Math.Min(leading, field.Width))) - 1);
        return ((_rules.Values[field.Lane][rule] >> field.Shift) & prefix, field.All & ~prefix);
    }
}
