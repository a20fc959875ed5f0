using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;

namespace Dpu.Flows.Nic;

/// <summary>
/// A NIC's table in memory, with a data path that does what the entries say, wrong ones included, and faults on demand.
/// </summary>
public sealed unsafe partial class EmulatedNic : INicTable
{
    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly Action<TimeSpan> _wait;
    private readonly Random _random;
    private readonly FlowClassifier _classifier = new();
    private readonly ActionStore _actions = new();
    private readonly ReaderSlots _readers = new();
    private readonly Queue<(uint Epoch, int Index, uint Actions)> _limbo = new();
    private readonly uint[] _rules; // 0 where there is no entry.
    private readonly uint[] _actionLists;
    private readonly ulong[] _cookies;
    private readonly uint[] _generations;
    private readonly bool[] _stuck;
    private readonly ulong[] _packets;
    private readonly ulong[] _bytes;
    private readonly ActivityBits _active;
    private readonly NicCounters[]? _told;
    private readonly Stack<int> _free = new();
    private readonly long _start;
    private TimeSpan _toldAt;
    private long _changes;
    private uint _epoch = 1;
    private int _count;

    /// <summary>An empty table.</summary>
    /// <param name="capacity">Entries that fit.</param>
    /// <param name="faults">What goes wrong; null for nothing.</param>
    /// <param name="time">The clock of lags and delays.</param>
    /// <param name="wait">How delays pass; null to let them pass on the clock.</param>
    public EmulatedNic(int capacity, NicFaults? faults = null, TimeProvider? time = null, Action<TimeSpan>? wait = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        Capacity = capacity;
        Faults = faults ?? NicFaults.None;
        _time = time ?? TimeProvider.System;
        _start = _time.GetTimestamp();
        _wait = wait ?? Pass;
        _random = new Random(Faults.Seed);
        (_rules, _actionLists, _cookies) = (new uint[capacity], new uint[capacity], new ulong[capacity]);
        (_generations, _stuck) = (new uint[capacity], new bool[capacity]);
        (_packets, _bytes, _active) = (new ulong[capacity], new ulong[capacity], new ActivityBits(capacity));
        _told = Faults.CounterLag > TimeSpan.Zero ? new NicCounters[capacity] : null;
        for (int i = capacity - 1; i >= 0; i--)
        {
            _free.Push(i);
        }
    }

    /// <inheritdoc/>
    public int Capacity { get; }

    /// <inheritdoc/>
    public int Count => Volatile.Read(ref _count);

    /// <summary>What goes wrong. Chances and delays may be changed between commands, a lag of counters not.</summary>
    public NicFaults Faults { get; set; }

    /// <inheritdoc/>
    public void Insert(IReadOnlyList<NicFlow> flows, Span<NicHandle> handles, Span<NicStatus> status)
    {
        ArgumentNullException.ThrowIfNull(flows);
        lock (_lock)
        {
            Delay(Faults.CommandDelay);
            for (int i = 0; i < flows.Count; i++)
            {
                status[i] = Insert(flows[i], out handles[i]);
            }

            Commit();
        }
    }

    /// <inheritdoc/>
    public void Delete(ReadOnlySpan<NicHandle> handles, Span<NicStatus> status)
    {
        lock (_lock)
        {
            Delay(Faults.CommandDelay);
            for (int i = 0; i < handles.Length; i++)
            {
                int index = IndexOf(handles[i]);
                status[i] = index < 0 ? NicStatus.NoSuchEntry : NicStatus.Ok;
                if (index >= 0 && !Happens(Faults.LostDelete))
                {
                    Remove(index);
                }
            }

            Commit();
        }
    }

    /// <inheritdoc/>
    public NicStatus Query(NicHandle handle, out NicCounters counters)
    {
        lock (_lock)
        {
            Delay(Faults.CommandDelay);
            int index = IndexOf(handle);
            counters = index < 0 ? default : CountersOf(index);
            return index < 0 ? NicStatus.NoSuchEntry : NicStatus.Ok;
        }
    }

    /// <inheritdoc/>
    public int ReadActivity(int first, Span<ulong> bits, bool clear)
    {
        if (first < 0 || (first & 63) != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(first), first, "bitmaps are read from a multiple of 64 on");
        }

