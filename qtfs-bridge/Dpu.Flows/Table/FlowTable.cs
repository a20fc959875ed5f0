using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Table;

/// <summary>
/// Up to a million and more flows in up to 255 tables: priorities, cookies, time-outs, counters, actions. One writer at a time
/// (a lock serialises), readers (<see cref="FlowPipeline"/>) wait for nothing. Changes are staged and become visible with
/// <see cref="Commit"/>, those of one table all at once; changed actions of a flow are visible at once.
/// </summary>
/// <remarks>Memory for each flow: a cache line or two of match, 49 bytes of state, two bits, 7 to 14 bytes of hash table.</remarks>
public sealed unsafe partial class FlowTable
{
    /// <summary>Tables that packets can go through: OpenFlow's OFPTT_MAX.</summary>
    public const int MaxTables = 255;

    // Indexes beyond the bound, for flows that are gone while a packet may still be on its way through them.
    private const int LimboFlows = FlowStates.ChunkFlows;

    private readonly Lock _writer = new();
    private readonly FlowTableOptions _options;
    private readonly FlowStates _states;
    private readonly ActionStore _actions = new();
    private readonly FlowClassifier?[] _classifiers = new FlowClassifier?[MaxTables];
    private readonly bool[] _changed = new bool[MaxTables];
    private bool _isDirty; // Something is staged, or was changed in its place.
    private readonly ReaderSlots _readers = new();
    private readonly Stack<uint> _free = new();
    private readonly Queue<(uint Epoch, uint Index, uint Actions)> _limbo = new();
    private uint _next;
    private uint _epoch = 1;
    private int _count;

    /// <summary>An empty table.</summary>
    public FlowTable(FlowTableOptions? options = null, TimeProvider? time = null)
    {
        _options = options ?? new FlowTableOptions();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(_options.MaxFlows);
        _states = new FlowStates(checked(_options.MaxFlows + LimboFlows));
        Time = time ?? TimeProvider.System;
        Clock = new FlowClock(Time);
        Meters = new MeterTable(Time);
    }

    /// <summary>The meters that actions name.</summary>
    public MeterTable Meters { get; }

    /// <summary>What it consists of.</summary>
    public FlowTableStatistics Statistics
    {
        get
        {
            lock (_writer)
            {
                ClassifierStatistics[] classifiers = [.. _classifiers.Where(c => c is not null).Select(c => c!.Statistics)];
                return new FlowTableStatistics(
                    _count, _options.MaxFlows, classifiers.Count(c => c.Rules > 0), classifiers.Sum(c => c.Masks), _actions.Count,
                    _states.Size + _actions.Size + classifiers.Sum(c => c.Bytes) + (_limbo.Count * 12L) + (_free.Count * 4L));
            }
        }
    }

    /// <summary>
    /// Flows were added, changed or deleted. Raised with the commit, by the writer's thread and while no other writer may come: whoever listens makes a
    /// note and returns.
    /// </summary>
    public event Action? Committed;

    internal TimeProvider Time { get; }

    internal FlowClock Clock { get; }

    internal FlowStates States => _states;

    internal ActionStore Actions => _actions;

    internal ReaderSlots Readers => _readers;

    internal ref uint Epoch => ref _epoch;

    /// <summary>The classifier of a table, null where it never had a flow.</summary>
    public FlowClassifier? Classifier(byte table) => table < MaxTables ? Volatile.Read(ref _classifiers[table]) : null;

    /// <summary>Stages a flow; one with the same table, priority and match goes with the same commit.</summary>
    public FlowAddResult Add(FlowDefinition flow, out FlowId id)
    {
        ArgumentNullException.ThrowIfNull(flow);
        CheckActions(flow.Table, flow.Actions);
        lock (_writer)
        {
            FlowClassifier classifier = ClassifierFor(flow.Table);
            FlowMatch match = flow.Match.Canonical();
            uint old = classifier.Find(match, flow.Priority);
            id = FlowId.None;
            if (old == 0 && _count >= _options.MaxFlows)
            {
                return FlowAddResult.Full;
            }

            // A replaced flow keeps its index until readers have left it; where so many wait that none is left, the writer must.
            if (_free.Count == 0 && _next >= _options.MaxFlows + LimboFlows && !TryCollect())
            {
                return FlowAddResult.Full;
            }

            uint index = _free.TryPop(out uint reused) ? reused : TakeNew();
            uint rule = classifier.Add(match, flow.Priority, index);
            if (rule == 0)
            {
                _free.Push(index);
                return FlowAddResult.TooManyMasks;
            }

            FlowState* state = _states.At(index);
            uint generation = state->Generation + 1;
            uint now = Clock.Now;
            *state = new FlowState
            {
                Cookie = flow.Cookie,
                Created = now,
                Used = now,
                Actions = _actions.Acquire(flow.Actions is FlowAction[] array ? array : [.. flow.Actions]),
                Rule = rule,
                Generation = generation,
                IdleTimeout = flow.IdleTimeout,
                HardTimeout = flow.HardTimeout,
            };
            _states.TableOf(index) = flow.Table;
            _states.SetLive(index, true);
            id = new FlowId(index, generation);
            _count++;
            (_changed[flow.Table], _isDirty) = (true, true);
            if (old == 0)
            {
                return FlowAddResult.Added;
            }

            Unlink(classifier, classifier.ValueOf(old), old);
            return FlowAddResult.Replaced;
        }
    }

