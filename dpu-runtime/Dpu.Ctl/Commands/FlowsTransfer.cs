using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Dpu.Ctl.Connection;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;
using Grpc.Core;

namespace Dpu.Ctl.Commands;

/// <summary>Flows in and out of the runtime, as streams of lines, and what a trace says.</summary>
internal static class FlowsTransfer
{
    // Lines of one message: some 100 KB.
    private const int BatchLines = 1000;

    // Lines between two reports of progress.
    private const int ReportLines = 100_000;

    public static Command Import(CommandTree.Runner runner)
    {
        var file = new Argument<string>("FILE") { Description = "Flows, one a line, as ovs-ofctl or dpctl dump-flows print them, or JSON; - for standard input" };
        var command = new Command("import", "Add the flows of a file") { file };
        runner.Set(command, (context, cancellation) => ImportAsync(context, context.Parsed.GetRequiredValue(file), cancellation));
        return command;
    }

    public static Command Export(CommandTree.Runner runner)
    {
        var file = new Argument<string?>("FILE") { Description = "Where to write; standard output where there is none", Arity = ArgumentArity.ZeroOrOne };
        var strict = new Option<bool>("--ovs") { Description = "As ovs-ofctl add-flows takes it: no counters, port ranges as several flows" };
        Option<int?> table = FlowsCommands.TableOption();
        var command = new Command("export", "Write all flows, one a line; with --json as JSON") { file, strict, table };
        runner.Set(command, async (context, cancellation) =>
        {
            var request = new ExportFlowsRequest
            {
                TablePlusOne = FlowsCommands.TablePlusOne(context.Parsed.GetValue(table)),
                Form = context.Json ? FlowForm.Json : context.Parsed.GetValue(strict) ? FlowForm.OvsStrict : FlowForm.Unspecified,
            };
            if (context.Parsed.GetValue(file) is not { } path)
            {
                await ReadAsync(context, request, context.Output, null, cancellation).ConfigureAwait(false);
                return ExitCodes.Success;
            }

            await using StreamWriter output = new(path);
            long lines = await ReadAsync(context, request, output, context.Quiet ? null : context.Error, cancellation).ConfigureAwait(false);
            context.Say(string.Create(CultureInfo.InvariantCulture, $"Wrote {lines} flows to {path}"));
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>Writes flows as they come; returns how many.</summary>
    public static async Task<long> ReadAsync(CtlContext context, ExportFlowsRequest request, TextWriter output, TextWriter? progress, CancellationToken cancellation)
    {
        // A million flows take longer than one answer may.
        using AsyncServerStreamingCall<FlowLines> call = context.Connection.Flows.ExportFlows(request, ControlConnection.Endless(cancellation));
        long lines = 0;
        while (await call.ResponseStream.MoveNext(cancellation).ConfigureAwait(false))
        {
            foreach (string line in call.ResponseStream.Current.Lines)
            {
                await output.WriteLineAsync(Human.Clean(line)).ConfigureAwait(false);
                Report(progress, ++lines, "read");
            }
        }

        return lines;
    }

    public static void Print(TextWriter output, TraceFlowResponse trace)
    {
        output.WriteLine($"packet: {Human.Clean(trace.Packet)}");
        foreach (TraceTable table in trace.Tables)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"table {table.Table}: {(table.Flow.Length == 0 ? "no flow matches" : Human.Clean(table.Flow))}"));
            output.WriteLine($"  answered by: {Human.Clean(table.AnsweredBy)}");
            output.WriteLine($"  megaflow: {Human.Clean(table.Megaflow)}");
            foreach (TraceStep step in table.Steps)
            {
                output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {Human.Clean(step.Kind)} of {step.Rules} flows, mask {Human.Clean(step.Mask)}: {step.Compared} compared, {(step.Hit ? "hit" : "no hit")}"));
            }
        }

        output.WriteLine($"verdict: {Human.Clean(trace.Verdict)}{(trace.Outputs.Count > 0 ? " to " + string.Join(", ", trace.Outputs) : "")}");
        output.WriteLine($"final packet: {Human.Clean(trace.FinalPacket)}");
    }

    public static void Json(Utf8JsonWriter json, TraceFlowResponse trace)
    {
        json.WriteString("packet", trace.Packet);
        json.WriteString("verdict", trace.Verdict);
        json.WriteStartArray("outputs");
        foreach (uint port in trace.Outputs)
        {
            json.WriteNumberValue(port);
        }

        json.WriteEndArray();
        json.WriteString("finalPacket", trace.FinalPacket);
        JsonOutput.Array(json, "tables", trace.Tables, static (w, table) =>
        {
            w.WriteNumber("table", table.Table);
            w.WriteString("flow", table.Flow.Length == 0 ? null : table.Flow);
            w.WriteString("answeredBy", table.AnsweredBy);
            w.WriteString("megaflow", table.Megaflow);
            JsonOutput.Array(w, "steps", table.Steps, static (s, step) =>
            {
                s.WriteString("kind", step.Kind);
                s.WriteString("mask", step.Mask);
                s.WriteNumber("flows", step.Rules);
                s.WriteNumber("compared", step.Compared);
                s.WriteBoolean("hit", step.Hit);
            });
        });
    }

    private static async Task<int> ImportAsync(CtlContext context, string path, CancellationToken cancellation)
    {
        using TextReader input = path == "-" ? Console.In : new StreamReader(path);
        using AsyncClientStreamingCall<ImportFlowsRequest, ImportFlowsResponse> call = context.Connection.Flows.ImportFlows(ControlConnection.Endless(cancellation));
        ImportFlowsRequest batch = new();
        long lines = 0;
        while (await input.ReadLineAsync(cancellation).ConfigureAwait(false) is { } line)
        {
            batch.Lines.Add(line);
            Report(context.Quiet ? null : context.Error, ++lines, "sent");
            if (batch.Lines.Count == BatchLines)
            {
                await call.RequestStream.WriteAsync(batch, cancellation).ConfigureAwait(false);
                batch = new ImportFlowsRequest();
            }
        }

        await call.RequestStream.WriteAsync(batch, cancellation).ConfigureAwait(false);
        await call.RequestStream.CompleteAsync().ConfigureAwait(false);
        ImportFlowsResponse response = await call.ResponseAsync.ConfigureAwait(false);
        foreach (string problem in response.Problems)
        {
            await context.Error.WriteLineAsync($"dpuctl: {Human.Clean(problem)}").ConfigureAwait(false);
        }

        if (context.Json)
        {
            context.WriteJson(json =>
            {
                json.WriteNumber("added", response.Added);
                json.WriteNumber("replaced", response.Replaced);
                json.WriteNumber("repeated", response.Repeated);
                json.WriteNumber("refused", response.Refused);
            });
        }

        context.Say(string.Create(CultureInfo.InvariantCulture, $"Added {response.Added} flows, replaced {response.Replaced}, refused {response.Refused}"));
        return response.Refused > 0 ? ExitCodes.Failure : ExitCodes.Success;
    }

    private static void Report(TextWriter? progress, long lines, string what)
    {
        if (lines % ReportLines == 0)
        {
            progress?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{lines} flows {what}"));
        }
    }
}
