using Dpu.Flows.Classifier;
using Dpu.Flows.Nic;
using Dpu.Flows.Table;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Targets;

/// <summary>The table of a NIC: entries by handle, several of one key possible, no change in place. It has table 0 alone.</summary>
public sealed class NicTarget(INicTable nic, string name = "nic") : IFlowTarget
{
    private readonly Dictionary<(ushort Priority, FlowMatch Match), string> _refusals = [];

    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public TargetTraits Traits { get; } = new(Writable: true, UniqueKeys: false, Cookies: true, Timeouts: false, nic.Capacity);

    /// <inheritdoc/>
    public TargetDump Read(CancellationToken cancellation = default)
    {
        FlowSet flows = new();
        bool interrupted = false;
        for (long position = 0; position >= 0;)
        {
            cancellation.ThrowIfCancellationRequested();
            NicDumpStep step = nic.Dump(position);
            foreach (NicEntry entry in step.Entries)
            {
                _ = flows.Add(
                    0, entry.Flow.Priority, entry.Flow.Match, entry.Flow.Cookie, flows.Actions.Of(entry.Flow.Actions), 0, 0,
                    new FlowFacts(entry.Handle.Value, entry.Counters.Packets, entry.Counters.Bytes));
            }

            interrupted |= step.Interrupted;
            position = step.Next;
        }

        return new TargetDump(flows, interrupted, nic.Count);
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(changes);
        if (changes.Count == 0)
        {
            return [];
        }

        NicStatus[] status = new NicStatus[changes.Count];
        NicHandle[] handles = [.. changes.Select(change => new NicHandle(change.Handle))];
        if (changes[0].Flow is null)
        {
            nic.Delete(handles, status);
            return [.. status.Select(s => new ChangeResult(StatusOf(s), 0, s == NicStatus.Ok ? "" : "the NIC has no such entry"))];
        }

        nic.Insert([.. changes.Select(change => FlowOf(change.Flow!))], handles, status);
        if (_refusals.Count >= TargetTraits.MaxRefusals)
        {
            _refusals.Clear();
        }

        ChangeResult[] results = new ChangeResult[changes.Count];
        for (int i = 0; i < results.Length; i++)
        {
            FlowDefinition flow = changes[i].Flow!;
            string reason = flow.Table != 0 ? "the NIC has one table" : status[i] switch
            {
                NicStatus.Full => $"the NIC says that it is full, with {nic.Count} of {nic.Capacity} entries",
                NicStatus.Unsupported => "the NIC cannot match that, or cannot do it",
                _ => "",
            };
            _ = reason.Length == 0 ? _refusals.Remove((flow.Priority, flow.Match.Canonical())) : (_refusals[(flow.Priority, flow.Match.Canonical())] = reason) is null;
            results[i] = new ChangeResult(StatusOf(status[i]), handles[i].Value, reason);
        }

        return results;
    }

    /// <inheritdoc/>
    public (ulong Packets, ulong Bytes)? Find(ulong handle) =>
        nic.Query(new NicHandle(handle), out NicCounters counters) == NicStatus.Ok ? (counters.Packets, counters.Bytes) : null;

    /// <inheritdoc/>
    public string? RefusalOf(FlowDefinition flow)
    {
        ArgumentNullException.ThrowIfNull(flow);
        return _refusals.Count == 0 ? null : _refusals.GetValueOrDefault((flow.Priority, flow.Match.Canonical()));
    }

    // What one table cannot hold is given as what the NIC refuses: on to a table that it does not have.
    private static NicFlow FlowOf(FlowDefinition flow) =>
        new(flow.Cookie, flow.Priority, flow.Match, flow.Table == 0 ? flow.Actions : [FlowAction.Goto(flow.Table)]);

    private static ChangeStatus StatusOf(NicStatus status) => status switch
    {
        NicStatus.Ok => ChangeStatus.Done,
        NicStatus.Full => ChangeStatus.Full,
        NicStatus.NoSuchEntry => ChangeStatus.Gone,
        _ => ChangeStatus.Refused,
    };
}
