using System.Runtime.CompilerServices;

namespace Dpu.Flows.Classifier;

/// <summary>The trees of one compilation, those with the highest rules first. Immutable.</summary>
internal sealed unsafe class CutTreeSet(CutTree[] trees, int rules, TimeSpan buildTime)
{
    /// <summary>Keys that go down a tree side by side, so that their cache misses overlap.</summary>
    private const int Lanes = 8;

    internal static CutTreeSet Empty { get; } = new([], 0, TimeSpan.Zero);

    internal CutTree[] Trees { get; } = trees;

    internal int Rules { get; } = rules;

    internal TimeSpan BuildTime { get; } = buildTime;

    internal long Size => Trees.Sum(tree => tree.Size);

    /// <summary>For each key the best rule that is visible, matches and outranks what is there already.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void Find(RuleStore store, byte* keys, int count, uint version, ulong* best, uint* found)
    {
        byte** lines = store.Lines;
        MaskInfo** masks = store.MaskPointers;
        ulong* at = stackalloc ulong[Lanes];
        foreach (CutTree tree in Trees)
        {
            ulong* nodes = tree.Nodes;
            ulong maxRank = tree.MaxRank;
            for (int first = 0; first < count; first += Lanes)
            {
                int n = Math.Min(Lanes, count - first);
                byte* group = keys + ((nuint)first * Keys.FlowKey.Size);
                for (int i = 0; i < n; i++)
                {
                    at[i] = tree.Root;
                }

                bool going = !CutTree.IsLeaf(tree.Root);
                while (going)
                {
                    going = false;
                    for (int i = 0; i < n; i++)
                    {
                        ulong node = at[i];
                        if (!CutTree.IsLeaf(node))
                        {
                            node = CutTree.Step(nodes, node, (uint*)(group + ((nuint)i * Keys.FlowKey.Size)));
                            at[i] = node;
                            going |= !CutTree.IsLeaf(node);
                        }
                    }
                }

                for (int i = 0; i < n; i++)
                {
                    if (best[first + i] < maxRank)
                    {
                        uint id = tree.FindInLeaf(lines, masks, at[i], (ulong*)(group + ((nuint)i * Keys.FlowKey.Size)), version, ref best[first + i]);
                        found[first + i] = id != 0 ? id : found[first + i];
                    }
                }
            }

            GC.KeepAlive(tree);
        }
    }
}
