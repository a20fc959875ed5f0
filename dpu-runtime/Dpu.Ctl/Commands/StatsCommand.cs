using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Completion;
using Dpu.Ctl.Output;
using Dpu.Ctl.Statistics;
using Dpu.Hosting;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl stats [MOUNT]</c>: what became of requests, by FUSE opcode; with --watch again and again.</summary>
internal static class StatsCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var mount = new Argument<string?>("MOUNT")
        {
            Description = "The directory that a host's is mounted on; on a host an export's name, its path or DPU:EXPORT. All by default",
            Arity = ArgumentArity.ZeroOrOne,
        };
        mount.Completes(DynamicValues.Targets);
        Option<DurationValue?> watch = Durations.Optional(
            "--watch", "Go on until Ctrl-C: after the figures since each mount was made, what each such time brought");
        watch.Aliases.Add("-w");
        Option<int?> count = Counts.Option("End after N reports");
        var command = new Command("stats", "Show the requests of mounts by FUSE opcode: counts, errors, latencies, bytes") { mount, watch, count };
        command.Validators.Add(result =>
        {
            if (result.GetResult(count) is not null && result.GetResult(watch) is null)
            {
                result.AddError("--count needs --watch: one report needs no number");
            }
        });
        runner.Set(command, (context, cancellation) => RunAsync(
            context,
            context.Parsed.GetValue(mount),
            context.Parsed.GetValue(watch)?.Span,
            context.Parsed.GetValue(count),
            cancellation));
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, string? mount, TimeSpan? watch, int? count, CancellationToken cancellation)
    {
        var reader = new StatsReader(context.Connection);
        bool isFirst = true;
        await Repeat.RunAsync(watch, count, async () =>
        {
            IReadOnlyList<MountInterval> all = await reader.ReadAsync(cancellation).ConfigureAwait(false);
            MountInterval[] shown = [.. all.Where(m => mount is null || Matches(context, reader.IsAgent, m.Sample, mount)).OrderBy(m => m.Sample.Title, StringComparer.Ordinal)];
            if (mount is not null && shown.Length == 0)
            {
                throw new CtlException(ExitCodes.NotFound, $"nothing of ours is mounted {(reader.IsAgent ? "of" : "on")} {Human.Clean(mount)}; 'dpuctl stats' shows what is");
            }

            if (context.Json)
            {
                JsonOutput.Write(context.Output, indented: watch is null, json => StatsJson.Write(json, shown));
            }
            else
            {
                Write(context, reader.IsAgent, shown, isFirst);
            }

            await context.Output.FlushAsync(cancellation).ConfigureAwait(false);
            isFirst = false;
        }, cancellation).ConfigureAwait(false);
        return ExitCodes.Success;
    }

    private static bool Matches(CtlContext context, bool isAgent, MountSample sample, string mount) => isAgent
        ? sample.Title == mount || sample.Source == mount || sample.Title[(sample.Title.IndexOf(':', StringComparison.Ordinal) + 1)..] == mount
        : sample.Title == Targets.Resolve(context, mount);

    private static void Write(CtlContext context, bool isAgent, MountInterval[] mounts, bool isFirst)
    {
        if (mounts.Length == 0)
        {
            context.Say(isAgent ? "No mounts: no DPU has mounted anything." : "No mounts; make one with dpuctl mount HOST:EXPORT TARGET.");
        }

        foreach (MountInterval mount in mounts)
        {
            if (!isFirst || mount != mounts[0])
            {
                context.Output.WriteLine();
            }

            context.Output.WriteLine(Human.Clean(Heading(mount)));
            var table = new Table("OPERATION", "COUNT", "ERRORS", "RATE", "P50", "P99", "MAX", "TO-HOST", "FROM-HOST", "IN-FLIGHT");
            foreach (OperationFigures operation in mount.Operations.Append(mount.Total))
            {
                table.Add(
                    operation.Name.StartsWith("FUSE_", StringComparison.Ordinal) ? operation.Name["FUSE_".Length..] : operation.Name,
                    Number(operation.Requests),
                    new Cell(Number(operation.Errors), operation.Errors > 0 && operation.Name != OperationFigures.TotalName ? CellStyle.Doubtful : CellStyle.Plain),
                    Human.Rate(mount.Rate(operation.Requests)),
                    Human.Latency(operation.P50),
                    Human.Latency(operation.P99),
                    Human.Latency(operation.Requests == 0 ? null : operation.MaxLatency),
                    Human.Bytes(operation.RequestBytes),
                    Human.Bytes(operation.ReplyBytes),
                    Number(operation.InFlight));
            }

            table.WriteTo(context.Output, context.WithColor);
        }
    }

    private static string Heading(MountInterval mount)
    {
        MountSample sample = mount.Sample;
        string state = sample.State is { } known ? $"{States.Word(known)}, link {States.Word(sample.Link)}" : $"link {States.Word(sample.Link)}";
        string time = sample.Since is null ? string.Empty : $", {Human.Duration(TimeSpan.FromSeconds(Math.Min(mount.Seconds, 1e10)))}";
        string link = sample.Counters is { } counters
            ? string.Create(CultureInfo.InvariantCulture, $"; unknown outcome {counters.UnknownOutcome}, repeated {counters.Repeats}, interrupted {counters.Interrupts}, recovered {counters.Recovered}, taken over {counters.TakenOver}")
            : string.Empty;
        return $"{sample.Title} ({sample.Source}): {state}{time}{link}";
    }

    private static string Number(ulong value) => value.ToString(CultureInfo.InvariantCulture);
}
