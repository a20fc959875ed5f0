using System.Threading.Channels;
using Dpu.Flows.Table;
using Dpu.Hosting.Configuration;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.History;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Reports;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.TrafficControl;

namespace Dpu.Runtime.Reconcile;

/// <summary>
/// Keeps one pair in step: each interval, when the runtime's table or filters of traffic control have changed, and on request. A pass runs on a thread of its own, since targets
/// may block: one that does not answer holds up this pair's next pass, and nothing else. Thread-safe.
/// </summary>
public sealed class PairRunner : IDisposable
{
    /// <summary>After a change of the table more changes are waited for, so that a load of many flows is one event.</summary>
    public static readonly TimeSpan Settle = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan _stopLimit = TimeSpan.FromSeconds(2);
    private readonly FlowTable _table;
    private readonly Func<ReconcileHistory?> _history;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Channel<TaskCompletionSource?> _wanted = Channel.CreateBounded<TaskCompletionSource?>(new BoundedChannelOptions(64) { SingleReader = true });
    private readonly List<TaskCompletionSource> _waiting = [];
    private readonly Action _changed;
    private readonly List<TcWatch> _watches = [];
    private FlowReconciler? _reconciler;
    private List<IDisposable> _targets = [];
    private PairState _state;
    private Task _loop = Task.CompletedTask;
    private int _eventAsked;
    private bool _wasInStep = true;
    private bool _isAbandoned; // A pass that does not end has the targets.

    /// <summary>For a pair; <see cref="Start"/> begins.</summary>
    /// <param name="configuration">The pair.</param>
    /// <param name="table">The runtime's table.</param>
    /// <param name="history">Opens the history, for each pass; null where none is kept.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The log.</param>
    public PairRunner(ReconcilePairConfiguration configuration, FlowTable table, Func<ReconcileHistory?> history, TimeProvider time, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(time);
        (_table, _history, _time, _logger) = (table, history, time, logger);
        _state = new PairState(configuration, time.GetTimestamp());
        _changed = () =>
        {
            // Within the table's writer: nothing but a note. One is enough for any number of changes.
            if (Interlocked.Exchange(ref _eventAsked, 1) == 0)
            {
                _ = _wanted.Writer.TryWrite(null);
            }
        };
    }

    /// <summary>What came of it so far.</summary>
    public PairState State => Volatile.Read(ref _state);

    /// <summary>Seconds since the last pass that did not fail, or since the beginning.</summary>
    public double Age => _time.GetElapsedTime(State.LastGood ?? State.Since).TotalSeconds;

    /// <summary>Nothing of it runs any more.</summary>
    public bool HasEnded => _loop.IsCompleted && !_isAbandoned;

    private ReconcilePairConfiguration Configuration => State.Configuration;

    /// <summary>Begins, with a first pass at once.</summary>
    /// <param name="after">Ends when others have left the same targets.</param>
    public void Start(Task after)
    {
        if (Configuration.OnEvents && (Configuration.Desired == "runtime" || Configuration.Actual == "runtime"))
        {
            _table.Committed += _changed;
        }

        if (Configuration.OnEvents)
        {
            Watch();
        }

        _loop = Task.Run(async () =>
        {
            await after.ConfigureAwait(false);
            await LoopAsync().ConfigureAwait(false);
        });
    }

