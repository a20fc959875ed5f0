using System.Globalization;
using System.Text.Json;
using Dpu.Reconciler.Reports;

namespace Dpu.Reconciler.History;

/// <summary>A history for programs and for people: an object a line, or a page with a chart for each pair of sides.</summary>
public static class HistoryExport
{
    /// <summary>Writes a version record ("format": "dpu-reconcile-history"), then a "pass" each.</summary>
    public static void WriteJson(TextWriter to, IEnumerable<PassRecord> passes)
    {
        ArgumentNullException.ThrowIfNull(passes);
        JsonReport.WriteVersion(to, "dpu-reconcile-history");
        foreach (PassRecord pass in passes)
        {
            JsonReport.Line(to, json =>
            {
                json.WriteString("type", "pass");
                Members(json, pass);
            });
        }
    }

    /// <summary>Writes the members of a pass.</summary>
    public static void Members(Utf8JsonWriter json, PassRecord pass)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(pass);
        json.WriteNumber("id", pass.Id);
        json.WriteString("time", Time(pass.Time, "yyyy-MM-ddTHH:mm:ss.fffZ"));
        json.WriteNumber("seconds", pass.Duration.TotalSeconds);
        json.WriteString("desired", pass.Desired);
        json.WriteString("actual", pass.Actual);
        json.WriteString("error", pass.Error);
        json.WriteNumber("desiredFlows", pass.DesiredFlows);
        json.WriteNumber("actualFlows", pass.ActualFlows);
        json.WriteNumber("agree", pass.Agree);
        Counts(json, "found", pass, c => c.Found);
        Counts(json, "remaining", pass, c => c.Remaining);
        json.WriteBoolean("applied", pass.Applied);
        json.WriteString("refused", pass.Refused);
        json.WriteNumber("added", pass.Counts.Added);
        json.WriteNumber("replaced", pass.Counts.Replaced);
        json.WriteNumber("deleted", pass.Counts.Deleted);
        json.WriteNumber("failed", pass.Counts.Failed);
    }

    /// <summary>Writes a page without scripts or links.</summary>
    /// <param name="to">Where.</param>
    /// <param name="passes">The passes, the oldest first.</param>
    public static void WriteHtml(TextWriter to, IReadOnlyList<PassRecord> passes)
    {
        ArgumentNullException.ThrowIfNull(to);
        ArgumentNullException.ThrowIfNull(passes);
        to.Write($"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>History of flows</title><style>{HtmlReport.Style}</style></head><body>\n<h1>History of flows</h1>\n");
        foreach (IGrouping<(string Actual, string Desired), PassRecord> pair in passes.GroupBy(p => (p.Actual, p.Desired)).OrderBy(g => g.Key))
        {
            HtmlReport.OverTime(to, $"{pair.Key.Actual} against {pair.Key.Desired}", [.. pair.Where(p => p.Error is null).Select(p => new PassPoint(p.Time, (int)p.Found, (int)p.Remaining))]);
            to.Write("<table><tr><th>pass</th><th>time (UTC)</th><th>found</th><th>left</th><th>categories</th><th>added, replaced, deleted, failed</th><th></th></tr>\n");
            foreach (PassRecord pass in pair.Reverse())
            {
                string counts = pass.Applied ? string.Create(CultureInfo.InvariantCulture, $"{pass.Counts.Added}, {pass.Counts.Replaced}, {pass.Counts.Deleted}, {pass.Counts.Failed}") : "";
                to.Write(string.Create(
                    CultureInfo.InvariantCulture,
                    $"<tr><td>{pass.Id}</td><td>{Time(pass.Time, "yyyy-MM-dd HH:mm:ss")}</td><td>{pass.Found}</td><td>{pass.Remaining}</td><td>{HtmlReport.Text(Words(pass))}</td><td>{counts}</td><td class=\"bad\">{HtmlReport.Text(pass.Error ?? pass.Refused ?? "")}</td></tr>\n"));
            }

            to.Write("</table>\n");
        }

        to.Write("</body></html>\n");
    }

    /// <summary>How many of each category were found, in words.</summary>
    public static string Words(PassRecord pass)
    {
        ArgumentNullException.ThrowIfNull(pass);
        return string.Join(", ", pass.Categories.Where(c => c.Value.Found > 0).OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => string.Create(CultureInfo.InvariantCulture, $"{c.Value.Found} {c.Key}")));
    }

    private static void Counts(Utf8JsonWriter json, string name, PassRecord pass, Func<(long Found, long Remaining), long> count)
    {
        json.WriteStartObject(name);
        foreach ((string word, (long, long) counts) in pass.Categories.OrderBy(c => c.Key, StringComparer.Ordinal))
        {
            json.WriteNumber(word, count(counts));
        }

        json.WriteEndObject();
    }

    private static string Time(DateTimeOffset time, string format) => time.UtcDateTime.ToString(format, CultureInfo.InvariantCulture);
}
