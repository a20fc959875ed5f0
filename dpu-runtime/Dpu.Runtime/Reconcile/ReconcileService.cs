using Dpu.Hosting.Control;
using Dpu.Proto.V1;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;

namespace Dpu.Runtime.Reconcile;

/// <summary>The control interface of what is kept in step, <c>dpu.v1.Reconcile</c>.</summary>
public sealed class ReconcileService(PairTable pairs) : Dpu.Proto.V1.Reconcile.ReconcileBase
{
    /// <inheritdoc/>
    public override Task<ListReconcilePairsResponse> ListReconcilePairs(ListReconcilePairsRequest request, ServerCallContext context)
    {
        ListReconcilePairsResponse response = new();
        response.Pairs.AddRange(Paging.Page(pairs.All, request.PageSize, request.PageToken, out string next).Select(runner => Message(runner.State)));
        response.NextPageToken = next;
        return Task.FromResult(response);
    }

    /// <inheritdoc/>
    public override async Task<ReconcilePair> RunReconcilePass(RunReconcilePassRequest request, ServerCallContext context)
    {
        PairRunner runner = pairs.All.FirstOrDefault(r => r.State.Configuration.Name == request.Name)
            ?? throw new RpcException(new Status(StatusCode.NotFound, $"there is no pair '{request.Name}' in \"reconcile\" of the configuration; 'dpuctl reconcile pairs' lists them"));
        try
        {
            await runner.RunAsync(context.CancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!context.CancellationToken.IsCancellationRequested)
        {
            throw new RpcException(new Status(StatusCode.Aborted, $"the pair '{request.Name}' went while the pass ran: the configuration was changed, or the runtime stops"));
        }

        return Message(runner.State);
    }

    private static ReconcilePair Message(PairState state)
    {
        ReconcilePair message = new()
        {
            Name = state.Configuration.Name,
            Desired = state.Configuration.Desired,
            Actual = state.Configuration.Actual,
            Apply = state.Configuration.Apply,
            Running = state.Running,
            Passes = state.Passes,
            Failures = state.Failures,
            Last = state.Last is { } last ? Timestamp.FromDateTimeOffset(last) : null,
            Problem = state.Problem ?? "",
            Found = (ulong)state.Found,
            Remaining = (ulong)state.Remaining,
            RepairFailures = state.Changes.Failed,
        };
        foreach ((string word, int count) in state.Categories.Where(c => c.Count > 0))
        {
            message.Categories.Add(word, (ulong)count);
        }

        return message;
    }
}
