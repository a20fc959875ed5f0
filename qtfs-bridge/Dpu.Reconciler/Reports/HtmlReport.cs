using System.Globalization;
using System.Net;
using System.Numerics;
using System.Text;
using Dpu.Flows.Text;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;

namespace Dpu.Reconciler.Reports;

/// <summary>What a pass found, as a point of a chart over time.</summary>
/// <param name="Time">When.</param>
/// <param name="Problems">Differences, without foreign flows.</param>
/// <param name="Remaining">Those that were left.</param>
public readonly record struct PassPoint(DateTimeOffset Time, int Problems, int Remaining);

/// <summary>A report as one HTML file that needs nothing else: no script, no network.</summary>
public static class HtmlReport
{
    /// <summary>Differences that are listed; the summary counts all.</summary>
    public const int MaxRows = 2000;

    private const int Width = 640;

    internal const string Style =
        "body{font:14px sans-serif;margin:2em;color:#222}h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}"
        + "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:2px 8px;text-align:left;vertical-align:top}"
        + "td.flow{font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere}svg text{font:12px sans-serif}.bad{color:#b00}.good{color:#070}";

    /// <summary>Writes the file.</summary>
    /// <param name="to">Where.</param>
    /// <param name="report">The last pass.</param>
    /// <param name="history">The passes so far, the last one included, for the chart over time.</param>
    public static void Write(TextWriter to, PassReport report, IReadOnlyList<PassPoint> history)
    {
        ArgumentNullException.ThrowIfNull(to);
        ArgumentNullException.ThrowIfNull(report);
        ArgumentNullException.ThrowIfNull(history);
        string title = $"{Text(report.Names.Actual)} against {Text(report.Names.Desired)}";
        to.Write($"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Flows: {title}</title><style>{Style}</style></head><body>\n");
        to.Write($"<h1>Flows: {title}</h1>\n<p class=\"{(report.InStep ? "good" : "bad")}\">{Text(TextReport.Summary(report.Remaining, report.Names))}</p>\n");
        to.Write(string.Create(CultureInfo.InvariantCulture, $"<p>{report.Time:yyyy-MM-dd HH:mm:ss} UTC, in {report.Duration.TotalSeconds:0.000} s.{(report.Refused is { } refused ? $" Not repaired: {Text(refused)}." : "")}</p>\n"));
        Bars(to, "Differences", [.. TextReport.Counts(report.Found)]);
        OverTime(to, "Differences over time", history);
        Occupancy(to, report);
        Heat(to, report.Found.Actual);
        Rows(to, report.Found);
        to.Write("</body></html>\n");
    }

    private static void Bars(TextWriter to, string title, IReadOnlyList<(string Name, int Value)> bars)
    {
        int most = Math.Max(1, bars.Count == 0 ? 0 : bars.Max(b => b.Value));
        to.Write($"<h2>{Text(title)}</h2>\n<svg width=\"{Width}\" height=\"{(bars.Count * 22) + 4}\" role=\"img\" aria-label=\"{Text(title)}\">\n");
        for (int i = 0; i < bars.Count; i++)
        {
            int length = (int)((Width - 260L) * bars[i].Value / most);
            to.Write(string.Create(
                CultureInfo.InvariantCulture,
                $"<text x=\"0\" y=\"{(i * 22) + 16}\">{Text(bars[i].Name)}</text><rect x=\"170\" y=\"{(i * 22) + 3}\" width=\"{Math.Max(length, bars[i].Value > 0 ? 1 : 0)}\" height=\"16\" fill=\"#47a\"/><text x=\"{176 + length}\" y=\"{(i * 22) + 16}\">{bars[i].Value}</text>\n"));
        }

        to.Write("</svg>\n");
    }

