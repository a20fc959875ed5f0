using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;
using Dpu.Reconciler.Targets;
using Grpc.Core;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl flows …</c>: the runtime's flow table.</summary>
internal static class FlowsCommands
{
    public static Command Build(CommandTree.Runner runner) => new("flows", "Look at the flow table and change it")
    {
        List(runner), Show(runner), Add(runner), Delete(runner), FlowsTransfer.Import(runner), FlowsTransfer.Export(runner), Trace(runner),
    };

    internal static Option<int?> TableOption() => new("--table") { Description = "Only this table (0 to 254)" };

    internal static uint TablePlusOne(int? table) => table switch
    {
        null => 0,
        >= 0 and <= 254 => (uint)table + 1,
        _ => throw new CtlException(ExitCodes.Usage, $"--table {table} is no table; allowed are 0 to 254"),
    };

    private static Command List(CommandTree.Runner runner)
    {
        var match = new Argument<string?>("MATCH") { Description = "Only flows within this match, as tcp,nw_dst=10.0.0.0/8", Arity = ArgumentArity.ZeroOrOne };
        Option<int?> table = TableOption();
        var command = new Command("list", "List flows with what they did, one a line") { match, table };
        runner.Set(command, async (context, cancellation) =>
        {
            var request = new ExportFlowsRequest
            {
                Match = context.Parsed.GetValue(match) ?? "",
                TablePlusOne = TablePlusOne(context.Parsed.GetValue(table)),
                Form = context.Json ? FlowForm.Json : FlowForm.Unspecified,
            };
            await FlowsTransfer.ReadAsync(context, request, context.Output, null, cancellation).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Show(CommandTree.Runner runner)
    {
        var command = new Command("show", "Show how many flows, tables and masks there are, and their memory");
        runner.Set(command, async (context, cancellation) =>
        {
            FlowTableStatus status = await context.Connection.Flows.GetFlowTableAsync(new GetFlowTableRequest(), context.Connection.Options(cancellation));
            if (context.Json)
            {
                context.WriteJson(json =>
                {
                    json.WriteNumber("flows", status.Flows);
                    json.WriteNumber("maxFlows", status.MaxFlows);
                    json.WriteNumber("tables", status.Tables);
                    json.WriteNumber("masks", status.Masks);
                    json.WriteNumber("actionLists", status.ActionLists);
                    json.WriteNumber("bytes", status.Bytes);
                });
                return ExitCodes.Success;
            }

            context.Output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{status.Flows} of {status.MaxFlows} flows in {status.Tables} tables, {status.Masks} masks, {status.ActionLists} lists of actions, {Human.Bytes(status.Bytes)}"));
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Add(CommandTree.Runner runner)
    {
        var flow = new Argument<string>("FLOW") { Description = "As priority=100,tcp,nw_dst=10.0.0.0/8,actions=output:2" };
        var command = new Command("add", "Add a flow, or take the place of the one with the same table, priority and match") { flow };
        runner.Set(command, async (context, cancellation) =>
        {
            using AsyncClientStreamingCall<ImportFlowsRequest, ImportFlowsResponse> call = context.Connection.Flows.ImportFlows(context.Connection.Options(cancellation));
            await call.RequestStream.WriteAsync(new ImportFlowsRequest { Lines = { context.Parsed.GetRequiredValue(flow) } }, cancellation).ConfigureAwait(false);
            await call.RequestStream.CompleteAsync().ConfigureAwait(false);
            ImportFlowsResponse response = await call.ResponseAsync.ConfigureAwait(false);
            if (response.Added + response.Replaced == 0)
            {
                throw new CtlException(ExitCodes.Failure, response.Problems.Count > 0 ? Human.Clean(response.Problems[0].Replace("line 1: ", "", StringComparison.Ordinal)) : "there is no flow in what was given");
            }

            if (context.Json)
            {
                context.WriteJson(json => json.WriteBoolean("replaced", response.Replaced > 0));
            }

            context.Say(response.Replaced > 0 ? "Replaced a flow" : "Added a flow");
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Delete(CommandTree.Runner runner)
    {
        var match = new Argument<string?>("MATCH") { Description = "The flows within this match", Arity = ArgumentArity.ZeroOrOne };
        Option<int?> table = TableOption();
        var strict = new Option<int?>("--strict") { Description = "Only the flow of exactly this match and of this priority", HelpName = "PRIORITY" };
        var all = new Option<bool>("--all") { Description = "Every flow; needed where no match is given" };
        var command = new Command("del", "Delete flows") { match, table, strict, all };
        runner.Set(command, async (context, cancellation) =>
        {
            string? wanted = context.Parsed.GetValue(match);
            int? priority = context.Parsed.GetValue(strict);
            if (wanted is null && priority is null && !context.Parsed.GetValue(all))
            {
                throw new CtlException(ExitCodes.Usage, "give a MATCH, or --all to delete every flow");
            }

            DeleteFlowsResponse response = await context.Connection.Flows.DeleteFlowsAsync(
                new DeleteFlowsRequest
                {
                    Match = wanted ?? "",
                    TablePlusOne = TablePlusOne(context.Parsed.GetValue(table)),
                    Strict = priority is not null,
                    Priority = priority is >= 0 and <= 65535 ? (uint)priority : priority is null ? 0u : throw new CtlException(ExitCodes.Usage, "--strict needs a priority of 0 to 65535"),
                },
                context.Connection.Options(cancellation));
            if (context.Json)
            {
                context.WriteJson(json => json.WriteNumber("deleted", response.Deleted));
            }

            context.Say(string.Create(CultureInfo.InvariantCulture, $"Deleted {response.Deleted} flows"));
            return response.Deleted > 0 || wanted is null ? ExitCodes.Success : ExitCodes.NotFound;
        });
        return command;
    }

    private static Command Trace(CommandTree.Runner runner)
    {
        var packet = new Argument<string>("PACKET") { Description = "Its bytes in hex, or fields as tcp,nw_dst=10.0.0.1,tp_dst=80" };
        var inPort = new Option<uint>("--in-port") { Description = "The port that it comes in by, where the fields do not say it" };
        ReconcileOptions targets = new();
        var hardware = new Option<string?>("--hardware") { Description = $"Say also what hardware does with it, from the flows of this target: {ReconcileOptions.Kinds}", HelpName = "TARGET" };
        var command = new Command("trace", "Say which flows a packet hits, and why") { packet, inPort, hardware, targets.Ports };
        runner.Set(command, async (context, cancellation) =>
        {
            TraceFlowResponse trace = await context.Connection.Flows.TraceFlowAsync(
                new TraceFlowRequest { Packet = context.Parsed.GetRequiredValue(packet), InPort = context.Parsed.GetValue(inPort) }, context.Connection.Options(cancellation));
            HardwareTrace? other = null;
            if (context.Parsed.GetValue(hardware) is not null)
            {
                IFlowTarget target = targets.Target(context, hardware);
                using (target as IDisposable)
                {
                    other = HardwareTrace.Of(target, context.Parsed.GetRequiredValue(packet), context.Parsed.GetValue(inPort), cancellation);
                }
            }

            if (context.Json)
            {
                context.WriteJson(json =>
                {
                    FlowsTransfer.Json(json, trace);
                    other?.Json(json, trace);
                });
                return ExitCodes.Success;
            }

            FlowsTransfer.Print(context.Output, trace);
            other?.Print(context.Output, trace);
            return ExitCodes.Success;
        });
        return command;
    }
}
