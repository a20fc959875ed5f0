using Dpu.Ctl.Connection;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Proto.V1;
using Dpu.Reconciler.Targets;
using Grpc.Core;

namespace Dpu.Ctl.Commands;

/// <summary>The runtime's flow table as a target, over the control socket. Flows are named by their keys.</summary>
internal sealed class RuntimeFlowTarget(ControlConnection connection) : IFlowTarget
{
    private TargetTraits? _traits;

    public string Name => "runtime";

    public TargetTraits Traits => _traits ??= new TargetTraits(Writable: true, UniqueKeys: true, Cookies: true, Timeouts: true, Capacity: (int)Math.Min(Status(default).MaxFlows, int.MaxValue));

    public TargetDump Read(CancellationToken cancellation = default)
    {
        FlowFileReader reader = new();
        using AsyncServerStreamingCall<FlowLines> call = connection.Flows.ExportFlows(new ExportFlowsRequest(), ControlConnection.Endless(cancellation));
        while (call.ResponseStream.MoveNext(cancellation).GetAwaiter().GetResult())
        {
            foreach (string line in call.ResponseStream.Current.Lines)
            {
                reader.ReadLine(line);
            }
        }

        return reader.Unreadable == 0
            ? new TargetDump(reader.Flows, Interrupted: false, (int)Math.Min(Status(cancellation).Flows, int.MaxValue))
            : throw new TargetException($"the runtime told flows that this dpuctl cannot read, the first: {reader.Problems[0]}");
    }

    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default)
    {
        if (changes.Count == 0)
        {
            return [];
        }

        if (changes[0].Flow is null)
        {
            return [.. changes.Select(change => Delete(change.Definition!, cancellation))];
        }

        // One answer for all; where something was refused, each is asked for alone, which does no harm to those that are in.
        string[] lines = [.. changes.Select(change => OpenFlowText.Format(change.Flow!))];
        return Import(lines, cancellation).Refused == 0
            ? [.. lines.Select(_ => new ChangeResult(ChangeStatus.Done))]
            : [.. lines.Select(line => Import([line], cancellation) is { Refused: > 0 } answer
                ? new ChangeResult(ChangeStatus.Refused, 0, answer.Problems.Count > 0 ? answer.Problems[0] : "the runtime refused it")
                : new ChangeResult(ChangeStatus.Done))];
    }

    public (ulong Packets, ulong Bytes)? Find(ulong handle) => (0, 0);

    public string? RefusalOf(FlowDefinition flow) => null;

    private ChangeResult Delete(FlowDefinition flow, CancellationToken cancellation)
    {
        DeleteFlowsRequest request = new() { Match = MatchText.Format(flow.Match), TablePlusOne = flow.Table + 1u, Strict = true, Priority = flow.Priority };
        DeleteFlowsResponse response = connection.Flows.DeleteFlowsAsync(request, connection.Options(cancellation)).ResponseAsync.GetAwaiter().GetResult();
        return response.Deleted > 0 ? new ChangeResult(ChangeStatus.Done) : new ChangeResult(ChangeStatus.Gone, 0, "the runtime has no such flow");
    }

    private ImportFlowsResponse Import(string[] lines, CancellationToken cancellation)
    {
        using AsyncClientStreamingCall<ImportFlowsRequest, ImportFlowsResponse> call = connection.Flows.ImportFlows(connection.Options(cancellation));
        call.RequestStream.WriteAsync(new ImportFlowsRequest { Lines = { lines } }, cancellation).GetAwaiter().GetResult();
        call.RequestStream.CompleteAsync().GetAwaiter().GetResult();
        return call.ResponseAsync.GetAwaiter().GetResult();
    }

    private FlowTableStatus Status(CancellationToken cancellation) =>
        connection.Flows.GetFlowTableAsync(new GetFlowTableRequest(), connection.Options(cancellation)).ResponseAsync.GetAwaiter().GetResult();
}
