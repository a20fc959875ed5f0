using Dpu.Flows.Table;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.Repair;

/// <summary>
/// Keeps one target as another one says. A pass reads both, compares, waits and looks again, plans, and, only where that is
/// asked for, repairs and looks once more. It keeps nothing that a next pass needs: one that was interrupted anywhere is
/// followed by one that finds what is left. One pass at a time.
/// </summary>
public sealed class FlowReconciler
{
    private readonly IFlowTarget _desired;
    private readonly IFlowTarget _actual;
    private readonly ReconcilerOptions _options;
    private readonly TimeProvider _time;
    private readonly Func<TimeSpan, CancellationToken, Task> _wait;
    private readonly FlapQuarantine _quarantine;
    private readonly TokenBucket _bucket;
    private readonly CounterWatch? _watch;

    /// <summary>For two targets.</summary>
    /// <param name="desired">What should be.</param>
    /// <param name="actual">What is, and is repaired.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="time">The clock.</param>
    /// <param name="wait">How times pass; null to let them pass on the clock.</param>
    public FlowReconciler(IFlowTarget desired, IFlowTarget actual, ReconcilerOptions? options = null, TimeProvider? time = null, Func<TimeSpan, CancellationToken, Task>? wait = null)
    {
        (_desired, _actual, _options, _time) = (desired, actual, options ?? new ReconcilerOptions(), time ?? TimeProvider.System);
        _wait = wait ?? ((delay, cancellation) => Task.Delay(delay, _time, cancellation));
        _quarantine = new FlapQuarantine(_options.FlapLimit, _options.FlapWindow, _time);
        _bucket = new TokenBucket(_options.ChangesPerSecond, _time);
        _watch = _options.CounterDelay is { } delay ? new CounterWatch(delay, _time) : null;
    }

    /// <summary>What reports call the sides.</summary>
    public (string Desired, string Actual) Names => (_desired.Name, _actual.Name);

    /// <summary>Counters of flows that were replaced.</summary>
    public CarriedCounters Carried { get; } = new();

    /// <summary>Handles of actual flows whose counters are stuck, from a <see cref="CounterWatch"/>, of its own with <see cref="ReconcilerOptions.CounterDelay"/>; null for none.</summary>
    public IReadOnlySet<ulong>? Stuck { get; set; }

    /// <summary>A pass.</summary>
    /// <param name="apply">Repair what is found; otherwise say what would be done.</param>
    /// <param name="cancellation">Ends it between two batches of changes.</param>
    /// <exception cref="TargetException">A side cannot be read or written.</exception>
    public async Task<PassReport> RunAsync(bool apply, CancellationToken cancellation = default)
    {
        long start = _time.GetTimestamp();
        _quarantine.Sweep();
        (DiffResult found, int used) = await FindAsync(cancellation).ConfigureAwait(false);
        Carried.KeepOnly(found.Actual);
        RepairPlan plan = Plan(found, used, [], _options.MaxDeletes);
        string? refused = !apply || plan.Steps.Count == 0 ? null
            : !_actual.Traits.Writable ? $"{_actual.Name} is read only"
            : RepairGuard.ReasonToRefuse(plan, _options);
        PassReport Report(DiffResult remaining, RepairCounts counts, int rounds) => new()
        {
            Time = _time.GetUtcNow(),
            Duration = _time.GetElapsedTime(start),
            Names = (_desired.Name, _actual.Name),
            Found = found,
            Plan = plan,
            Refused = refused,
            Applied = apply,
            Counts = counts,
            Rounds = rounds,
            Remaining = remaining,
            Capacity = _actual.Traits.Capacity,
        };
        if (!apply || refused is not null || plan.Steps.Count == 0)
        {
            return Report(found, default, 0);
        }

        Scope scope = new(found);
        RepairExecutor executor = new(_actual, _options, _bucket, Carried, _wait);
        RepairCounts counts = default;
        DiffResult remaining = found;
        RepairPlan next = plan;
        int rounds = 0;
        Remember(plan);
        while (next.Steps.Count > 0 && rounds < _options.Rounds)
        {
            rounds++;
            counts += await executor.RunAsync(next, Options(), cancellation).ConfigureAwait(false);
            TargetDump dump = await TargetReader.ReadAsync(_actual, _options, _wait, cancellation).ConfigureAwait(false);
            remaining = FlowDiff.Compare(found.Desired, dump.Flows, Options());
            DiffResult ours = remaining with { Differences = [.. remaining.Differences.Where(d => scope.Has(d, remaining, executor.Made))] };
            next = Plan(ours, dump.Flows.Count, executor.GivenUp, Math.Max(0, _options.MaxDeletes - counts.Deleted));
            if (next.Gaps > 0 && !_options.AllowGap)
            {
                break;
            }
        }

        return Report(remaining, counts, rounds);
    }

