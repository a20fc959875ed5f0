using System.Globalization;
using Dpu.Flows.Text;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Repair;

namespace Dpu.Reconciler.Reports;

/// <summary>
/// Reports for people: a line a difference, "+" for what goes in, "-" for what goes, "~" for what changes or is told, "#" for
/// flows of others; then a summary. The order is that of the differences, which depends on the flows alone.
/// </summary>
public static class TextReport
{
    /// <summary>Writes the differences and the summary.</summary>
    public static void Write(TextWriter to, PassReport report)
    {
        ArgumentNullException.ThrowIfNull(to);
        ArgumentNullException.ThrowIfNull(report);
        foreach (Difference difference in report.Found.Differences)
        {
            Line(to, report.Found, difference);
        }

        to.WriteLine(Summary(report.Found, report.Names));
        Repair(to, report);
    }

    /// <summary>One line of how many of what.</summary>
    public static string Summary(DiffResult diff, (string Desired, string Actual) names)
    {
        ArgumentNullException.ThrowIfNull(diff);
        string counts = string.Join(", ", Counts(diff).Where(c => c.Count > 0).Select(c => string.Create(CultureInfo.InvariantCulture, $"{c.Count} {c.Word}")));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{(diff.Problems == 0 ? "in step" : $"{diff.Problems} differences")}{(counts.Length == 0 ? "" : $": {counts}")}; {diff.InStep} flows agree; {names.Desired} has {diff.Desired.Count}, {names.Actual} has {diff.Actual.Count}");
    }

    /// <summary>How many of each category, as words.</summary>
    public static IEnumerable<(string Word, int Count)> Counts(DiffResult diff)
    {
        ArgumentNullException.ThrowIfNull(diff);
        return Enum.GetValues<DifferenceCategory>().Select(category => (Difference.WordOf(category), diff.CountOf(category)));
    }

    private static void Line(TextWriter to, DiffResult diff, Difference difference)
    {
        string sign = difference.Category switch
        {
            DifferenceCategory.Missing => "+",
            DifferenceCategory.Stale or DifferenceCategory.Duplicate => "-",
            DifferenceCategory.Foreign => "#",
            _ => "~",
        };
        if (difference.Category == DifferenceCategory.Foreign && diff.Actual.IsForeign(difference.Actual))
        {
            to.WriteLine($"{sign} {difference.Word}: {difference.Reason}");
            return;
        }

        bool ofActual = difference.Category is DifferenceCategory.Stale or DifferenceCategory.Duplicate or DifferenceCategory.Foreign;
        string flow = OpenFlowText.Format(ofActual ? diff.Actual.Definition(difference.Actual) : diff.Desired.Definition(difference.Desired));
        to.WriteLine($"{sign} {difference.Word}: {flow}{(difference.Reason.Length == 0 ? "" : $" ({difference.Reason})")}");
        if (difference.Category == DifferenceCategory.Divergent)
        {
            to.WriteLine($"    is: {OpenFlowText.Format(diff.Actual.Definition(difference.Actual))}");
        }
    }

    private static void Repair(TextWriter to, PassReport report)
    {
        string N(int count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count} {what}");
        if (report.Refused is { } refused)
        {
            to.WriteLine($"not repaired: {refused}");
        }
        else if (report.Applied && report.Rounds > 0)
        {
            RepairCounts counts = report.Counts;
            to.WriteLine($"repaired: {N(counts.Added, "added")}, {N(counts.Replaced, "replaced")}, {N(counts.Deleted, "deleted")}, {N(counts.Failed, "failed")}, in {N(report.Rounds, report.Rounds == 1 ? "round" : "rounds")}");
            to.WriteLine($"then: {Summary(report.Remaining, report.Names)}");
        }
        else if (!report.Applied && report.Plan.Steps.Count > 0)
        {
            to.WriteLine($"a repair has {N(report.Plan.Steps.Count, "steps")}{(report.Plan.Gaps > 0 ? $", and opens a hole for {N(report.Plan.Gaps, "flows")}, as the table is full" : "")}; nothing was changed: --apply does it");
        }

        foreach (IGrouping<string, NotRepaired> left in report.Plan.Left.Where(l => l.Difference.Category != DifferenceCategory.Foreign).GroupBy(l => l.Reason, StringComparer.Ordinal))
        {
            if (report.Plan.Steps.Count > 0 || report.Applied)
            {
                to.WriteLine($"{N(left.Count(), "differences")} not repaired: {left.Key}");
            }
        }
    }
}
