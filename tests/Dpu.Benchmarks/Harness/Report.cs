using System.Globalization;
using System.Text.Json;

namespace Dpu.Benchmarks.Harness;

/// <summary>Prints results: a table for people, or lines of JSON.</summary>
internal static class Report
{
    /// <summary>Prints; returns the exit code: 1 where something could not run or a bar was missed.</summary>
    public static int Print<T>(
        Results results,
        IReadOnlyList<Work<T>> works,
        IReadOnlyList<string> contenders,
        IReadOnlyList<Comparison> comparisons,
        bool json,
        TextWriter output,
        TextWriter error)
    {
        ComparisonResult[] measured = [.. Measured(results, works, comparisons)];
        if (json)
        {
            foreach (ComparisonResult result in measured)
            {
                output.WriteLine(ToJson(result));
            }
        }
        else
        {
            PrintTable(results, works, contenders, comparisons, measured, output);
        }

        return PrintFailures(results, measured, error);
    }

    /// <summary>Prints what could not run and which bars were missed; returns the exit code.</summary>
    public static int PrintFailures(Results results, IEnumerable<ComparisonResult> measured, TextWriter error)
    {
        // One line a contender and reason, however many works it spoils.
        bool failed = false;
        foreach (var group in results.Errors.GroupBy(e => (e.Contender, e.Message)))
        {
            failed = true;
            error.WriteLine($"ERROR {group.Key.Contender}: {group.Key.Message} ({string.Join(", ", group.Select(e => e.Work))})");
        }

        foreach (ComparisonResult missed in measured.Where(m => m.Met == false))
        {
            failed = true;
            error.WriteLine(missed.Ratio is { } ratio
                ? string.Create(CultureInfo.InvariantCulture, $"MISSED {missed.Work}: {missed.OursName} is {ratio:0.00} times {missed.PeerName}; the bar is {missed.Bar:0.00}")
                : string.Create(CultureInfo.InvariantCulture, $"MISSED {missed.Work}: {missed.OursName} has {missed.Ours:0.00} {missed.Unit}; the bar is {missed.Bar:0.00}"));
        }

        return failed ? 1 : 0;
    }

    /// <summary>The fixed shape of every benchmark's lines.</summary>
    public static string ToJson(ComparisonResult result)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
        {
            writer.WriteStartObject();
            writer.WriteString("work", $"{result.OursName}: {result.Work}");
            writer.WriteNumber("ours", Math.Round(result.Ours, 3));
            writer.WriteString("unit", result.Unit);
            WriteOptional(writer, "peer", result.Peer is { } peer ? Math.Round(peer, 3) : null);
            writer.WriteString("peerName", result.PeerName);
            writer.WriteString("better", result.Better == Better.Lower ? "lower" : "higher");
            WriteOptional(writer, "ratio", result.Ratio is { } ratio ? Math.Round(ratio, 4) : null);
            WriteOptional(writer, "bar", result.Bar);
            WriteOptional(writer, "goal", result.Goal);
            if (result.Met is { } met)
            {
                writer.WriteBoolean("met", met);
            }
            else
            {
                writer.WriteNull("met");
            }

            writer.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    public static IEnumerable<ComparisonResult> Measured<T>(Results results, IReadOnlyList<Work<T>> works, IReadOnlyList<Comparison> comparisons) =>
        from work in works
        from comparison in comparisons
        let ours = results.Value(work, comparison.Ours)
        let peer = results.Value(work, comparison.Peer)
        where ours is not null && peer is not null
        select new ComparisonResult(
            work.Name,
            comparison.Ours,
            ours.Value,
            work.Unit,
            peer.Value,
            comparison.Peer,
            work.Better,
            Lookup(comparison.Bar, work.Name),
            Lookup(comparison.Goal, work.Name));

    private static double? Lookup(IReadOnlyDictionary<string, double>? byWork, string work) =>
        byWork is not null && byWork.TryGetValue(work, out double value) ? value : null;

    private static void WriteOptional(Utf8JsonWriter writer, string name, double? value)
    {
        if (value is { } number)
        {
            writer.WriteNumber(name, number);
        }
        else
        {
            writer.WriteNull(name);
        }
    }

    private static void PrintTable<T>(
        Results results,
        IReadOnlyList<Work<T>> works,
        IReadOnlyList<string> contenders,
        IReadOnlyList<Comparison> comparisons,
        ComparisonResult[] measured,
        TextWriter output)
    {
        List<string[]> rows = [["work", "unit", .. contenders]];
        foreach (Work<T> work in works)
        {
            rows.Add([work.Name, work.Unit, .. contenders.Select(c => Cell(results, work, c))]);
        }

        PrintRows(rows, output);
        Comparison[] shown = [.. comparisons.Where(c => contenders.Contains(c.Ours) && contenders.Contains(c.Peer))];
        if (shown.Length == 0)
        {
            return;
        }

        output.WriteLine();
        output.WriteLine("ours / peer (for units of time below 1 is better, for MB/s above 1)");
        rows = [["work", "better", .. shown.Select(c => $"{c.Ours} / {c.Peer}")]];
        foreach (Work<T> work in works)
        {
            rows.Add([work.Name, work.Better == Better.Lower ? "lower" : "higher", .. shown.Select(c => Ratio(measured, work.Name, c))]);
        }

        PrintRows(rows, output);
    }

    private static string Ratio(ComparisonResult[] measured, string work, Comparison comparison)
    {
        ComparisonResult? found = Array.Find(measured, m => m.Work == work && m.OursName == comparison.Ours && m.PeerName == comparison.Peer);
        return found is null ? "-" : found.Ratio!.Value.ToString("0.00", CultureInfo.InvariantCulture) + (found.Met switch { true => " met", false => " MISSED", null => "" });
    }

    /// <summary>A value for people; empty where the work is not for the contender.</summary>
    public static string Cell<T>(Results results, Work<T> work, string contender) =>
        !work.IsFor(contender) ? ""
        : results.Unavailable.ContainsKey(contender) ? "not available"
        : results.Value(work, contender) is { } value ? Number(value) : "failed";

    /// <summary>Three digits or so.</summary>
    public static string Number(double value) =>
        value.ToString(value < 10 ? "0.00" : value < 1000 ? "0.0" : "0", CultureInfo.InvariantCulture);

    /// <summary>Prints rows in columns; the first two are names.</summary>
    public static void PrintRows(List<string[]> rows, TextWriter output)
    {
        int[] widths = [.. Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(r => r[column].Length))];
        foreach (string[] row in rows)
        {
            output.WriteLine(string.Join("  ", row.Select((cell, column) => column < 2 ? cell.PadRight(widths[column]) : cell.PadLeft(widths[column]))).TrimEnd());
        }
    }
}
