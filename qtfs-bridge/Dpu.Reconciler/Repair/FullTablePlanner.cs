using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Reconciler.Diff;

namespace Dpu.Reconciler.Repair;

/// <summary>
/// Orders a repair for which there is too little room. What can go without harm goes first and gives room for what goes in; a
/// flow goes without harm when no packet of it could fall to a flow that is not in yet, or to one that is to go too. Where
/// nothing can go so, one must go all the same: a gap. Used once.
/// </summary>
internal sealed class FullTablePlanner(DiffResult diff, RepairStep[] goingIn, RepairStep[] going, List<NotRepaired> left)
{
    // Pairs of flows that are compared for an overlap, some 20 ns each; beyond it each counts as one that overlaps.
    private const long MaxComparisons = 50_000_000;

    private readonly FlowMatch[] _in = [.. goingIn.Select(s => diff.Desired.MatchOf(s.Desired))];
    private readonly FlowMatch[] _out = [.. going.Select(s => diff.Actual.MatchOf(s.Actual))];
    private readonly bool[] _gone = new bool[going.Length];
    private readonly List<RepairStep> _steps = [];
    private readonly List<int> _free = []; // Of those that go: what waits for nothing to come in.
    private readonly Dictionary<Difference, int> _replaced = [];
    private long _comparisons;

    internal RepairPlan Plan(long room)
    {
        for (int i = 0; i < going.Length; i++)
        {
            if (going[i].For.Category is DifferenceCategory.Stale or DifferenceCategory.Duplicate)
            {
                _free.Add(i);
            }
            else
            {
                _replaced.Add(going[i].For, i);
            }
        }

        HashSet<int> divergent = [.. diff.Differences.Where(d => d.Category == DifferenceCategory.Divergent).Select(d => d.Desired)];
        foreach (int twin in _free.Where(i => IsTwin(going[i], divergent)).ToArray())
        {
            Take(twin, gap: false);
            room++;
        }

        for (int at = 0; at < goingIn.Length;)
        {
            RepairStep next = goingIn[at];
            if (next.Action == RepairAction.Replace || room > 0)
            {
                room -= next.Action == RepairAction.Replace ? 0 : 1;
                _steps.Add(next);
                at++;
                if (_replaced.Remove(next.For, out int replaced))
                {
                    _free.Add(replaced);
                }
            }
            else if (_free.FindIndex(i => IsHarmless(i, at)) is >= 0 and int found)
            {
                Take(_free[found], gap: false);
                room++;
            }
            else if (_free.Count > 0)
            {
                Take(_free[0], gap: true);
                room++;
            }
            else if (_replaced.Remove(next.For, out int old))
            {
                _gone[old] = true;
                _steps.Add(going[old] with { OpensGap = true });
                _steps.Add(next with { OpensGap = true });
                at++;
            }
            else
            {
                left.Add(new NotRepaired(next.For, "the table is full, and nothing in it may go"));
                at++;
            }
        }

        _steps.AddRange(_free.Order().Select(i => going[i]));
        return new RepairPlan(diff, _steps, left) { IsInterleaved = true };
    }

    private void Take(int index, bool gap)
    {
        _gone[index] = true;
        _free.Remove(index);
        _steps.Add(going[index] with { OpensGap = gap });
    }

    // A duplicate that does what the flow that stays does.
    private bool IsTwin(RepairStep step, HashSet<int> divergent) =>
        step.For.Category == DifferenceCategory.Duplicate && step.For.Desired >= 0 && !divergent.Contains(step.For.Desired)
        && diff.Desired.Actions.Find(diff.Actual.Actions, diff.Actual[step.Actual].Actions) == diff.Desired[step.For.Desired].Actions;

    private bool IsHarmless(int index, int at)
    {
        byte table = diff.Actual[going[index].Actual].Table;
        for (int i = at; i < goingIn.Length; i++)
        {
            if (diff.Desired[goingIn[i].Desired].Table == table && Overlap(_out[index], _in[i]))
            {
                return false;
            }
        }

        // They are in order: those of lower priority, and of the same, come before it.
        ushort priority = diff.Actual[going[index].Actual].Priority;
        for (int i = 0; i < going.Length; i++)
        {
            if (i != index && !_gone[i] && diff.Actual[going[i].Actual] is var other && other.Table == table && other.Priority <= priority && Overlap(_out[index], _out[i]))
            {
                return false;
            }
        }

        return true;
    }

    // Whether one packet may match both, as far as bits say it: ranges are taken to overlap.
    private bool Overlap(in FlowMatch one, in FlowMatch other)
    {
        if (++_comparisons > MaxComparisons)
        {
            return true;
        }

        for (int i = 0; i < FlowKey.Words; i++)
        {
            if (((one.Key.Word(i) ^ other.Key.Word(i)) & one.Mask.Bits.Word(i) & other.Mask.Bits.Word(i)) != 0)
            {
                return false;
            }
        }

        return true;
    }
}