    /// <summary>Gives a flow other actions, at once; counters go on. False where it is no more.</summary>
    public bool Modify(FlowId id, IReadOnlyList<FlowAction> actions)
    {
        ArgumentNullException.ThrowIfNull(actions);
        lock (_writer)
        {
            if (!Exists(id))
            {
                return false;
            }

            CheckActions(_states.TableOf(id.Index), actions);
            FlowState* state = _states.At(id.Index);
            uint old = state->Actions;
            Volatile.Write(ref state->Actions, _actions.Acquire([.. actions]));
            _limbo.Enqueue((_epoch + 1, uint.MaxValue, old));
            _isDirty = true;
            return true;
        }
    }

    /// <summary>Stages a flow's removal. False where it is no more.</summary>
    public bool Delete(FlowId id)
    {
        lock (_writer)
        {
            if (!Exists(id))
            {
                return false;
            }

            Unlink(_classifiers[_states.TableOf(id.Index)]!, id.Index, _states.At(id.Index)->Rule);
            _isDirty = true;
            return true;
        }
    }

    /// <summary>The flow with exactly this table, priority and match; none where there is none.</summary>
    public FlowId Find(byte table, ushort priority, in FlowMatch match)
    {
        lock (_writer)
        {
            FlowClassifier? classifier = Classifier(table);
            uint rule = classifier?.Find(match.Canonical(), priority) ?? 0;
            return rule == 0 ? FlowId.None : IdOf(classifier!.ValueOf(rule));
        }
    }

    /// <summary>Makes what was staged visible to packets that come from now on.</summary>
    public void Commit()
    {
        lock (_writer)
        {
            for (int table = 0; table < MaxTables; table++)
            {
                if (_changed[table])
                {
                    _changed[table] = false;
                    _classifiers[table]!.Publish();
                }
            }

            uint next = _epoch + 1;
            Volatile.Write(ref _epoch, next == 0 ? 1 : next);
            Collect();
            if (_isDirty)
            {
                _isDirty = false;
                Committed?.Invoke();
            }
        }
    }

    /// <summary>Several changes and their commit, without another writer between them.</summary>
    public void Batch(Action<FlowTable> changes)
    {
        ArgumentNullException.ThrowIfNull(changes);
        lock (_writer)
        {
            changes(this);
            Commit();
        }
    }

    internal bool Exists(FlowId id) => id != FlowId.None && _states.IsLive(id.Index) && _states.At(id.Index)->Generation == id.Generation;

    internal FlowId IdOf(uint index) => new(index, _states.At(index)->Generation);

    private void Unlink(FlowClassifier classifier, uint index, uint rule)
    {
        classifier.Remove(rule);
        _states.SetLive(index, false);
        _limbo.Enqueue((_epoch + 1, index, _states.At(index)->Actions));
        _changed[_states.TableOf(index)] = true;
        _count--;
    }

    private FlowClassifier ClassifierFor(byte table)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(table, (byte)MaxTables, nameof(table));
        if (_classifiers[table] is null)
        {
            Volatile.Write(ref _classifiers[table], new FlowClassifier(_options.Classifier));
        }

        return _classifiers[table]!;
    }

    private uint TakeNew()
    {
        if (_next >= (uint)_states.Capacity)
        {
            _states.Grow();
        }

        return _next++;
    }

    private bool TryCollect()
    {
        Collect();
        return _free.Count > 0;
    }

    // Indexes and actions that no packet on its way can use any more.
    private void Collect()
    {
        uint oldest = _readers.Oldest(_epoch);
        while (_limbo.TryPeek(out (uint Epoch, uint Index, uint Actions) item) && (int)(oldest - item.Epoch) >= 0)
        {
            _limbo.Dequeue();
            _actions.Release(item.Actions);
            if (item.Index != uint.MaxValue)
            {
                _free.Push(item.Index);
            }
        }
    }

    // A packet's way through tables ends because it only goes on to later ones.
    private static void CheckActions(byte table, IReadOnlyList<FlowAction> actions)
    {
        for (int i = 0; i < actions.Count; i++)
        {
            FlowAction action = actions[i];
            if (action.Kind == FlowActionKind.Goto && (i != actions.Count - 1 || action.Argument <= table || action.Argument >= MaxTables))
            {
                throw new ArgumentException($"goto_table:{action.Argument} in table {table}: it must be the last action, and name a later table below {MaxTables}", nameof(actions));
            }

            if (action.Kind == FlowActionKind.SetField)
            {
                _ = FieldAccess.Width(action.Field);
            }
        }
    }
}