    internal static void OverTime(TextWriter to, string title, IReadOnlyList<PassPoint> history)
    {
        int most = Math.Max(1, history.Count == 0 ? 0 : history.Max(p => Math.Max(p.Problems, p.Remaining)));
        string Line(Func<PassPoint, int> value)
        {
            StringBuilder points = new();
            for (int i = 0; i < history.Count; i++)
            {
                double x = 50 + ((Width - 60.0) * (history.Count == 1 ? 0 : i / (history.Count - 1.0)));
                double y = 130 - (110.0 * value(history[i]) / most);
                points.Append(string.Create(CultureInfo.InvariantCulture, $"{(i == 0 ? "" : " ")}{x:0.#},{y:0.#}"));
                if (history.Count == 1)
                {
                    points.Append(string.Create(CultureInfo.InvariantCulture, $" {x + 3:0.#},{y:0.#}"));
                }
            }

            return points.ToString();
        }

        to.Write($"<h2>{Text(title)}</h2>\n<svg width=\"{Width}\" height=\"160\" role=\"img\" aria-label=\"{Text(title)}\">");
        to.Write("<line x1=\"50\" y1=\"130\" x2=\"630\" y2=\"130\" stroke=\"#888\"/><line x1=\"50\" y1=\"20\" x2=\"50\" y2=\"130\" stroke=\"#888\"/>");
        to.Write(string.Create(CultureInfo.InvariantCulture, $"<text x=\"0\" y=\"24\">{most}</text><text x=\"0\" y=\"134\">0</text>"));
        to.Write($"<polyline fill=\"none\" stroke=\"#b00\" stroke-width=\"2\" points=\"{Line(p => p.Problems)}\"/><polyline fill=\"none\" stroke=\"#070\" stroke-width=\"2\" points=\"{Line(p => p.Remaining)}\"/>");
        string span = history.Count == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{history[0].Time:yyyy-MM-dd HH:mm:ss} to {history[^1].Time:yyyy-MM-dd HH:mm:ss} UTC, {history.Count} passes: found (red), left (green)");
        to.Write($"<text x=\"50\" y=\"152\">{span}</text></svg>\n");
    }

    private static void Occupancy(TextWriter to, PassReport report)
    {
        FlowSet actual = report.Found.Actual;
        SortedDictionary<byte, int> tables = [];
        for (int i = 0; i < actual.Count; i++)
        {
            byte table = actual[i].Table;
            tables[table] = tables.GetValueOrDefault(table) + 1;
        }

        string full = report.Capacity is { } capacity ? string.Create(CultureInfo.InvariantCulture, $" ({actual.Count} of {capacity}: {100.0 * actual.Count / Math.Max(1, capacity):0.#} %)") : "";
        Bars(to, $"Flows by table{full}", [.. tables.Select(t => (string.Create(CultureInfo.InvariantCulture, $"table {t.Key}"), t.Value))]);
    }

    private static void Heat(TextWriter to, FlowSet actual)
    {
        int[] buckets = new int[22];
        for (int i = 0; i < actual.Count; i++)
        {
            // No packet, then powers of ten by their digits.
            ulong packets = actual[i].Packets;
            buckets[packets == 0 ? 0 : 1 + (int)BigInteger.Log10(packets)]++;
        }

        int end = Array.FindLastIndex(buckets, b => b > 0) + 1;
        Bars(to, "Flows by packets", [.. Enumerable.Range(0, end).Select(i => (i == 0 ? "none" : string.Create(CultureInfo.InvariantCulture, $"10^{i - 1} and more"), buckets[i]))]);
    }

    private static void Rows(TextWriter to, DiffResult diff)
    {
        to.Write("<h2>Flows</h2>\n<table><tr><th>difference</th><th>should be</th><th>is</th><th>packets</th><th>reason</th></tr>\n");
        foreach (Difference difference in diff.Differences.Take(MaxRows))
        {
            string Cell(FlowSet flows, int flow) => flow < 0 || flows.IsForeign(flow) ? "" : Text(OpenFlowText.Format(flows.Definition(flow)));
            string packets = difference.Actual < 0 ? "" : diff.Actual.PacketsOf(difference.Actual).ToString(CultureInfo.InvariantCulture);
            to.Write($"<tr><td>{difference.Word}</td><td class=\"flow\">{Cell(diff.Desired, difference.Desired)}</td><td class=\"flow\">{Cell(diff.Actual, difference.Actual)}</td><td>{packets}</td><td>{Text(difference.Reason)}</td></tr>\n");
        }

        to.Write("</table>\n");
        if (diff.Differences.Count > MaxRows)
        {
            to.Write(string.Create(CultureInfo.InvariantCulture, $"<p>{diff.Differences.Count - MaxRows} more are not listed.</p>\n"));
        }
    }

    internal static string Text(string text) => WebUtility.HtmlEncode(text);
}
