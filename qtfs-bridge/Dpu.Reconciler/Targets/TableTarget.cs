using Dpu.Flows.Table;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Targets;

/// <summary>Our own flow table. Flows that change keep their counters where their actions alone change.</summary>
public sealed class TableTarget(FlowTable table, string name = "table") : IFlowTarget
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public TargetTraits Traits { get; } = new(Writable: true, UniqueKeys: true, Cookies: true, Timeouts: true, table.Statistics.MaxFlows);

    /// <inheritdoc/>
    public TargetDump Read(CancellationToken cancellation = default)
    {
        FlowSet flows = new();
        TargetDump? dump = null;

        // Within a batch, so that no other writer comes between and the dump is of one moment.
        table.Batch(locked =>
        {
            foreach (FlowRecord record in locked.ReadAll())
            {
                cancellation.ThrowIfCancellationRequested();
                _ = flows.Add(record.Definition, new FlowFacts(record.Id.Value, record.Counters.Packets, record.Counters.Bytes));
            }

            dump = new TargetDump(flows, Interrupted: false, table.Statistics.Flows);
        });
        return dump!;
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(changes);
        List<ChangeResult> results = [];
        table.Batch(locked => results.AddRange(changes.Select(Apply)));
        return results;
    }

    /// <inheritdoc/>
    public (ulong Packets, ulong Bytes)? Find(ulong handle) =>
        table.TryReadCounters(new FlowId(handle), out FlowCounters counters) ? (counters.Packets, counters.Bytes) : null;

    /// <inheritdoc/>
    public string? RefusalOf(FlowDefinition flow) => null;

    private ChangeResult Apply(TargetChange change)
    {
        if (change.Flow is not { } flow)
        {
            return table.Delete(new FlowId(change.Handle)) ? new ChangeResult(ChangeStatus.Done) : new ChangeResult(ChangeStatus.Gone, 0, "the table has no such flow");
        }

        FlowAddResult added;
        FlowId id;
        try
        {
            if (change.Handle != 0 && change.Definition is { } old && old.Cookie == flow.Cookie && old.IdleTimeout == flow.IdleTimeout && old.HardTimeout == flow.HardTimeout
                && table.Modify(new FlowId(change.Handle), flow.Actions))
            {
                return new ChangeResult(ChangeStatus.Done, change.Handle);
            }

            added = table.Add(flow, out id);
        }
        catch (ArgumentException e)
        {
            // Expected: a goto that could circle, or actions that are too long. The other changes of the batch go on.
            return new ChangeResult(ChangeStatus.Refused, 0, e.Message);
        }

        return added switch
        {
            FlowAddResult.Full => new ChangeResult(ChangeStatus.Full, 0, "the table has as many flows as it may"),
            FlowAddResult.TooManyMasks => new ChangeResult(ChangeStatus.Refused, 0, "its mask would be one too many"),
            _ => new ChangeResult(ChangeStatus.Done, id.Value),
        };
    }
}
