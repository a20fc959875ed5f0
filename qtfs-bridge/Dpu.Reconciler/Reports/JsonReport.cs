using System.Globalization;
using System.Text;
using System.Text.Json;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;

namespace Dpu.Reconciler.Reports;

/// <summary>
/// Reports for programs: one JSON object a line, each with a "type". The first is the version: another "major" means that
/// members changed their meaning, a higher "minor" that there are more; who reads passes over types and members that it does
/// not know. Then a "difference" each, and a "summary".
/// </summary>
public static class JsonReport
{
    /// <summary>Of the format: raised when a member changes its meaning or goes.</summary>
    public const int Major = 1;

    /// <summary>Raised when types or members come.</summary>
    public const int Minor = 0;

    /// <summary>Writes the first line.</summary>
    public static void WriteVersion(TextWriter to, string format) => Line(to, json =>
    {
        json.WriteString("type", "version");
        json.WriteString("format", format);
        json.WriteNumber("major", Major);
        json.WriteNumber("minor", Minor);
    });

    /// <summary>Writes the differences and the summary.</summary>
    public static void Write(TextWriter to, PassReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        foreach (Difference difference in report.Found.Differences)
        {
            Line(to, json => Members(json, report.Found, difference));
        }

        Line(to, json => Summary(json, report));
    }

    /// <summary>Writes one object and a line feed.</summary>
    internal static void Line(TextWriter to, Action<Utf8JsonWriter> members)
    {
        ArgumentNullException.ThrowIfNull(to);
        using MemoryStream buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            members(json);
            json.WriteEndObject();
        }

        to.Write(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
        to.Write('\n');
    }

    internal static void Flow(Utf8JsonWriter json, string name, FlowSet flows, int flow)
    {
        if (flow < 0 || flows.IsForeign(flow))
        {
            return;
        }

        json.WriteStartObject(name);
        FlowJson.Members(json, flows.Definition(flow), null);
        json.WriteNumber("packets", flows.PacketsOf(flow));
        json.WriteNumber("bytes", flows.BytesOf(flow));
        json.WriteEndObject();
    }

    internal static void Flow(Utf8JsonWriter json, string name, FlowDefinition flow)
    {
        json.WriteStartObject(name);
        FlowJson.Members(json, flow, null);
        json.WriteEndObject();
    }

    private static void Members(Utf8JsonWriter json, DiffResult diff, Difference difference)
    {
        json.WriteString("type", "difference");
        json.WriteString("category", Difference.WordOf(difference.Category));
        json.WriteStartArray("divergence");
        foreach (Divergence divergence in Enum.GetValues<Divergence>().Where(d => d != Divergence.None && difference.Divergence.HasFlag(d)))
        {
            json.WriteStringValue(divergence.ToString().ToLowerInvariant());
        }

        json.WriteEndArray();
        json.WriteString("reason", difference.Reason);
        Flow(json, "desired", diff.Desired, difference.Desired);
        Flow(json, "actual", diff.Actual, difference.Actual);
    }

    private static void Summary(Utf8JsonWriter json, PassReport report)
    {
        json.WriteString("type", "summary");
        json.WriteString("time", report.Time.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
        json.WriteNumber("seconds", Math.Round(report.Duration.TotalSeconds, 6));
        json.WriteString("desired", report.Names.Desired);
        json.WriteString("actual", report.Names.Actual);
        json.WriteNumber("desiredFlows", report.Found.Desired.Count);
        json.WriteNumber("actualFlows", report.Found.Actual.Count);
        json.WriteBoolean("inStep", report.InStep);
        json.WriteNumber("agree", report.Found.InStep);
        Counts(json, "found", report.Found);
        Counts(json, "remaining", report.Remaining);
        json.WriteNumber("steps", report.Plan.Steps.Count);
        json.WriteNumber("gaps", report.Plan.Gaps);
        json.WriteBoolean("applied", report.Applied && report.Rounds > 0);
        json.WriteString("refused", report.Refused);
        json.WriteNumber("added", report.Counts.Added);
        json.WriteNumber("replaced", report.Counts.Replaced);
        json.WriteNumber("deleted", report.Counts.Deleted);
        json.WriteNumber("failed", report.Counts.Failed);
        json.WriteNumber("rounds", report.Rounds);
    }

    private static void Counts(Utf8JsonWriter json, string name, DiffResult diff)
    {
        json.WriteStartObject(name);
        foreach ((string word, int count) in TextReport.Counts(diff))
        {
            json.WriteNumber(word, count);
        }

        json.WriteEndObject();
    }
}
