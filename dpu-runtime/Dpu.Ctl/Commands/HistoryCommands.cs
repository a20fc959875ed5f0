using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Reconciler.History;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl reconcile history …</c>: what earlier passes found. It reads the file, and needs no daemon.</summary>
internal static class HistoryCommands
{
    private const int DefaultCount = 20;

    public static Command Build(Action<Command, Func<CtlContext, CancellationToken, Task<int>>> set) =>
        new("history", "Look at what earlier passes found") { List(set), Show(set), Export(set) };

    private static Option<string> File() => new("--history") { Description = $"The history's file [default: {ReconcileHistory.DefaultFile}, the runtime's]", HelpName = "FILE", DefaultValueFactory = _ => ReconcileHistory.DefaultFile };

    private static Option<string?> Target() => new("--actual") { Description = "Only passes of this actual side", HelpName = "TARGET" };

    private static Command List(Action<Command, Func<CtlContext, CancellationToken, Task<int>>> set)
    {
        Option<string> file = File();
        Option<string?> actual = Target();
        Option<int?> count = Counts.Option($"So many passes, the latest first [default: {DefaultCount}]");
        var command = new Command("list", "List passes, the latest first") { file, actual, count };
        set(command, (context, _) =>
        {
            using ReconcileHistory history = ReconcileHistory.Open(context.Parsed.GetValue(file)!, readOnly: true);
            IReadOnlyList<PassRecord> passes = history.List(context.Parsed.GetValue(count) ?? DefaultCount, context.Parsed.GetValue(actual));
            if (context.Json)
            {
                HistoryExport.WriteJson(context.Output, passes);
                return Task.FromResult(ExitCodes.Success);
            }

            Table table = new("PASS", "TIME", "ACTUAL", "DESIRED", "FOUND", "LEFT", "WHAT");
            foreach (PassRecord pass in passes)
            {
                string N(long number) => pass.Error is null ? number.ToString(CultureInfo.InvariantCulture) : "-";
                table.Add(
                    new(pass.Id.ToString(CultureInfo.InvariantCulture)), new(pass.Time.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)), new(Human.Clean(pass.Actual)), new(Human.Clean(pass.Desired)),
                    new(N(pass.Found)), new(N(pass.Remaining), pass.Error is not null || pass.Remaining > 0 ? CellStyle.Bad : CellStyle.Good),
                    new(Human.Clean(pass.Error is { } error ? $"failed: {error}" : pass.Refused is { } refused ? $"not repaired: {refused}" : HistoryExport.Words(pass))));
            }

            table.WriteTo(context.Output, context.WithColor);
            return Task.FromResult(ExitCodes.Success);
        });
        return command;
    }

    private static Command Show(Action<Command, Func<CtlContext, CancellationToken, Task<int>>> set)
    {
        Option<string> file = File();
        var id = new Argument<long>("PASS") { Description = "Its number, as 'list' says it" };
        var command = new Command("show", "Show what a pass found") { id, file };
        set(command, (context, _) =>
        {
            using ReconcileHistory history = ReconcileHistory.Open(context.Parsed.GetValue(file)!, readOnly: true);
            long number = context.Parsed.GetValue(id);
            PassRecord pass = history.Find(number) ?? throw new CtlException(ExitCodes.Failure, string.Create(CultureInfo.InvariantCulture, $"the history has no pass {number} (any more); 'dpuctl reconcile history list' lists those that it has"));
            IReadOnlyList<StoredDifference> differences = history.Differences(number);
            if (context.Json)
            {
                context.WriteJson(json =>
                {
                    HistoryExport.Members(json, pass);
                    JsonOutput.Array(json, "differences", differences, static (w, d) =>
                    {
                        w.WriteString("word", d.Word);
                        w.WriteString("desired", d.Desired);
                        w.WriteString("actual", d.Actual);
                        w.WriteString("reason", d.Reason);
                    });
                });
                return Task.FromResult(ExitCodes.Success);
            }

            context.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"pass {pass.Id}, {pass.Time:yyyy-MM-dd HH:mm:ss} UTC, {pass.Duration.TotalSeconds:0.000} s: {Human.Clean(pass.Actual)} ({pass.ActualFlows} flows) against {Human.Clean(pass.Desired)} ({pass.DesiredFlows} flows)"));
            foreach (StoredDifference difference in differences)
            {
                context.Output.WriteLine(Human.Clean($"{difference.Word}: {difference.Desired ?? difference.Actual ?? ""}{(difference.Reason.Length > 0 ? $" ({difference.Reason})" : "")}"));
                if (difference is { Desired: not null, Actual: not null })
                {
                    context.Output.WriteLine(Human.Clean($"    is: {difference.Actual}"));
                }
            }

            if (pass.Found + pass.Categories.GetValueOrDefault("foreign").Found > differences.Count)
            {
                context.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"the history keeps {ReconcileHistory.MaxDifferences} differences of a pass in words"));
            }

            context.Output.WriteLine(Human.Clean(pass.Error is { } error ? $"failed: {error}"
                : string.Create(CultureInfo.InvariantCulture, $"{pass.Found} differences found, {pass.Remaining} left; {pass.Counts.Added} added, {pass.Counts.Replaced} replaced, {pass.Counts.Deleted} deleted, {pass.Counts.Failed} failed{(pass.Refused is { } refused ? $"; not repaired: {refused}" : "")}")));
            return Task.FromResult(ExitCodes.Success);
        });
        return command;
    }

    private static Command Export(Action<Command, Func<CtlContext, CancellationToken, Task<int>>> set)
    {
        Option<string> file = File();
        Option<string?> actual = Target();
        var to = new Argument<string?>("FILE") { Description = "Where to write; standard output where there is none", Arity = ArgumentArity.ZeroOrOne };
        var format = new Option<string>("--format") { Description = "json, a pass a line, or html, a page with charts", HelpName = "FORMAT", DefaultValueFactory = _ => "json" };
        _ = format.AcceptOnlyFromAmong("json", "html");
        var command = new Command("export", "Write all passes, the oldest first") { to, file, actual, format };
        set(command, async (context, _) =>
        {
            using ReconcileHistory history = ReconcileHistory.Open(context.Parsed.GetValue(file)!, readOnly: true);
            PassRecord[] passes = [.. history.List(int.MaxValue, context.Parsed.GetValue(actual)).Reverse()];
            string? path = context.Parsed.GetValue(to);
            TextWriter writer = path is null ? context.Output : new StreamWriter(path);
            try
            {
                if (context.Parsed.GetValue(format) == "html" && !context.Json)
                {
                    HistoryExport.WriteHtml(writer, passes);
                }
                else
                {
                    HistoryExport.WriteJson(writer, passes);
                }
            }
            finally
            {
                if (path is not null)
                {
                    await writer.DisposeAsync().ConfigureAwait(false);
                }
            }

            if (path is not null)
            {
                context.Say(string.Create(CultureInfo.InvariantCulture, $"Wrote {passes.Length} passes to {path}"));
            }

            return ExitCodes.Success;
        });
        return command;
    }
}
