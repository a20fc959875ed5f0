using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.Repair;

/// <summary>
/// Carries a plan out. Nothing goes before what takes its place was seen in the target: after the adds the target is read
/// again, and where one of them is not there, nothing is deleted in this round. One thread at a time.
/// </summary>
internal sealed class RepairExecutor(IFlowTarget target, ReconcilerOptions options, TokenBucket bucket, CarriedCounters carried, Func<TimeSpan, CancellationToken, Task> wait)
{
    private readonly Dictionary<ulong, ulong> _replacedBy = []; // Names of old entries: those of the new ones.
    private readonly HashSet<int> _missing = []; // Desired flows that went in, and are not known to be there.
    private readonly HashSet<int> _put = []; // Those that the target said went in.
    private RepairCounts _counts;

    /// <summary>Why the target did not take desired flows, by number, in this pass: they are not tried again in it.</summary>
    internal Dictionary<int, string> GivenUp { get; } = [];

    /// <summary>Target's names of what was put in.</summary>
    internal HashSet<ulong> Made { get; } = [];

    /// <summary>Carries out; returns what was done.</summary>
    internal async Task<RepairCounts> RunAsync(RepairPlan plan, DiffOptions compare, CancellationToken cancellation)
    {
        _counts = default;
        _missing.Clear();
        _put.Clear();
        bool added = false;
        for (int at = 0; at < plan.Steps.Count;)
        {
            RepairAction action = plan.Steps[at].Action;
            int end = at + 1;
            while (end < plan.Steps.Count && end - at < options.BatchSize && plan.Steps[end].Action == action)
            {
                end++;
            }

            RepairStep[] batch = [.. plan.Steps.Skip(at).Take(end - at)];
            at = end;
            cancellation.ThrowIfCancellationRequested();
            if (action != RepairAction.Delete)
            {
                await PutAsync(plan.Diff, batch, cancellation).ConfigureAwait(false);
                added = true;
                continue;
            }

            // Between adds of a full table there is no time for a dump: there it is what the target says of each of them.
            if (added && !plan.IsInterleaved)
            {
                added = false;
                await CheckAsync(plan.Diff, compare, cancellation).ConfigureAwait(false);
            }

            if (_missing.Count > 0)
            {
                return _counts;
            }

            await TakeOutAsync(plan.Diff, batch, cancellation).ConfigureAwait(false);
        }

        return _counts;
    }

    private async Task PutAsync(DiffResult diff, RepairStep[] steps, CancellationToken cancellation)
    {
        Backoff backoff = new();
        for (int attempt = 1; steps.Length > 0; attempt++)
        {
            await PaceAsync(steps.Length, cancellation).ConfigureAwait(false);
            IReadOnlyList<ChangeResult> results = target.Apply(
                [.. steps.Select(step => new TargetChange(
                    diff.Desired.Definition(step.Desired),
                    step.Actual < 0 ? 0 : diff.Actual.HandleOf(step.Actual),
                    step.Actual < 0 ? null : diff.Actual.Definition(step.Actual)))],
                cancellation);
            List<RepairStep> again = [];
            for (int i = 0; i < steps.Length; i++)
            {
                if (results[i].Status == ChangeStatus.Full && attempt < options.Attempts)
                {
                    again.Add(steps[i]);
                }
                else
                {
                    Put(diff, steps[i], results[i]);
                }
            }

            steps = [.. again];
            if (steps.Length > 0)
            {
                await wait(backoff.Failed(), cancellation).ConfigureAwait(false);
            }
        }
    }

    private void Put(DiffResult diff, RepairStep step, ChangeResult result)
    {
        bool isThere = result.Status == ChangeStatus.Done && (result.Handle == 0 || target.Find(result.Handle) is not null);
        if (!isThere)
        {
            _missing.Add(step.Desired);
            _counts += new RepairCounts(0, 0, 0, 1);
            if (result.Status is ChangeStatus.Refused or ChangeStatus.Full)
            {
                // What went meanwhile can be put in as a new flow, in the next round.
                GivenUp[step.Desired] = result.Reason;
            }

            return;
        }

        _put.Add(step.Desired);
        _counts += step.Action == RepairAction.Add ? new RepairCounts(1, 0, 0, 0) : new RepairCounts(0, 1, 0, 0);
        if (result.Handle != 0)
        {
            Made.Add(result.Handle);
        }

        Difference difference = step.For;
        if (difference.Actual < 0 || result.Handle == 0)
        {
            return;
        }

        ulong old = diff.Actual.HandleOf(difference.Actual);
        if (step.Action == RepairAction.Add)
        {
            _replacedBy[old] = result.Handle;
        }
        else if (old != result.Handle || result.CountersBeginAnew)
        {
            // Its place was taken, and it cannot be asked any more.
            carried.Carry(old, result.Handle, diff.Actual.PacketsOf(difference.Actual), diff.Actual.BytesOf(difference.Actual));
        }
    }

    private async Task TakeOutAsync(DiffResult diff, RepairStep[] steps, CancellationToken cancellation)
    {
        if (steps.Length == 0)
        {
            return;
        }

        await PaceAsync(steps.Length, cancellation).ConfigureAwait(false);
        ulong[] handles = [.. steps.Select(step => diff.Actual.HandleOf(step.Actual))];
        (ulong Packets, ulong Bytes)?[] last = [.. handles.Select(handle => _replacedBy.ContainsKey(handle) ? target.Find(handle) : null)];
        IReadOnlyList<ChangeResult> results = target.Apply(
            [.. steps.Select((step, i) => new TargetChange(null, handles[i], diff.Actual.Definition(step.Actual)))], cancellation);
        for (int i = 0; i < steps.Length; i++)
        {
            bool done = results[i].Status is ChangeStatus.Done;
            _counts += done ? new RepairCounts(0, 0, 1, 0) : results[i].Status == ChangeStatus.Gone ? default : new RepairCounts(0, 0, 0, 1);
            if (done && last[i] is { } counted && _replacedBy.Remove(handles[i], out ulong heir))
            {
                carried.Carry(handles[i], heir, counted.Packets, counted.Bytes);
            }
        }
    }

    // The adds as a dump shows them: there, and as they should be.
    private async Task CheckAsync(DiffResult diff, DiffOptions compare, CancellationToken cancellation)
    {
        FlowSet now = (await TargetReader.ReadAsync(target, options, wait, cancellation).ConfigureAwait(false)).Flows;
        foreach (Difference difference in FlowDiff.Compare(diff.Desired, now, compare with { RefusalOf = null }).Differences)
        {
            if (difference.Category is DifferenceCategory.Missing or DifferenceCategory.Divergent && _put.Contains(difference.Desired) && _missing.Add(difference.Desired))
            {
                _counts += new RepairCounts(0, 0, 0, 1);
            }
        }
    }

    private async Task PaceAsync(int changes, CancellationToken cancellation)
    {
        if (bucket.Take(changes) is { Ticks: > 0 } delay)
        {
            await wait(delay, cancellation).ConfigureAwait(false);
        }
    }
}
