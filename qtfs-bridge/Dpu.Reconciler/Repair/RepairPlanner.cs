using Dpu.Flows.Classifier;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.Repair;

/// <summary>
/// Orders a repair so that no packet fares, at any moment, as it neither did before nor should: adds first, those of later
/// tables and higher priorities before others, then deletes, earlier tables and lower priorities before others. So a packet's
/// best flow is at every moment the one that it had, or the one that it should have. Pure.
/// </summary>
public static class RepairPlanner
{
    // Pairs of flows that are compared for an overlap; beyond it each counts as one that overlaps.
    private const long MaxComparisons = 4_000_000;

    /// <summary>Plans.</summary>
    /// <param name="diff">What is wrong.</param>
    /// <param name="traits">What the target can do.</param>
    /// <param name="used">Flows that it has.</param>
    /// <param name="leave">Why a desired flow is left as it is; null where it is not, or for no such flows.</param>
    public static RepairPlan Plan(DiffResult diff, TargetTraits traits, int used, Func<int, string?>? leave = null)
    {
        ArgumentNullException.ThrowIfNull(diff);
        ArgumentNullException.ThrowIfNull(traits);
        List<RepairStep> adds = [], deletes = [];
        List<NotRepaired> left = [];
        foreach (Difference difference in diff.Differences)
        {
            if (ReasonToLeave(diff, difference, traits, leave) is { } reason)
            {
                left.Add(new NotRepaired(difference, reason));
                continue;
            }

            switch (difference.Category)
            {
                case DifferenceCategory.Missing or DifferenceCategory.NotOffloaded:
                    adds.Add(new RepairStep(RepairAction.Add, difference.Desired, -1, difference));
                    break;
                case DifferenceCategory.Stale or DifferenceCategory.Duplicate:
                    deletes.Add(new RepairStep(RepairAction.Delete, -1, difference.Actual, difference));
                    break;
                default:
                    bool sameKey = (difference.Divergence & (Divergence.Match | Divergence.Priority)) == 0;
                    if (traits.UniqueKeys && sameKey)
                    {
                        adds.Add(new RepairStep(RepairAction.Replace, difference.Desired, difference.Actual, difference));
                        break;
                    }

                    adds.Add(new RepairStep(RepairAction.Add, difference.Desired, -1, difference));
                    deletes.Add(new RepairStep(RepairAction.Delete, -1, difference.Actual, difference));
                    break;
            }
        }

        // A stable sort: differences come in an order of their own.
        RepairStep[] goingIn = [.. adds.OrderByDescending(s => diff.Desired[s.Desired].Table).ThenByDescending(s => diff.Desired[s.Desired].Priority)];
        RepairStep[] going = [.. deletes.OrderBy(s => diff.Actual[s.Actual].Table).ThenBy(s => diff.Actual[s.Actual].Priority)];
        long room = traits.Capacity is { } capacity ? Math.Max(0, capacity - (long)used) : long.MaxValue;
        return goingIn.Count(s => s.Action == RepairAction.Add) <= room
            ? new RepairPlan(diff, [.. goingIn, .. going], left)
            : InFullTable(diff, goingIn, going, room, left);
    }

    private static string? ReasonToLeave(DiffResult diff, Difference difference, TargetTraits traits, Func<int, string?>? leave) => difference.Category switch
    {
        DifferenceCategory.Foreign => "another owner's flow is never touched",
        DifferenceCategory.Missing when difference.Actual >= 0 => "a flow of another owner has its place",
        DifferenceCategory.NotOffloaded when difference.Actual >= 0 => "it is there; only its target can put it into hardware",
        _ when difference.Actual >= 0 && diff.Actual.HandleOf(difference.Actual) == 0 && !traits.UniqueKeys => "the target has no name for the flow",
        _ when difference.Desired >= 0 && difference.Category != DifferenceCategory.Duplicate => leave?.Invoke(difference.Desired),
        _ => null,
    };

