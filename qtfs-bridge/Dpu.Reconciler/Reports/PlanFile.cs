using System.Globalization;
using System.Text.Json;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.Reports;

/// <summary>
/// A plan in a file, to be looked at and carried out later: a version record, then a JSON object a step, in order. Each has
/// what the flow was: carried out is only what still is so.
/// </summary>
public sealed class PlanFile
{
    private const string Format = "dpu-reconcile-plan";
    private readonly List<(FlowDefinition? Flow, FlowDefinition? Was)> _steps = [];

    /// <summary>How many steps.</summary>
    public int Count => _steps.Count;

    /// <summary>Writes a plan.</summary>
    public static void Write(TextWriter to, RepairPlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        JsonReport.WriteVersion(to, Format);
        int number = 0;
        foreach (RepairStep step in plan.Steps)
        {
            JsonReport.Line(to, json =>
            {
                json.WriteString("type", "step");
                json.WriteNumber("number", ++number);
                json.WriteString("action", step.Action.ToString().ToLowerInvariant());
                json.WriteString("for", step.For.Word);
                json.WriteBoolean("opensGap", step.OpensGap);
                if (step.Desired >= 0)
                {
                    JsonReport.Flow(json, "flow", plan.Diff.Desired.Definition(step.Desired));
                }

                if (step.Actual >= 0)
                {
                    JsonReport.Flow(json, "was", plan.Diff.Actual.Definition(step.Actual));
                }
            });
        }
    }

    /// <summary>Reads a plan.</summary>
    /// <exception cref="FlowTextException">It is none, or one of another major version.</exception>
    public static PlanFile Read(TextReader from)
    {
        ArgumentNullException.ThrowIfNull(from);
        PlanFile plan = new();
        int number = 0;
        while (from.ReadLine() is { } line)
        {
            number++;
            try
            {
                using JsonDocument document = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 8 });
                plan.Add(document.RootElement, number);
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
            {
                throw new FlowTextException(string.Create(CultureInfo.InvariantCulture, $"line {number} is no step of a plan: {e.Message}"), e);
            }
        }

        return number > 0 ? plan : throw new FlowTextException("the plan is empty; it has a version record at least");
    }

    /// <summary>
    /// What a target should have once the plan is carried out, from what it has now.
    /// </summary>
    /// <exception cref="FlowTextException">It is not as it was when the plan was made.</exception>
    public FlowSet ApplyTo(FlowSet now)
    {
        ArgumentNullException.ThrowIfNull(now);
        FlowSet was = new();
        foreach ((_, FlowDefinition? flow) in _steps)
        {
            _ = flow is null ? 0 : was.Add(flow);
        }

        // Pairs are flows that the plan takes out or replaces, and that are there to the bit; a flow may be planned for twice.
        DiffResult pairs = FlowDiff.Compare(was, now, new DiffOptions { CompareTimeouts = false });
        if (pairs.InStep < was.Count)
        {
            Difference changed = pairs.Differences.First(d => d.Desired >= 0 && d.Category != DifferenceCategory.Duplicate);
            throw new FlowTextException(string.Create(
                CultureInfo.InvariantCulture,
                $"{was.Count - pairs.InStep} flows are no more as they were when the plan was made, the first: {OpenFlowText.Format(was.Definition(changed.Desired))}; make a new plan"));
        }

        FlowSet then = new();
        foreach (int kept in pairs.Differences.Where(d => d.Actual >= 0 && !now.IsForeign(d.Actual)).Select(d => d.Actual))
        {
            _ = then.Add(now.Definition(kept), new FlowFacts(now.HandleOf(kept)));
        }

        foreach ((FlowDefinition? flow, _) in _steps)
        {
            _ = flow is null ? 0 : then.Add(flow);
        }

        return then;
    }

    private void Add(JsonElement root, int number)
    {
        string? type = root.GetProperty("type").GetString();
        if (number == 1)
        {
            if (type != "version" || root.GetProperty("format").GetString() != Format)
            {
                throw new FlowTextException("it is no plan: the first line is not the version record of one");
            }

            int major = root.GetProperty("major").GetInt32();
            if (major != JsonReport.Major)
            {
                throw new FlowTextException(string.Create(CultureInfo.InvariantCulture, $"the plan has version {major}, and this program knows {JsonReport.Major}"));
            }

            return;
        }

        if (type == "step")
        {
            FlowDefinition? Flow(string name) => root.TryGetProperty(name, out JsonElement flow) ? FlowJson.Parse(flow.GetRawText()).Definition : null;
            _steps.Add((Flow("flow"), Flow("was")));
        }
    }
}