    private async Task<(DiffResult Found, int Used)> FindAsync(CancellationToken cancellation)
    {
        DiffResult? found = null;
        HashSet<ulong> before = [];
        int used = 0;
        for (int look = 1; look <= Math.Max(1, _options.Confirmations); look++)
        {
            if (look > 1)
            {
                await _wait(_options.ConfirmAfter, cancellation).ConfigureAwait(false);
            }

            // Reading is most of the work, and each side is a target of its own. It may block for long, which the pool's threads must not.
            Task<TargetDump> other = Task.Factory.StartNew(
                () => TargetReader.ReadAsync(_desired, _options, _wait, cancellation), cancellation, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default).Unwrap();
            TargetDump actual = await TargetReader.ReadAsync(_actual, _options, _wait, cancellation).ConfigureAwait(false);
            TargetDump desired = await other.ConfigureAwait(false);
            used = actual.Flows.Count;
            Watch(desired.Flows, actual.Flows);
            DiffResult now = FlowDiff.Compare(desired.Flows, actual.Flows, Options());
            found = look == 1 ? now : now with { Differences = [.. now.Differences.Where(d => before.Contains(Signature(d, now)))] };
            before = [.. found.Differences.Select(d => Signature(d, found))];
            if (found.Problems == 0)
            {
                break;
            }
        }

        return (found!, used);
    }

    private void Watch(FlowSet desired, FlowSet actual)
    {
        if (_watch is null)
        {
            return;
        }

        if (_actual is IPacketSignal signal)
        {
            _watch.Sample(actual, i => signal.PassedOf(actual.HandleOf(i)));
        }
        else
        {
            Dictionary<ulong, ulong> counted = [];
            for (int d = 0; d < desired.Count; d++)
            {
                counted[desired[d].KeyHash] = desired.PacketsOf(d);
            }

            _watch.Sample(actual, i => actual.HandleOf(i) != 0 && counted.TryGetValue(actual[i].KeyHash, out ulong packets) ? packets : null);
        }

        Stuck = _watch.Stuck;
    }

    // What a difference is, from one dump to the next.
    private static ulong Signature(Difference difference, DiffResult diff)
    {
        ulong hash = RecordHash.Add((ulong)difference.Category, (ulong)difference.Divergence);
        hash = RecordHash.Add(hash, difference.Desired < 0 ? 0 : RecordHash.Add(diff.Desired[difference.Desired].KeyHash, 1));
        return RecordHash.Add(hash, difference.Actual < 0 ? 0 : RecordHash.Add(diff.Actual[difference.Actual].KeyHash, diff.Actual[difference.Actual].Handle));
    }

    private RepairPlan Plan(DiffResult diff, int used, Dictionary<int, string> givenUp, int deletes)
    {
        RepairPlan plan = RepairPlanner.Plan(
            diff, _actual.Traits, used,
            d => givenUp.TryGetValue(d, out string? reason) ? reason
                : _quarantine.Holds(diff.Desired[d].KeyHash) ? "it was repaired too often lately, and is left as it is for a while" : null);
        RepairStep[] beyond = [.. plan.Steps.Where(s => s.Action == RepairAction.Delete).Skip(deletes)];
        return beyond.Length == 0 ? plan : plan with
        {
            Steps = [.. plan.Steps.Except(beyond)],
            Left = [.. plan.Left, .. beyond.Select(s => new NotRepaired(s.For, "more deletes than one pass may make"))],
        };
    }

    private void Remember(RepairPlan plan)
    {
        foreach (int d in plan.Steps.Where(s => s.Desired >= 0).Select(s => s.Desired))
        {
            _quarantine.Repaired(plan.Diff.Desired[d].KeyHash);
        }
    }

    private DiffOptions Options()
    {
        (TargetTraits one, TargetTraits other) = (_desired.Traits, _actual.Traits);
        return new DiffOptions
        {
            Owner = _options.Owner,
            CompareCookies = one.Cookies && other.Cookies,
            CompareTimeouts = one.Timeouts && other.Timeouts,
            ExpectOffload = _options.ExpectOffload,
            Stuck = Stuck,
            RefusalOf = _actual.RefusalOf,
        };
    }

    // What later rounds of a pass may touch: the flows that it began with, and what it made itself. What has changed since waits for
    // a next pass to be confirmed.
    private sealed class Scope
    {
        private readonly HashSet<ulong> _keys = [];
        private readonly HashSet<ulong> _handles = [];
        private readonly HashSet<ulong> _correlators = [];

        internal Scope(DiffResult found)
        {
            foreach (Difference difference in found.Differences.Where(d => d.Category != DifferenceCategory.Foreign))
            {
                if (difference.Desired >= 0)
                {
                    _keys.Add(found.Desired[difference.Desired].KeyHash);
                    _correlators.Add(found.Desired[difference.Desired].Correlator);
                }

                if (difference.Actual >= 0)
                {
                    _keys.Add(found.Actual[difference.Actual].KeyHash);
                    _handles.Add(found.Actual[difference.Actual].Handle);
                }
            }

            _correlators.Remove(0);
            _handles.Remove(0);
        }

        internal bool Has(Difference difference, DiffResult diff, HashSet<ulong> made) =>
            (difference.Desired >= 0 && _keys.Contains(diff.Desired[difference.Desired].KeyHash))
            || (difference.Actual >= 0 && diff.Actual[difference.Actual] is var there
                && (_keys.Contains(there.KeyHash) || _handles.Contains(there.Handle) || made.Contains(there.Handle) || _correlators.Contains(there.Correlator)));
    }
}
