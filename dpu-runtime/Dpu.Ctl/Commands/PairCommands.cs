using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Connection;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl reconcile pairs</c> and <c>run</c>: what the runtime keeps in step by itself.</summary>
internal static class PairCommands
{
    public static Command List(Action<Command, Func<CtlContext, CancellationToken, Task<int>>> set)
    {
        var command = new Command("pairs", "List what the runtime keeps in step, with its last passes");
        set(command, async (context, cancellation) =>
        {
            List<ReconcilePair> pairs = await Pages.ReconcilePairsAsync(context.Connection, cancellation).ConfigureAwait(false);
            if (context.Json)
            {
                context.WriteJson(json => JsonOutput.Array(json, "pairs", pairs, static (w, pair) => Json(w, pair)));
                return ExitCodes.Success;
            }

            Table table = new("PAIR", "ACTUAL", "DESIRED", "REPAIR", "LAST", "FOUND", "LEFT", "PROBLEM");
            foreach (ReconcilePair pair in pairs)
            {
                table.Add(
                    new(Human.Clean(pair.Name)), new(Human.Clean(pair.Actual)), new(Human.Clean(pair.Desired)), new(pair.Apply ? "yes" : "no"),
                    new(pair.Last is { } last ? last.ToDateTime().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) : "-"),
                    new(pair.Found.ToString(CultureInfo.InvariantCulture)), new(pair.Remaining.ToString(CultureInfo.InvariantCulture), pair.Remaining > 0 ? CellStyle.Bad : CellStyle.Good),
                    new(Human.Clean(pair.Problem), CellStyle.Bad));
            }

            table.WriteTo(context.Output, context.WithColor);
            return ExitCodes.Success;
        });
        return command;
    }

    public static Command Run(Action<Command, Func<CtlContext, CancellationToken, Task<int>>> set)
    {
        var name = new Argument<string>("PAIR") { Description = "Its name" };
        var command = new Command("run", "Have the runtime compare a pair now, and repair it where it is configured so") { name };
        set(command, async (context, cancellation) =>
        {
            // A pass takes as long as its targets; the runtime gives it up itself.
            ReconcilePair pair = await context.Connection.Reconcile.RunReconcilePassAsync(new RunReconcilePassRequest { Name = context.Parsed.GetRequiredValue(name) }, ControlConnection.Endless(cancellation));
            if (context.Json)
            {
                context.WriteJson(json => Json(json, pair));
            }
            else
            {
                string categories = string.Join(", ", pair.Categories.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => string.Create(CultureInfo.InvariantCulture, $"{c.Value} {Human.Clean(c.Key)}")));
                context.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{pair.Found} differences found, {pair.Remaining} left{(categories.Length > 0 ? $": {categories}" : "")}"));
            }

            if (pair.Problem.Length > 0)
            {
                context.Error.WriteLine($"dpuctl: {Human.Clean(pair.Problem)}");
                return ExitCodes.Failure;
            }

            return pair.Remaining == 0 ? ExitCodes.Success : ReconcileCommand.Differences;
        });
        return command;
    }

    private static void Json(System.Text.Json.Utf8JsonWriter json, ReconcilePair pair)
    {
        json.WriteString("name", pair.Name);
        json.WriteString("desired", pair.Desired);
        json.WriteString("actual", pair.Actual);
        json.WriteBoolean("apply", pair.Apply);
        json.WriteBoolean("running", pair.Running);
        json.WriteNumber("passes", pair.Passes);
        json.WriteNumber("failures", pair.Failures);
        json.WriteString("last", pair.Last?.ToDateTime().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
        json.WriteString("problem", pair.Problem.Length > 0 ? pair.Problem : null);
        json.WriteNumber("found", pair.Found);
        json.WriteNumber("remaining", pair.Remaining);
        json.WriteStartObject("categories");
        foreach ((string word, ulong count) in pair.Categories.OrderBy(c => c.Key, StringComparer.Ordinal))
        {
            json.WriteNumber(word, count);
        }

        json.WriteEndObject();
        json.WriteNumber("repairFailures", pair.RepairFailures);
    }
}