    // What can go without harm goes first; then each flow that goes in is followed at once by what it takes the place of, which gives
    // room for the next. Where not even that is possible, one must go before its like is in: a gap.
    private static RepairPlan InFullTable(DiffResult diff, RepairStep[] goingIn, RepairStep[] going, long room, List<NotRepaired> left)
    {
        List<RepairStep> steps = [];
        Dictionary<Difference, RepairStep> old = going.Where(s => s.For.Desired >= 0 && s.For.Category != DifferenceCategory.Duplicate).ToDictionary(s => s.For);
        List<RepairStep> free = [.. going.Where(s => !old.ContainsKey(s.For))];
        room += Take(steps, free, IsTwin);
        long comparisons = 0;
        int at = 0;
        while (at < goingIn.Length)
        {
            RepairStep next = goingIn[at];
            if (next.Action == RepairAction.Replace)
            {
                steps.Add(next);
                at++;
                continue;
            }

            if (room > 0)
            {
                steps.Add(next);
                at++;
                room--;
                if (old.Remove(next.For, out RepairStep? replaced))
                {
                    steps.Add(replaced);
                    room++;
                }

                continue;
            }

            if (free.FindIndex(s => !OverlapsAny(diff, s.Actual, goingIn.AsSpan(at), ref comparisons)) is >= 0 and int harmless)
            {
                steps.Add(free[harmless]);
                free.RemoveAt(harmless);
                room++;
            }
            else if (old.Remove(next.For, out RepairStep? first))
            {
                steps.Add(first with { OpensGap = true });
                steps.Add(next with { OpensGap = true });
                at++;
            }
            else if (free.Count > 0)
            {
                steps.Add(free[0] with { OpensGap = true });
                free.RemoveAt(0);
                room++;
            }
            else
            {
                left.Add(new NotRepaired(next.For, "the table is full, and nothing in it may go"));
                at++;
            }
        }

        steps.AddRange(free);
        return new RepairPlan(diff, steps, left) { IsInterleaved = true };

        // A duplicate of a flow that is right, or that it equals, may go at any moment.
        bool IsTwin(RepairStep step) => step.For.Category == DifferenceCategory.Duplicate && step.For.Desired >= 0
            && diff.Desired.Actions.Find(diff.Actual.Actions, diff.Actual[step.Actual].Actions) == diff.Desired[step.For.Desired].Actions
            && !diff.Differences.Any(d => d.Category == DifferenceCategory.Divergent && d.Desired == step.For.Desired);
    }

    private static int Take(List<RepairStep> to, List<RepairStep> from, Func<RepairStep, bool> chosen)
    {
        RepairStep[] taken = [.. from.Where(chosen)];
        to.AddRange(taken);
        return taken.Length == 0 ? 0 : from.RemoveAll(taken.ToHashSet().Contains);
    }

    private static bool OverlapsAny(DiffResult diff, int actual, ReadOnlySpan<RepairStep> goingIn, ref long comparisons)
    {
        comparisons += goingIn.Length;
        if (comparisons > MaxComparisons)
        {
            return true;
        }

        FlowMatch match = diff.Actual.MatchOf(actual);
        byte table = diff.Actual[actual].Table;
        foreach (RepairStep step in goingIn)
        {
            if (diff.Desired[step.Desired].Table == table && Overlap(match, diff.Desired.MatchOf(step.Desired)))
            {
                return true;
            }
        }

        return false;
    }

    // Whether one packet may match both, as far as bits say it: ranges are taken to overlap.
    private static bool Overlap(in FlowMatch left, in FlowMatch right)
    {
        for (int i = 0; i < Dpu.Flows.Keys.FlowKey.Words; i++)
        {
            if (((left.Key.Word(i) ^ right.Key.Word(i)) & left.Mask.Bits.Word(i) & right.Mask.Bits.Word(i)) != 0)
            {
                return false;
            }
        }

        return true;
    }
}
