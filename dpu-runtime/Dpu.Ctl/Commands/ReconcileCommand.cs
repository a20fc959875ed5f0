using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Connection;
using Dpu.Flows.Text;
using Dpu.Hosting;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.History;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Reports;
using Dpu.Reconciler.Targets;
using Grpc.Core;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl reconcile …</c>: what flows are against what they should be. Between files it needs no daemon.</summary>
internal static class ReconcileCommand
{
    /// <summary>There are differences. As 2 says so, every error of this command is 1, those of the command line included.</summary>
    public const int Differences = 2;

    public const string Verb = "reconcile";

    // Points of a chart that people can still tell apart.
    private const int ChartPasses = 500;

    public static Command Build(CommandTree.Runner runner)
    {
        ReconcileOptions options = new();
        var apply = new Option<bool>("--apply") { Description = "Repair the actual side; without it nothing is changed" };
        var format = new Option<string>("--format") { Description = "text, json or html", HelpName = "FORMAT", DefaultValueFactory = _ => "text" };
        _ = format.AcceptOnlyFromAmong("text", "json", "html");
        var html = new Option<string?>("--html") { Description = "Write the report as HTML into this file, too", HelpName = "FILE" };
        Option<DurationValue?> watch = Durations.Optional("--watch", "Again and again, after this time");
        Option<int?> count = Counts.Option("End after so many passes; with --watch");
        var keep = new Option<string?>("--history") { Description = "Keep what passes find in this SQLite database, which is made where it is not there", HelpName = "FILE" };
        Option<DurationValue?> age = Durations.Optional("--keep", "How long passes are kept there [default: 30d]");
        var command = new Command(Verb, "Compare flows with what they should be, and repair them") { apply, format, html, watch, count, keep, age };
        options.AddTo(command, forPlanOnly: false);
        command.Add(Plan(runner));
        command.Add(Apply(runner));
        command.Add(PairCommands.List((child, action) => Set(runner, child, action)));
        command.Add(PairCommands.Run((child, action) => Set(runner, child, action)));
        command.Add(HistoryCommands.Build((child, action) => Set(runner, child, action)));
        Set(runner, command, async (context, cancellation) =>
        {
            FlowReconciler reconciler = options.Reconciler(context);
            using ReconcileHistory? kept = context.Parsed.GetValue(keep) is { } database ? ReconcileHistory.Open(database, context.Parsed.GetValue(age)?.Span) : null;
            List<PassPoint> history = [];
            string form = context.Json ? "json" : context.Parsed.GetValue(format)!;
            if (form == "json")
            {
                JsonReport.WriteVersion(context.Output, "dpu-reconcile");
            }

            PassReport? last = null;
            await Repeat.RunAsync(context.Parsed.GetValue(watch)?.Span, context.Parsed.GetValue(count), async () =>
            {
                last = await PassAsync(reconciler, context.Parsed.GetValue(apply), kept, cancellation).ConfigureAwait(false);
                if (history.Count == 0)
                {
                    history.AddRange(kept?.Points(last.Names.Desired, last.Names.Actual, ChartPasses).SkipLast(1) ?? []);
                }

                history.Add(new PassPoint(last.Time, last.Found.Problems, last.Remaining.Problems));
                Write(context, last, form, history);
                if (context.Parsed.GetValue(html) is { } file)
                {
                    await using StreamWriter writer = new(file);
                    HtmlReport.Write(writer, last, history);
                }
            }, cancellation).ConfigureAwait(false);
            return ExitCode(last);
        });
        return command;
    }

    private static async Task<PassReport> PassAsync(FlowReconciler reconciler, bool apply, ReconcileHistory? kept, CancellationToken cancellation)
    {
        long start = TimeProvider.System.GetTimestamp();
        try
        {
            PassReport report = await reconciler.RunAsync(apply, cancellation).ConfigureAwait(false);
            _ = kept?.Add(report);
            return report;
        }
        catch (TargetException e) when (kept is not null)
        {
            _ = kept.AddFailure(TimeProvider.System.GetUtcNow(), TimeProvider.System.GetElapsedTime(start), reconciler.Names, e.Message);
            throw;
        }
    }