        lock (_lock)
        {
            Delay(Faults.CommandDelay);
            return _active.Read(first / 64, bits, clear);
        }
    }

    /// <inheritdoc/>
    public int IndexOf(NicHandle handle)
    {
        uint index = (uint)handle.Value - 1;
        return index < (uint)Capacity && _rules[index] != 0 && _generations[index] == (uint)(handle.Value >> 32) ? (int)index : -1;
    }

    /// <inheritdoc/>
    public void Reset()
    {
        lock (_lock)
        {
            Delay(Faults.CommandDelay);
            for (int index = 0; index < Capacity; index++)
            {
                if (_rules[index] == 0)
                {
                    continue;
                }

                if (Happens(Faults.GhostAfterReset))
                {
                    // Nobody's handle is its own any more.
                    _generations[index]++;
                }
                else
                {
                    Remove(index);
                }
            }

            Commit();
        }
    }

    private NicStatus Insert(NicFlow flow, out NicHandle handle)
    {
        handle = default;
        if (flow.Actions.Any(action => action.Kind == FlowActionKind.Goto))
        {
            // There is one table.
            return NicStatus.Unsupported;
        }

        if (_free.Count == 0 || Happens(Faults.FalselyFull))
        {
            return NicStatus.Full;
        }

        if (Happens(Faults.LostInsert))
        {
            // A handle that no entry has: of a free place, of the time after its last entry.
            int place = _free.Peek();
            handle = HandleOf(place, ++_generations[place]);
            _generations[place]++;
            return NicStatus.Ok;
        }

        FlowMatch match = Happens(Faults.CorruptMask) ? LoseABit(flow.Match) : flow.Match;
        IReadOnlyList<FlowAction> actions = Happens(Faults.CorruptAction) ? OtherPort(flow.Actions) : flow.Actions;
        NicStatus status = Put(flow, match, actions, out handle);
        if (status == NicStatus.Ok && _free.Count > 0 && Happens(Faults.Duplicate))
        {
            Put(flow, match, actions, out _);
        }

        return status;
    }

    private NicStatus Put(NicFlow flow, in FlowMatch match, IReadOnlyList<FlowAction> actions, out NicHandle handle)
    {
        handle = default;
        int index = _free.Pop();
        uint rule = _classifier.Add(match, flow.Priority, (uint)index);
        if (rule == 0)
        {
            _free.Push(index);
            return NicStatus.Unsupported;
        }

        (_rules[index], _cookies[index], _actionLists[index]) = (rule, flow.Cookie, _actions.Acquire([.. actions]));
        (_packets[index], _bytes[index], _stuck[index]) = (0, 0, Happens(Faults.StuckCounter));
        _active.Unset(index);
        if (_told is not null)
        {
            _told[index] = default;
        }

        handle = HandleOf(index, ++_generations[index]);
        _count++;
        _changes++;
        return NicStatus.Ok;
    }

    // The place is given again when no packet on its way can count there.
    private void Remove(int index)
    {
        _classifier.Remove(_rules[index]);
        _limbo.Enqueue((_epoch + 1, index, _actionLists[index]));
        _rules[index] = 0;
        _generations[index]++;
        _count--;
        _changes++;
    }

    private void Commit()
    {
        _classifier.Publish();
        uint next = _epoch + 1;
        Volatile.Write(ref _epoch, next == 0 ? 1 : next);
        Collect();
    }

    private void Collect()
    {
        uint oldest = _readers.Oldest(_epoch);
        while (_limbo.TryPeek(out (uint Epoch, int Index, uint Actions) item) && (int)(oldest - item.Epoch) >= 0)
        {
            _limbo.Dequeue();
            _actions.Release(item.Actions);
            _free.Push(item.Index);
        }
    }

    private static NicHandle HandleOf(int index, uint generation) => new(((ulong)generation << 32) | ((uint)index + 1));

    private bool Happens(double chance) => chance > 0 && _random.NextDouble() < chance;

    private FlowMatch LoseABit(FlowMatch match)
    {
        match = match.Canonical();
        int bits = match.Mask.BitCount;
        if (bits == 0)
        {
            return match;
        }

        int lost = _random.Next(bits);
        for (int word = 0; word < FlowKey.Words; word++)
        {
            ulong mask = match.Mask.Bits.Word(word);
            for (ulong left = mask; left != 0; left &= left - 1)
            {
                if (lost-- == 0)
                {
                    match.Mask.Bits.SetWord(word, mask & ~(left & (0 - left)));
                    return match.Canonical();
                }
            }
        }

        return match;
    }

    private IReadOnlyList<FlowAction> OtherPort(IReadOnlyList<FlowAction> actions)
    {
        FlowAction[] changed = [.. actions];
        int last = Array.FindLastIndex(changed, action => action.Kind == FlowActionKind.Output);
        if (last < 0)
        {
            return [.. changed, FlowAction.Output((uint)_random.Next(1, 1 << 16))];
        }

        changed[last] = FlowAction.Output(changed[last].Argument ^ (uint)_random.Next(1, 1 << 16));
        return changed;
    }
}
