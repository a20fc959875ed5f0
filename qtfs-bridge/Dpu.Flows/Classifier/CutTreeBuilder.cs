namespace Dpu.Flows.Classifier;

/// <summary>
/// Builds the trees of a set of rules. Greedy: at each node the window is taken that shrinks what a look-up is expected to
/// find behind it most for what it copies. Memory is bounded: once the budget is spent, what is left becomes leaves.
/// </summary>
internal sealed class CutTreeBuilder
{
    // A leaf of so few rules is not cut further.
    private const int LeafRules = 6;

    // Windows are judged by at most so many rules of a node.
    private const int Sample = 256;

    // Leaf entries for each rule before cutting ends; children of nodes, for each rule. Mostly 20 and 8 bytes each.
    private const int EntriesPerRule = 32;
    private const int ChildrenPerRule = 96;

    // A mask of so many bits in one of both main lanes counts as caring about it.
    private const int CaringBits = 12;

    // A window that gains less leaves the node whole.
    private const double LeastGain = 0.02;

    // How many bits of gain a doubling of copies costs.
    private const double CopyCost = 0.3;

    private readonly CutTreeRules _rules;
    private readonly CutLeafBuilder _leafBuilder;
    private readonly CancellationToken _cancellation;
    private readonly int[] _counts = new int[1 << CutTree.MaxWindow];
    private readonly int[,] _bitCounts = new int[32, 2];
    private List<ulong> _nodes = [];
    private List<uint> _leaves = [];
    private long _entryBudget;
    private long _childBudget;

    private CutTreeBuilder(CutTreeRules rules, CancellationToken cancellation)
    {
        _rules = rules;
        _leafBuilder = new CutLeafBuilder(rules);
        _cancellation = cancellation;
    }

    /// <summary>Builds; the trees with the highest rules come first. Rules are read, not changed, and must stay where they are.</summary>
    internal static CutTree[] Build(RuleStore store, IReadOnlyList<uint> ids, CancellationToken cancellation = default)
    {
        if (ids.Count == 0)
        {
            return [];
        }

        CutTreeBuilder builder = new(new CutTreeRules(store, ids), cancellation);
        return [.. builder.Part().Select(builder.BuildTree).OrderByDescending(tree => tree.MaxRank)];
    }

    // A tree for each combination of both main lanes that enough rules care about; the few others go with those that care for none.
    private IEnumerable<List<int>> Part()
    {
        int[] main = [.. _rules.Lanes.Where(lane => lane != CutTreeRules.PortLane).Take(2)];
        List<int>[] groups = [[], [], [], []];
        for (int rule = 0; rule < _rules.Count; rule++)
        {
            int group = 0;
            for (int i = 0; i < main.Length; i++)
            {
                group |= System.Numerics.BitOperations.PopCount(_rules.Masks[main[i]][rule]) >= CaringBits ? 1 << i : 0;
            }

            groups[group].Add(rule);
        }

        for (int group = 1; group < 4; group++)
        {
            if (groups[group].Count < Math.Max(16, _rules.Count / 64))
            {
                groups[0].AddRange(groups[group]);
                groups[group].Clear();
            }
        }

        return groups.Where(group => group.Count > 0);
    }

    private CutTree BuildTree(List<int> rules)
    {
        (_nodes, _leaves) = ([], []);
        _entryBudget = 4096 + ((long)EntriesPerRule * rules.Count);
        _childBudget = 4096 + ((long)ChildrenPerRule * rules.Count);
        rules.Sort((a, b) => _rules.Ranks[b].CompareTo(_rules.Ranks[a]));
        ulong root = BuildNode(rules, 0);
        return new CutTree(_nodes, _leaves, root, _rules.Ranks[rules[0]], rules.Count);
    }