    private static Command Plan(CommandTree.Runner runner)
    {
        ReconcileOptions options = new();
        var output = new Option<string>("--output", "-o") { Description = "Where to write the plan", HelpName = "FILE", Required = true };
        var command = new Command("plan", "Write the steps of a repair into a file, to be looked at and applied later") { output };
        options.AddTo(command, forPlanOnly: true);
        Set(runner, command, async (context, cancellation) =>
        {
            // What is planned for a file is for whatever the file is a dump of.
            FlowReconciler reconciler = options.Reconciler(context);
            PassReport report = await reconciler.RunAsync(apply: false, cancellation).ConfigureAwait(false);
            string file = context.Parsed.GetRequiredValue(output);
            await using (StreamWriter writer = new(file))
            {
                PlanFile.Write(writer, report.Plan);
            }

            if (context.Json)
            {
                context.WriteJson(json =>
                {
                    json.WriteNumber("differences", report.Found.Problems);
                    json.WriteNumber("steps", report.Plan.Steps.Count);
                    json.WriteNumber("gaps", report.Plan.Gaps);
                });
            }

            context.Say(TextReport.Summary(report.Found, report.Names));
            context.Say(string.Create(CultureInfo.InvariantCulture, $"Wrote {report.Plan.Steps.Count} steps to {file}"));
            return ExitCode(report);
        });
        return command;
    }

    private static Command Apply(CommandTree.Runner runner)
    {
        ReconcileOptions options = new();
        var file = new Argument<string>("FILE") { Description = "A plan" };
        var command = new Command("apply", "Carry out a plan, if what it is about is still as it was") { file, options.Actual, options.Ports, options.AllowGap, options.Force };
        Set(runner, command, async (context, cancellation) =>
        {
            IFlowTarget target = options.Target(context, options.Actual);
            PlanFile plan;
            using (StreamReader reader = new(context.Parsed.GetRequiredValue(file)))
            {
                plan = PlanFile.Read(reader);
            }

            MemoryTarget wanted = new(plan.ApplyTo(target.Read(cancellation).Flows), "the plan");
            FlowReconciler reconciler = new(wanted, target, new ReconcilerOptions
            {
                Confirmations = 1,
                AllowGap = context.Parsed.GetValue(options.AllowGap),
                Force = context.Parsed.GetValue(options.Force),
            });
            PassReport report = await reconciler.RunAsync(apply: true, cancellation).ConfigureAwait(false);
            if (context.Json)
            {
                JsonReport.WriteVersion(context.Output, "dpu-reconcile");
            }

            Write(context, report, context.Json ? "json" : "text", []);
            return ExitCode(report);
        });
        return command;
    }

    private static void Write(CtlContext context, PassReport report, string form, IReadOnlyList<PassPoint> history)
    {
        switch (form)
        {
            case "json":
                JsonReport.Write(context.Output, report);
                break;
            case "html":
                HtmlReport.Write(context.Output, report, history);
                break;
            default:
                TextReport.Write(context.Output, report);
                break;
        }

        if (report.Refused is { } refused)
        {
            context.Error.WriteLine($"dpuctl: not repaired: {refused}");
        }
    }

    private static int ExitCode(PassReport? report) => report is null ? ExitCodes.Failure : report.InStep ? ExitCodes.Success : Differences;

    private static void Set(CommandTree.Runner runner, Command command, Func<CtlContext, CancellationToken, Task<int>> action) =>
        runner.Set(command, async (context, cancellation) =>
        {
            try
            {
                return await action(context, cancellation).ConfigureAwait(false);
            }
            catch (CtlException e)
            {
                throw new CtlException(ExitCodes.Failure, e.Message, e);
            }
            catch (FlowTextException e)
            {
                throw new CtlException(ExitCodes.Failure, e.Message, e);
            }
            catch (RpcException e)
            {
                throw context.ConnectFailure is { } failure && e.StatusCode == StatusCode.Unavailable
                    ? new CtlException(ExitCodes.Failure, failure.Message, e)
                    : new CtlException(ExitCodes.Failure, RpcFailures.Explain(e.Status, context.Timeout, context.IsLocal).Message, e);
            }
        });
}