    /// <summary>Has a pass run that begins from now on, and waits for its end.</summary>
    /// <exception cref="OperationCanceledException">The pair is no more, or the caller gave up.</exception>
    public async Task RunAsync(CancellationToken cancellation)
    {
        TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await _wanted.Writer.WriteAsync(done, cancellation).ConfigureAwait(false);
        using CancellationTokenRegistration ended = _stop.Token.Register(() => done.TrySetCanceled());
        await done.Task.WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Ends it: a pass that is under way ends between two batches; one that does not within 2 s is left to its thread.</summary>
    public async Task StopAsync()
    {
        _table.Committed -= _changed;
        _watches.ForEach(watch => watch.Dispose());
        _watches.Clear();
        await _stop.CancelAsync().ConfigureAwait(false);
        try
        {
            await _loop.WaitAsync(2 * _stopLimit, _time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // Its thread is in the background, and ends with the process at the latest.
            Log.Stuck(_logger, Configuration.Name, _stopLimit);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();

    private async Task LoopAsync()
    {
        try
        {
            while (true)
            {
                await PassAsync().ConfigureAwait(false);
                bool byEvent = await NextAsync().ConfigureAwait(false);
                if (byEvent && _waiting.Count == 0)
                {
                    await Task.Delay(Settle, _time, _stop.Token).ConfigureAwait(false);
                }

                // What changes from here on is another event.
                Interlocked.Exchange(ref _eventAsked, 0);
                while (_wanted.Reader.TryRead(out TaskCompletionSource? more))
                {
                    Wait(more);
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Expected: that is how it ends.
        }
        finally
        {
            _waiting.ForEach(waiting => waiting.TrySetCanceled());
            if (!_isAbandoned)
            {
                _targets.ForEach(target => target.Dispose());
            }
        }
    }

    // What cannot be heard of is found by the next interval's pass.
    private void Watch()
    {
        foreach (string side in (string[])[Configuration.Desired, Configuration.Actual])
        {
            if (side.StartsWith("tc:", StringComparison.Ordinal) && TcPlace.TryParse(side["tc:".Length..], out TcPlace? place))
            {
                try
                {
                    _watches.Add(new TcWatch(place, _changed));
                }
                catch (TargetException e)
                {
                    Log.NoEvents(_logger, Configuration.Name, side, e.Message);
                }
            }
        }
    }

    // Waits for the interval's end, a change or a request; true for one of both.
    private async Task<bool> NextAsync()
    {
        using CancellationTokenSource interval = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        Task<bool> wanted = _wanted.Reader.WaitToReadAsync(interval.Token).AsTask();
        Task elapsed = Task.Delay(Configuration.Interval, _time, interval.Token);
        Task first = await Task.WhenAny(wanted, elapsed).ConfigureAwait(false);
        await interval.CancelAsync().ConfigureAwait(false);
        _stop.Token.ThrowIfCancellationRequested();
        if (first != wanted)
        {
            return false;
        }

        while (_wanted.Reader.TryRead(out TaskCompletionSource? asked))
        {
            Wait(asked);
        }

        return true;
    }

    private void Wait(TaskCompletionSource? asked)
    {
        if (asked is not null)
        {
            _waiting.Add(asked);
        }
    }

    private async Task PassAsync()
    {
        TaskCompletionSource[] answered = [.. _waiting];
        _waiting.Clear();
        _state = State with { Running = true };
        using CancellationTokenSource limit = new(Configuration.Timeout, _time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, limit.Token);
        Task pass = Task.Factory.StartNew(() => Pass(both.Token, limit.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        TaskCompletionSource late = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (both.Token.Register(() => late.TrySetResult()).ConfigureAwait(false))
        {
            _ = await Task.WhenAny(pass, late.Task).ConfigureAwait(false);
        }

        if (!pass.IsCompleted)
        {
            try
            {
                // It was cancelled, by its limit or because the pair goes; most end with the next batch.
                await pass.WaitAsync(_stopLimit, _time).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                _isAbandoned = true;
                _stop.Token.ThrowIfCancellationRequested();
                // Told once; metrics show the age of the last pass.
                Log.Stuck(_logger, Configuration.Name, Configuration.Timeout);
                _state = State with { Problem = $"the pass does not end, although it was given up after {Configuration.Timeout}" };
                foreach (TaskCompletionSource answer in answered)
                {
                    answer.TrySetResult();
                }

                await pass.WaitAsync(_stop.Token).ConfigureAwait(false);
                _isAbandoned = false;
            }
        }

        await pass.ConfigureAwait(false);
        _state = State with { Running = false };
        foreach (TaskCompletionSource answer in answered)
        {
            answer.TrySetResult();
        }
    }

    // On a thread of its own, which may block.
    private void Pass(CancellationToken cancellation, CancellationToken limit)
    {
        long start = _time.GetTimestamp();
        string? failure = null;
        try
        {
            _reconciler ??= Make();
            PassReport report = _reconciler.RunAsync(Configuration.Apply, cancellation).GetAwaiter().GetResult();
            Took(report);
            Keep(history => history.Add(report));
        }
        catch (OperationCanceledException) when (!limit.IsCancellationRequested)
        {
            // Expected: the runtime stops.
            return;
        }
        catch (OperationCanceledException)
        {
            failure = $"it took longer than {DurationText.Format(Configuration.Timeout)} (\"timeout\")";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            failure = e.Message;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // A bug: it ends this pass, and not the pair.
            failure = $"the pass broke: {e}";
        }

        if (failure is not null)
        {
            // What is open may be of a device or daemon that is gone.
            _targets.ForEach(target => target.Dispose());
            (_reconciler, _targets) = (null, []);
            if (State.Problem != failure)
            {
                Log.Failed(_logger, Configuration.Name, failure);
            }

            TimeSpan duration = _time.GetElapsedTime(start);
            _state = State with { Passes = State.Passes + 1, Failures = State.Failures + 1, Last = _time.GetUtcNow(), Duration = duration, Problem = failure };
            Keep(history => history.AddFailure(_time.GetUtcNow(), duration, (Configuration.Desired, Configuration.Actual), failure));
        }
    }

    private void Took(PassReport report)
    {
        RepairCounts counts = report.Counts;
        (ulong added, ulong replaced, ulong deleted, ulong failed) = State.Changes;
        bool repaired = report.Applied && report.Rounds > 0;
        if (repaired)
        {
            Log.Repaired(_logger, Configuration.Name, counts.Added, counts.Replaced, counts.Deleted, counts.Failed, report.Remaining.Problems);
        }

        if (report.Refused is { } refused && State.Problem != refused)
        {
            Log.Refused(_logger, Configuration.Name, refused);
        }

        if (report.InStep != _wasInStep)
        {
            string summary = TextReport.Summary(report.Remaining, report.Names);
            if (report.InStep)
            {
                Log.InStep(_logger, Configuration.Name, summary);
            }
            else
            {
                Log.OutOfStep(_logger, Configuration.Name, summary);
            }
        }

        _wasInStep = report.InStep;
        _state = State with
        {
            Passes = State.Passes + 1,
            LastGood = _time.GetTimestamp(),
            Last = report.Time,
            Duration = report.Duration,
            Problem = report.Refused,
            Found = report.Found.Problems,
            Remaining = report.Remaining.Problems,
            Categories = [.. TextReport.Counts(report.Remaining)],
            Changes = (added + (ulong)counts.Added, replaced + (ulong)counts.Replaced, deleted + (ulong)counts.Deleted, failed + (ulong)counts.Failed),
        };
    }

    private void Keep(Func<ReconcileHistory, long> add)
    {
        try
        {
            using ReconcileHistory? history = _history();
            _ = history is null ? 0 : add(history);
        }
        catch (HistoryException e)
        {
            Log.NoHistory(_logger, e.Message);
        }
    }

    private FlowReconciler Make() => new(Target(Configuration.Desired), Target(Configuration.Actual), new ReconcilerOptions
    {
        Owner = new OwnerFilter(Configuration.OwnerBits.Cookie, Configuration.OwnerBits.Mask),
        ExpectOffload = Configuration.ExpectOffload,
        MaxDeletes = Configuration.MaxDeletes,
        ChangesPerSecond = Configuration.ChangesPerSecond,
        ConfirmAfter = Configuration.ConfirmAfter,
        CounterDelay = Configuration.CounterDelay > TimeSpan.Zero ? Configuration.CounterDelay : null,
    }, _time, Block);

    // Waits on the pass's own thread: going on elsewhere would have a thread of the pool block in a target.
    private Task Block(TimeSpan delay, CancellationToken cancellation)
    {
        Task.Delay(delay, _time, cancellation).GetAwaiter().GetResult();
        return Task.CompletedTask;
    }

    private IFlowTarget Target(string name)
    {
        string Rest(string kind) => name[kind.Length..];
        if (name.StartsWith("tc:", StringComparison.Ordinal))
        {
            Dictionary<uint, string> devices = Configuration.Ports.Select(p => p.Split('=', 2)).ToDictionary(p => uint.Parse(p[0], System.Globalization.CultureInfo.InvariantCulture), p => p[1]);
            TcTarget target = TcPlace.TryParse(Rest("tc:"), out TcPlace? place) ? new TcTarget(place, devices.Count > 0 ? devices : null)
                : throw new TargetException($"'{name}' is no place of filters; allowed is tc:{TcPlace.Syntax}");
            _targets.Add(target);
            return target;
        }

        return name == "runtime" ? new TableTarget(_table, name)
            : name.StartsWith("bridge:", StringComparison.Ordinal) ? new BridgeTarget(Rest("bridge:"))
            : name.StartsWith("datapath:", StringComparison.Ordinal) ? new DataPathTarget(Rest("datapath:"))
            : !name.StartsWith("emulated:", StringComparison.Ordinal) ? new FileTarget(name)
            : EmulatedTarget.TryParse(Rest("emulated:"), out Func<EmulatedTarget>? make, out string? problem) ? make()
            : throw new TargetException($"'{name}' is no emulated NIC: {problem}; allowed is emulated:{EmulatedTarget.Syntax}");
    }
}
