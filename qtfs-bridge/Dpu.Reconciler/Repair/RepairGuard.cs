using System.Globalization;
using Dpu.Reconciler.Diff;

namespace Dpu.Reconciler.Repair;

/// <summary>Says when a repair is more likely to be a mistake. Pure.</summary>
public static class RepairGuard
{
    /// <summary>Why a plan is not carried out; null where nothing speaks against it.</summary>
    public static string? ReasonToRefuse(RepairPlan plan, ReconcilerOptions options)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(options);
        DiffResult diff = plan.Diff;
        if (plan.Gaps > 0 && !options.AllowGap)
        {
            return string.Create(CultureInfo.InvariantCulture, $"the table is full: {plan.Gaps} flows can only be replaced with a hole in forwarding; allow it with --allow-gap, or make room");
        }

        if (options.Force)
        {
            return null;
        }

        if (diff.Desired.Count == 0)
        {
            return "the desired side has no flow: the repair would delete everything; if that is meant, use --force";
        }

        // What is missing is added, which harms nobody.
        int changed = plan.Steps.Count(s => s.Actual >= 0);
        return changed > options.MaxDifferences && changed > options.MaxDifferenceShare * diff.Desired.Count
            ? string.Create(CultureInfo.InvariantCulture, $"{changed} flows would be changed or deleted, of {diff.Desired.Count} desired ones: are these the right two sides? If so, use --force")
            : null;
    }
}
