using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Proto.V1;
using Grpc.Core;

namespace Dpu.Runtime.Flows;

/// <summary>The control interface of the flow table, <c>dpu.v1.Flows</c>.</summary>
public sealed class FlowsService(FlowTableHost host) : Dpu.Proto.V1.Flows.FlowsBase
{
    // Flows of one message, and of one commit: some 100 KB of text.
    private const int BatchFlows = 1000;

    // Refused lines that are named; the rest is counted.
    private const int MaxProblems = 20;

    /// <inheritdoc/>
    public override Task<FlowTableStatus> GetFlowTable(GetFlowTableRequest request, ServerCallContext context)
    {
        FlowTableStatistics statistics = host.Table.Statistics;
        return Task.FromResult(new FlowTableStatus
        {
            Flows = (ulong)statistics.Flows,
            MaxFlows = (ulong)statistics.MaxFlows,
            Tables = (uint)statistics.Tables,
            Masks = (uint)statistics.Masks,
            ActionLists = (uint)statistics.ActionLists,
            Bytes = (ulong)statistics.Bytes,
        });
    }

    /// <inheritdoc/>
    public override async Task ExportFlows(ExportFlowsRequest request, IServerStreamWriter<FlowLines> responseStream, ServerCallContext context)
    {
        FlowMatch match = MatchOf(request.Match);
        byte? table = TableOf(request.TablePlusOne);
        for (int first = 0; ;)
        {
            IReadOnlyList<FlowRecord> records = host.Table.Read(ref first, BatchFlows);
            if (records.Count == 0)
            {
                return;
            }

            FlowLines lines = new();
            foreach (FlowRecord record in records)
            {
                if ((table is null || record.Definition.Table == table) && match.Contains(record.Definition.Match.Canonical()))
                {
                    lines.Lines.AddRange(Format(record, request.Form));
                }
            }

            if (lines.Lines.Count > 0)
            {
                await responseStream.WriteAsync(lines, context.CancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <inheritdoc/>
    public override async Task<ImportFlowsResponse> ImportFlows(IAsyncStreamReader<ImportFlowsRequest> requestStream, ServerCallContext context)
    {
        FlowTextReader reader = new();
        ImportFlowsResponse response = new();
        ulong number = 0;
        while (await requestStream.MoveNext(context.CancellationToken).ConfigureAwait(false))
        {
            ImportFlowsRequest lines = requestStream.Current;
            host.Table.Batch(table =>
            {
                foreach (string line in lines.Lines)
                {
                    Import(table, reader, line, ++number, response);
                }
            });
        }

        response.Repeated = (ulong)reader.Repeated;
        return response;
    }

    /// <inheritdoc/>
    public override Task<DeleteFlowsResponse> DeleteFlows(DeleteFlowsRequest request, ServerCallContext context)
    {
        FlowMatch match = MatchOf(request.Match);
        byte? table = TableOf(request.TablePlusOne);
        ulong deleted = 0;
        host.Table.Batch(flows =>
        {
            IEnumerable<FlowId> found = request.Strict
                ? [flows.Find(table ?? 0, (ushort)Math.Min(request.Priority, ushort.MaxValue), match)]
                : flows.FindLoose(table, match);
            foreach (FlowId id in found)
            {
                deleted += flows.Delete(id) ? 1u : 0;
            }
        });
        return Task.FromResult(new DeleteFlowsResponse { Deleted = deleted });
    }

    /// <inheritdoc/>
    public override Task<TraceFlowResponse> TraceFlow(TraceFlowRequest request, ServerCallContext context)
    {
        FlowKey key = Text(() => PacketText.Parse(request.Packet, request.InPort, out _));
        using FlowTracer tracer = new(host.Table);
        FlowTrace trace = tracer.Trace(key);
        TraceFlowResponse response = new() { Packet = PacketText.Format(key), Verdict = Word(trace.Result), FinalPacket = PacketText.Format(trace.Key) };
        response.Outputs.AddRange(trace.Outputs);
        foreach (FlowTraceTable table in trace.Tables)
        {
            TraceTable told = new()
            {
                Table = table.Table,
                Flow = table.Flow is null ? "" : OpenFlowText.Format(table.Flow.Definition),
                Megaflow = Bits(table.Megaflow, table.Key),
                AnsweredBy = table.Answered.ToString().ToLowerInvariant(),
            };
            told.Steps.AddRange(table.Steps.Select(step => new TraceStep { Kind = step.Kind, Mask = Bits(step.Mask, default), Rules = (uint)step.Rules, Compared = (uint)step.Compared, Hit = step.Hit is not null }));
            response.Tables.Add(told);
        }

        return Task.FromResult(response);
    }

    private static void Import(FlowTable table, FlowTextReader reader, string line, ulong number, ImportFlowsResponse response)
    {
        string? problem = null;
        try
        {
            if (reader.Read(line) is { } flow)
            {
                switch (table.Add(flow.Definition, out _))
                {
                    case FlowAddResult.Added:
                        response.Added++;
                        break;
                    case FlowAddResult.Replaced:
                        response.Replaced++;
                        break;
                    case FlowAddResult.Full:
                        problem = string.Create(CultureInfo.InvariantCulture, $"the table is full ({table.Statistics.MaxFlows} flows); delete some");
                        break;
                    default:
                        problem = "there are too many different masks";
                        break;
                }
            }
        }
        catch (Exception e) when (e is FlowTextException or ArgumentException)
        {
            // Expected: text that is no flow, or a goto that could circle.
            problem = e.Message;
        }

        if (problem is not null)
        {
            response.Refused++;
            if (response.Problems.Count < MaxProblems)
            {
                response.Problems.Add(string.Create(CultureInfo.InvariantCulture, $"line {number}: {problem}"));
            }
        }
    }

    private static IEnumerable<string> Format(FlowRecord record, FlowForm form) => form switch
    {
        FlowForm.Json => [FlowJson.Format(record.Definition, record.Counters)],
        FlowForm.OvsStrict => OpenFlowText.WithoutRanges(record.Definition).Select(flow => OpenFlowText.Format(flow)),
        _ => [OpenFlowText.Format(record.Definition, record.Counters)],
    };

    // Which bits count, as a match of the packet.
    private static string Bits(FlowMask mask, FlowKey key)
    {
        FlowMatch match = FlowMatch.Any;
        (match.Mask, match.Key) = (mask, mask.Apply(key));
        return mask.IsEmpty ? "any" : MatchText.Format(match);
    }

    private static string Word(PacketVerdict verdict) => verdict switch
    {
        PacketVerdict.NoMatch => "no match",
        _ => verdict.ToString().ToLowerInvariant(),
    };

    private static FlowMatch MatchOf(string text) => Text(() => MatchText.Parse(text));

    private static byte? TableOf(uint tablePlusOne) => tablePlusOne switch
    {
        0 => null,
        <= FlowTable.MaxTables => (byte)(tablePlusOne - 1),
        _ => throw new RpcException(new Status(StatusCode.InvalidArgument, $"there is no table {tablePlusOne - 1}; tables are 0 to {FlowTable.MaxTables - 1}")),
    };

    private static T Text<T>(Func<T> parse)
    {
        try
        {
            return parse();
        }
        catch (FlowTextException e)
        {
            throw new RpcException(new Status(StatusCode.InvalidArgument, e.Message));
        }
    }
}
