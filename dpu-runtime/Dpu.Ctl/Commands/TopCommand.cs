using System.CommandLine;
using Dpu.Ctl.Connection;
using Dpu.Ctl.Output;
using Dpu.Ctl.Statistics;
using Dpu.Hosting;
using Grpc.Core;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl top</c>: the mounts and what they do now, live on a terminal, else report after report.</summary>
internal static class TopCommand
{
    private static readonly TimeSpan _interval = TimeSpan.FromSeconds(1);

    public static Command Build(CommandTree.Runner runner)
    {
        Option<DurationValue?> interval = Durations.Optional("--interval", $"The time between two reports [default: {new DurationValue(_interval)}]");
        interval.Aliases.Add("-i");
        var batch = new Option<bool>("--batch", "-b") { Description = "Print report after report, as also where the output is no terminal" };
        Option<int?> count = Counts.Option("End after N reports");
        var command = new Command("top", "Show live what mounts do: requests, bytes, errors, latency; 'q' ends it") { interval, batch, count };
        runner.Set(command, (context, cancellation) =>
        {
            TimeSpan time = context.Parsed.GetValue(interval)?.Span ?? _interval;
            int? reports = context.Parsed.GetValue(count);
            return context.IsScreen && !context.Json && !context.Parsed.GetValue(batch)
                ? LiveAsync(context, time, reports, cancellation)
                : BatchAsync(context, time, reports, cancellation);
        });
        return command;
    }

    private static async Task<int> BatchAsync(CtlContext context, TimeSpan interval, int? count, CancellationToken cancellation)
    {
        var reader = new StatsReader(context.Connection);
        bool isFirst = true;
        await Repeat.RunAsync(interval, count, async () =>
        {
            IReadOnlyList<MountInterval> mounts = await reader.ReadAsync(cancellation).ConfigureAwait(false);
            if (context.Json)
            {
                JsonOutput.Write(context.Output, indented: false, json => StatsJson.Write(json, mounts));
            }
            else
            {
                if (!isFirst)
                {
                    context.Output.WriteLine();
                }

                foreach (string line in TopView.Lines(mounts, TimeProvider.System.GetUtcNow(), null, null, null, context.WithColor))
                {
                    context.Output.WriteLine(line);
                }
            }

            await context.Output.FlushAsync(cancellation).ConfigureAwait(false);
            isFirst = false;
        }, cancellation).ConfigureAwait(false);
        return ExitCodes.Success;
    }

    private static async Task<int> LiveAsync(CtlContext context, TimeSpan interval, int? count, CancellationToken cancellation)
    {
        var reader = new StatsReader(context.Connection);

        // What fails at once is told as by any other verb; what fails later is shown, for it may come back.
        IReadOnlyList<MountInterval> mounts = await reader.ReadAsync(cancellation).ConfigureAwait(false);
        string? problem = null;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        FullScreen? screen = null;
        void Redraw()
        {
            (int width, int height) = FullScreen.Size;
            Volatile.Read(ref screen)?.Draw(TopView.Lines(Volatile.Read(ref mounts), TimeProvider.System.GetUtcNow(), Volatile.Read(ref problem), width, height, context.WithColor));
        }

        using (var terminal = new FullScreen(context.Output, key => End(key, ended), Redraw))
        {
            Volatile.Write(ref screen, terminal);
            Redraw();
            bool isFirst = true;
            await Repeat.RunAsync(interval, count, async () =>
            {
                if (!isFirst)
                {
                    try
                    {
                        Volatile.Write(ref mounts, await reader.ReadAsync(ended.Token).ConfigureAwait(false));
                        Volatile.Write(ref problem, null);
                    }
                    catch (RpcException e) when (e.StatusCode != StatusCode.Cancelled || !ended.IsCancellationRequested)
                    {
                        CtlException why = context.ConnectFailure ?? RpcFailures.Explain(e.Status, context.Timeout, context.IsLocal);
                        Volatile.Write(ref problem, why.Message);
                    }

                    Redraw();
                }

                isFirst = false;
            }, ended.Token).ConfigureAwait(false);
        }

        return ExitCodes.Success;
    }

    private static void End(ConsoleKeyInfo key, CancellationTokenSource ended)
    {
        if (key.KeyChar is 'q' or 'Q')
        {
            try
            {
                ended.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // Expected: it has ended by itself.
                return;
            }
        }
    }
}
