using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests.Survival;

/// <summary>How long programs stood still, by kind of fault: a table for people and the same as JSON.</summary>
internal static class StallTable
{
    private const double CutRatio = 1.2;
    private const double CutMore = 50;
    private const double AgentMore = 300;
    private const double RuntimeMore = 500;

    /// <summary>A row for each kind of fault, load and operation.</summary>
    /// <param name="target">What was measured: our cache mode, or a peer.</param>
    /// <param name="faults">With their stalls.</param>
    public static JsonArray Rows(string target, IEnumerable<FaultRecord> faults)
    {
        var rows = new JsonArray();
        foreach (IGrouping<(FaultKind Kind, bool Idle), FaultRecord> group in faults
            .GroupBy(fault => (fault.Fault.Kind, fault.Load == SurvivalRun.Idle)).OrderBy(group => group.Key.Kind).ThenByDescending(group => group.Key.Item2))
        {
            foreach (string operation in Prober.Kinds)
            {
                double[] stalls = [.. group.Select(fault => fault.Stalls[operation]).Order()];
                rows.Add(new JsonObject
                {
                    ["target"] = target,
                    ["fault"] = group.Key.Kind.ToString(),
                    ["load"] = group.Key.Idle ? "idle" : "busy",
                    ["operation"] = operation,
                    ["faults"] = stalls.Length,
                    ["awayMedian"] = Round(Quantile([.. group.Select(fault => fault.Away).Order()], 0.5)),
                    ["stallMedian"] = Round(Quantile(stalls, 0.5)),
                    ["stallP99"] = Round(Quantile(stalls, 0.99)),
                    ["ratioMedian"] = Round(Quantile([.. group.Select(fault => fault.Stalls[operation] / fault.Away).Order()], 0.5)),
                    ["moreMedian"] = Round(Quantile([.. group.Select(fault => fault.Stalls[operation] - fault.Away).Order()], 0.5)),
                    ["moreP99"] = Round(Quantile([.. group.Select(fault => fault.Stalls[operation] - fault.Away).Order()], 0.99)),
                    ["bar"] = Bar(group.Key.Kind),
                    ["within"] = Bar(group.Key.Kind) is null ? null : group.Count(fault => Within(fault, operation)),
                    ["met"] = Bar(group.Key.Kind) is null ? null : group.Count(fault => Within(fault, operation)) * 2 > stalls.Length,
                });
            }
        }

        return rows;
    }

    /// <summary>The rows as a table of Markdown.</summary>
    public static string Markdown(JsonArray rows) => string.Join('\n',
    [
        "| target | fault | load | operation | faults | away (ms) | stall (ms) | p99 | stall / away | stall − away (ms) | p99 | within the bar | met |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        .. rows.Select(row => $"| {Text(row, "target")} | {Text(row, "fault")} | {Text(row, "load")} | {Text(row, "operation")} | {Text(row, "faults")} | {Text(row, "awayMedian")} | {Text(row, "stallMedian")} | {Text(row, "stallP99")} | {Text(row, "ratioMedian")} | {Text(row, "moreMedian")} | {Text(row, "moreP99")} | {(row!["bar"] is null ? "" : $"{Text(row, "within")} of {Text(row, "faults")}")} | {(row["met"]?.GetValue<bool>() is bool met ? met ? "yes" : "no" : "")} |"),
    ]);

    // Of a median: more than half of the faults lie within it.
    private static string? Bar(FaultKind kind) => kind switch
    {
        FaultKind.Cut => $"<= {CutRatio.ToString(CultureInfo.InvariantCulture)} x away + {CutMore} ms",
        FaultKind.AgentKill or FaultKind.AgentStop => $"<= away + {AgentMore} ms",
        FaultKind.RuntimeKill or FaultKind.RuntimeStop => $"<= away + {RuntimeMore} ms",
        _ => null,
    };

    private static bool Within(FaultRecord fault, string operation) => fault.Fault.Kind switch
    {
        FaultKind.Cut => fault.Stalls[operation] <= (CutRatio * fault.Away) + CutMore,
        FaultKind.AgentKill or FaultKind.AgentStop => fault.Stalls[operation] <= fault.Away + AgentMore,
        _ => fault.Stalls[operation] <= fault.Away + RuntimeMore,
    };

    private static string Text(JsonNode? row, string name) => Convert.ToString(row![name]?.AsValue().GetValue<object>(), CultureInfo.InvariantCulture) ?? "";

    private static double Quantile(double[] sorted, double part) => sorted[(int)Math.Min(sorted.Length - 1, Math.Floor(part * sorted.Length))];

    private static double Round(double value) => double.IsFinite(value) ? Math.Round(value, 1) : 0;
}
