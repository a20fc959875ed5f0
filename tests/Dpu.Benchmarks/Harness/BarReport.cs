using System.Globalization;

namespace Dpu.Benchmarks.Harness;

/// <summary>Results beside their bars: lines of JSON, a table for people, or the same in Markdown.</summary>
internal static class BarReport
{
    private const string Begin = "<!-- begin: written by dpu-bench -->";
    private const string End = "<!-- end: written by dpu-bench -->";

    /// <summary>What is known of each bar that a chosen contender and work belong to; the result is null where nothing was measured.</summary>
    public static IReadOnlyList<(Bar Bar, ComparisonResult? Result)> Measure<T>(Results results, IReadOnlyList<Work<T>> works, IReadOnlyList<Bar> bars) =>
        [.. from bar in bars
            let work = works.FirstOrDefault(w => w.Name == bar.Work)
            where work is not null
            select (bar, Measure(results, work, bar))];

    /// <summary>Prints to <paramref name="output"/>, as JSON or as a table.</summary>
    public static void Print<T>(Results results, IReadOnlyList<Work<T>> works, IReadOnlyList<string> contenders, IReadOnlyList<(Bar Bar, ComparisonResult? Result)> measured, bool json, TextWriter output)
    {
        if (json)
        {
            foreach ((_, ComparisonResult? result) in measured)
            {
                if (result is not null)
                {
                    output.WriteLine(Report.ToJson(result));
                }
            }

            return;
        }

        Report.PrintRows([["work", "unit", "ours", "", "peer", "", "ratio", "bar", "goal", ""], .. measured.Select(m => Row(results, works, m))], output);
        output.WriteLine();
        Report.PrintRows(Values(results, works, contenders), output);
    }

    /// <summary>The same in Markdown.</summary>
    public static string ToMarkdown<T>(string caption, Results results, IReadOnlyList<Work<T>> works, IReadOnlyList<string> contenders, IReadOnlyList<(Bar Bar, ComparisonResult? Result)> measured)
    {
        StringWriter text = new() { NewLine = "\n" };
        text.WriteLine(Begin);
        text.WriteLine(caption);
        foreach (var group in measured.GroupBy(m => m.Bar.Group))
        {
            text.WriteLine();
            WriteTable([[group.Key, "unit", "ours", "", "peer", "", "ours / peer", "bar", "goal", "met"], .. group.Select(m => Row(results, works, m))], text);
        }

        text.WriteLine();
        text.WriteLine("Everything that was measured:");
        text.WriteLine();
        WriteTable(Values(results, works, contenders), text);
        text.WriteLine(End);
        return text.ToString();
    }

    /// <summary>Puts the text where an earlier run's is in the file, or at its end; makes the file where there is none.</summary>
    public static void WriteInto(string path, string markdown)
    {
        string old = File.Exists(path) ? File.ReadAllText(path) : "";
        int begin = old.IndexOf(Begin, StringComparison.Ordinal);
        int end = begin < 0 ? -1 : old.IndexOf(End, begin, StringComparison.Ordinal);
        File.WriteAllText(path, end < 0
            ? old + (old.Length == 0 ? "" : "\n") + markdown
            : old[..begin] + markdown.TrimEnd('\n') + old[(end + End.Length)..]);
    }

    private static ComparisonResult? Measure<T>(Results results, Work<T> work, Bar bar)
    {
        double? peer = bar.Peer is null ? null : results.Value(work, bar.Peer);
        return results.Value(work, bar.Ours) is not { } ours || (bar.Peer is not null && peer is null)
            ? null
            : new ComparisonResult(work.Name, bar.Ours, ours, work.Unit, peer, bar.Peer, work.Better, bar.Must, bar.Goal);
    }

    private static string[] Row<T>(Results results, IReadOnlyList<Work<T>> works, (Bar Bar, ComparisonResult? Result) measured)
    {
        (Bar bar, ComparisonResult? result) = measured;
        Work<T> work = works.First(w => w.Name == bar.Work);
        string sign = work.Better == Better.Lower ? "≤ " : "≥ ";
        return
        [
            bar.Work,
            work.Unit,
            bar.Ours,
            Report.Cell(results, work, bar.Ours),
            bar.Peer ?? "",
            bar.Peer is null ? "" : Report.Cell(results, work, bar.Peer),
            result?.Ratio is { } ratio ? ratio.ToString("0.00", CultureInfo.InvariantCulture) : "",
            sign + bar.Must.ToString("0.##", CultureInfo.InvariantCulture),
            bar.Goal is { } goal ? sign + goal.ToString("0.##", CultureInfo.InvariantCulture) : "",
            result switch
            {
                null => results.Unavailable.ContainsKey(bar.Ours) ? "not available" : "no",
                { GoalMet: true } => "yes, and the goal",
                { Met: true } => "yes",
                _ => "no",
            },
        ];
    }

    private static List<string[]> Values<T>(Results results, IReadOnlyList<Work<T>> works, IReadOnlyList<string> contenders) =>
        [["work", "unit", .. contenders], .. works.Select(w => (string[])[w.Name, w.Unit, .. contenders.Select(c => Report.Cell(results, w, c))])];

    private static void WriteTable(IReadOnlyList<string[]> rows, TextWriter text)
    {
        text.WriteLine("| " + string.Join(" | ", rows[0]) + " |");
        text.WriteLine("|" + string.Concat(Enumerable.Repeat("---|", rows[0].Length)));
        foreach (string[] row in rows.Skip(1))
        {
            text.WriteLine("| " + string.Join(" | ", row) + " |");
        }
    }
}
