using System.Runtime.CompilerServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>The trees of one compilation, those with the highest rules first. Immutable.</summary>
internal sealed unsafe class CutTreeSet(CutTree[] trees, int rules, TimeSpan buildTime)
{
    /// <summary>Keys that go down a tree side by side, so that their cache misses overlap.</summary>
    private const int Lanes = 16;

    internal static CutTreeSet Empty { get; } = new([], 0, TimeSpan.Zero);

    internal CutTree[] Trees { get; } = trees;

    internal int Rules { get; } = rules;

    internal TimeSpan BuildTime { get; } = buildTime;

    internal long Size => Trees.Sum(tree => tree.Size);

    /// <summary>For each key the best rule that is visible, matches and outranks what is there already.</summary>
    internal void Find(RuleStore store, byte* keys, int count, uint version, ulong* best, uint* found)
    {
        byte** lines = store.Lines;
        MaskInfo** masks = store.MaskPointers;
        ulong* at = stackalloc ulong[Lanes];
        uint* first = stackalloc uint[Lanes];
        foreach (CutTree tree in Trees)
        {
            for (int begin = 0; begin < count; begin += Lanes)
            {
                // Each step for all keys before the next, and each a method of its own, so that it has the registers.
                int n = Math.Min(Lanes, count - begin);
                byte* group = keys + ((nuint)begin * FlowKey.Size);
                Descend(tree.Nodes, tree.Root, group, n, at);
                Filter(tree.Leaves, at, group, n, tree.MaxRank, best + begin, first);
                Compare(tree.Leaves, at, first, group, n, tree.MaxRank, lines, masks, version, best + begin, found + begin);
            }

            GC.KeepAlive(tree);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Descend(ulong* nodes, ulong root, byte* keys, int n, ulong* at)
    {
        if (CutTree.IsLeaf(root))
        {
            new Span<ulong>(at, n).Fill(root);
            return;
        }

        ulong going = 0;
        for (int i = 0; i < n; i++)
        {
            at[i] = CutTree.Step(nodes, root, (uint*)(keys + ((nuint)i * FlowKey.Size)));
        }

        do
        {
            going = 0;
            for (int i = 0; i < n; i++)
            {
                ulong node = at[i];
                if (!CutTree.IsLeaf(node))
                {
                    node = CutTree.Step(nodes, node, (uint*)(keys + ((nuint)i * FlowKey.Size)));
                    at[i] = node;
                    going |= (byte)(node >> 32);
                }
            }
        }
        while (going != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Filter(uint* leaves, ulong* at, byte* keys, int n, ulong maxRank, ulong* best, uint* first)
    {
        for (int i = 0; i < n; i++)
        {
            first[i] = best[i] < maxRank ? CutLeaf.First(leaves + CutTree.Base(at[i]), CutTree.LeafCount(at[i]), (uint*)(keys + ((nuint)i * FlowKey.Size))) : 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Compare(uint* leaves, ulong* at, uint* first, byte* keys, int n, ulong maxRank, byte** lines, MaskInfo** masks, uint version, ulong* best, uint* found)
    {
        for (int i = 0; i < n; i++)
        {
            int count = CutTree.LeafCount(at[i]);
            if (best[i] < maxRank && (first[i] != 0 || count > CutLeaf.Block))
            {
                uint id = CutLeaf.Find(leaves + CutTree.Base(at[i]), count, first[i], lines, masks, (ulong*)(keys + ((nuint)i * FlowKey.Size)), version, ref best[i]);
                found[i] = id != 0 ? id : found[i];
            }
        }
    }
}
