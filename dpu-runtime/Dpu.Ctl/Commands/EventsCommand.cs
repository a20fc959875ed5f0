using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Connection;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;
using Grpc.Core;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl events</c>: the present state of every host and mount as events; with --follow also what happens then.</summary>
internal static class EventsCommand
{
    // The runtime sends the present state in one go and marks no end: silence of this length is the end.
    private static readonly TimeSpan _silence = TimeSpan.FromSeconds(1);

    public static Command Build(CommandTree.Runner runner)
    {
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on and print each event as it happens, until Ctrl-C" };
        var command = new Command("events", "Show the present state as events, and follow changes") { follow };
        runner.Set(command, (context, cancellation) => RunAsync(context, context.Parsed.GetValue(follow), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, bool follow, CancellationToken cancellation)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        CallOptions options = follow ? ControlConnection.Endless(ended.Token) : context.Connection.Options(ended.Token);
        using AsyncServerStreamingCall<Event> call = context.Connection.Runtime.WatchEvents(new WatchEventsRequest(), options);
        try
        {
            bool isFirst = true;
            while (true)
            {
                // The first event may take as long as any answer; those after it come at once.
                Task<bool> next = call.ResponseStream.MoveNext(ended.Token);
                if (!follow && !isFirst
                    && await Task.WhenAny(next, Task.Delay(_silence, TimeProvider.System, ended.Token)).ConfigureAwait(false) != next)
                {
                    await ended.CancelAsync().ConfigureAwait(false);
                }

                if (!await next.ConfigureAwait(false))
                {
                    break;
                }

                isFirst = false;
                Write(context, call.ResponseStream.Current);
            }

            return follow
                ? throw new CtlException(ExitCodes.Unreachable, "dpu-runtime ended the events: it stops; follow again when it is back")
                : ExitCodes.Success;
        }
        catch (Exception e) when (ended.IsCancellationRequested && e is (RpcException or OperationCanceledException))
        {
            // Expected: Ctrl-C, or silence after the present state.
            return ExitCodes.Success;
        }
    }

    private static void Write(CtlContext context, Event happened)
    {
        if (context.Json)
        {
            JsonOutput.Write(context.Output, indented: false, json => JsonOutput.Event(json, happened));
        }
        else
        {
            context.Output.WriteLine(Human.Clean(string.Create(
                CultureInfo.InvariantCulture,
                $"{Human.Time(happened.Time)} {States.Word(happened.Severity),-7} {happened.Id} {happened.Code}: {happened.Message}")));
        }

        context.Output.Flush();
    }
}
