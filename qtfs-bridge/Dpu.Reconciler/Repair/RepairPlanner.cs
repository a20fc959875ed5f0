using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.Repair;

/// <summary>
/// Orders a repair so that no packet fares, at any moment, as it neither did before nor should: adds first, those of later
/// tables and higher priorities before others, then deletes, earlier tables and lower priorities before others. So a packet's
/// best flow is at every moment the one that it had, or the one that it should have. Pure.
/// </summary>
public static class RepairPlanner
{
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
            : new FullTablePlanner(diff, goingIn, going, left).Plan(room);
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
}