    private ulong BuildNode(List<int> rules, int depth)
    {
        _cancellation.ThrowIfCancellationRequested();
        if (rules.Count <= LeafRules || depth > 24 || !TryChoose(rules, out int lane, out int shift, out int width))
        {
            return MakeLeaf(rules);
        }

        List<int>[] children = new List<int>[1 << width];
        for (int i = 0; i < children.Length; i++)
        {
            children[i] = [];
        }

        // In order of rank, so that each child's rules are too.
        foreach (int rule in rules)
        {
            _rules.Place(rule, lane, shift, width, children);
        }

        long placed = children.Sum(child => (long)child.Count);
        _entryBudget -= placed - rules.Count;
        _childBudget -= children.Length;
        uint position = (uint)_nodes.Count;
        _nodes.AddRange(new ulong[children.Length]);
        for (int i = 0; i < children.Length; i++)
        {
            // Neighbours with the same rules share what lies below.
            bool same = i > 0 && children[i].Count > 0 && children[i].Count == children[i - 1].Count && children[i].SequenceEqual(children[i - 1]);
            _nodes[(int)position + i] = same ? _nodes[(int)position + i - 1] : BuildNode(children[i], depth + 1);
            if (i > 0)
            {
                // Memory of what is compared no more.
                children[i - 1] = [];
            }
        }

        return CutTree.Node(position, lane, shift, width);
    }

    private ulong MakeLeaf(List<int> rules)
    {
        uint position = (uint)_leaves.Count;
        _leafBuilder.Append(_leaves, rules);
        return CutTree.Leaf(position, rules.Count);
    }

    private bool TryChoose(List<int> rules, out int lane, out int shift, out int width)
    {
        (lane, shift, width) = (0, 0, 0);
        if (_entryBudget <= 0 || _childBudget <= 0)
        {
            return false;
        }

        int step = Math.Max(1, rules.Count / Sample);
        int sampled = (rules.Count + step - 1) / step;
        int widest = Math.Min(CutTree.MaxWindow, 1 + System.Numerics.BitOperations.Log2((uint)rules.Count));
        double bestGain = LeastGain;
        foreach (int candidate in _rules.Lanes)
        {
            if (!CountBits(rules, candidate, step))
            {
                continue;
            }

            for (int wanted = 1; wanted <= widest; wanted++)
            {
                int at = BestShift(candidate, wanted, sampled);
                double gain = at < 0 ? 0 : Gain(rules, candidate, at, wanted, step, sampled);
                if (gain > bestGain)
                {
                    (bestGain, lane, shift, width) = (gain, candidate, at, wanted);
                }
            }
        }

        return width > 0;
    }

    // How many rules have a 0 or a 1 at each bit; false where none differ.
    private bool CountBits(List<int> rules, int lane, int step)
    {
        Array.Clear(_bitCounts);
        uint[] values = _rules.Values[lane], masks = _rules.Masks[lane];
        uint ones = 0, zeros = 0;
        for (int i = 0; i < rules.Count; i += step)
        {
            uint mask = masks[rules[i]], value = values[rules[i]];
            ones |= value & mask;
            zeros |= ~value & mask;
            while (mask != 0)
            {
                int bit = System.Numerics.BitOperations.TrailingZeroCount(mask);
                _bitCounts[bit, (value >> bit) & 1]++;
                mask &= mask - 1;
            }
        }

        return (ones | zeros) != 0;
    }

    // The window of that width whose bits part the rules best, each for itself; a window of ports stays within one of both.
    private int BestShift(int lane, int width, int sampled)
    {
        int best = -1;
        double bestScore = 0;
        for (int at = 0; at + width <= 32; at++)
        {
            if (lane == CutTreeRules.PortLane && at / 16 != (at + width - 1) / 16)
            {
                continue;
            }

            double score = 0;
            for (int bit = at; bit < at + width; bit++)
            {
                score += Math.Min(_bitCounts[bit, 0], _bitCounts[bit, 1]);
            }

            if (score > bestScore)
            {
                (best, bestScore) = (at, score);
            }
        }

        // What bits of rules without a value there cost shows in the gain.
        return bestScore * 64 >= sampled ? best : -1;
    }

    // Bits by which the rules behind a child are fewer, as a packet of a random rule sees it, less what copies cost.
    private double Gain(List<int> rules, int lane, int shift, int width, int step, int sampled)
    {
        Array.Clear(_counts, 0, 1 << width);
        for (int i = 0; i < rules.Count; i += step)
        {
            _rules.Count1(rules[i], lane, shift, width, _counts);
        }

        double total = 0, squares = 0;
        for (int i = 0; i < 1 << width; i++)
        {
            total += _counts[i];
            squares += (double)_counts[i] * _counts[i];
        }

        double copies = (total - sampled) * step;
        return copies > _entryBudget ? 0 : Math.Log2(sampled * total / squares) - (CopyCost * Math.Log2(total / sampled));
    }
}
