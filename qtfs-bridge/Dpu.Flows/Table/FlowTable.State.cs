using Dpu.Flows.Classifier;

namespace Dpu.Flows.Table;

/// <summary>Reading state in bulk, as bits or as records, and time-outs.</summary>
public sealed unsafe partial class FlowTable
{
    /// <summary>Flows of one step of a bulk read: 4,096 bits are 512 bytes, a message's worth.</summary>
    public const int BulkStep = 4096;

    /// <summary>One more than the highest index that a flow has or had: what bulk reads go up to.</summary>
    public int IndexEnd => (int)Volatile.Read(ref _next);

    /// <summary>
    /// Which of the flows from <paramref name="first"/> on were hit since the last call that cleared: one bit each, from the
    /// lowest of the first word on. Any thread; packets are not held up.
    /// </summary>
    /// <param name="first">An index, a multiple of 64.</param>
    /// <param name="bits">Receives 64 flows a word; flows that are not there are 0.</param>
    /// <param name="clear">Whether the bits are taken, so that the next call tells what came since.</param>
    /// <returns>Words that were written: fewer than asked for at the end of the table.</returns>
    public int ReadActivity(int first, Span<ulong> bits, bool clear)
    {
        int words = Words(first, bits.Length);
        _states.ReadActivity(first, bits[..words], clear);
        return words;
    }

    /// <summary>Which flows are there, likewise.</summary>
    public int ReadPresence(int first, Span<ulong> bits)
    {
        int words = Words(first, bits.Length);
        for (int i = 0; i < words; i++)
        {
            bits[i] = Volatile.Read(ref _states.Live((uint)(first + (i * 64))));
        }

        return words;
    }

    /// <summary>A flow with its counters; null where it is no more.</summary>
    public FlowRecord? Read(FlowId id)
    {
        lock (_writer)
        {
            return Exists(id) ? RecordOf(id.Index) : null;
        }
    }

    /// <summary>
    /// The flows with an index from <paramref name="first"/> on, at most <paramref name="max"/>; where to go on is left in
    /// <paramref name="first"/>. The writer is held up for so many flows only, so a whole reading is of no one moment.
    /// </summary>
    public IReadOnlyList<FlowRecord> Read(ref int first, int max)
    {
        List<FlowRecord> records = [];
        lock (_writer)
        {
            for (; first < IndexEnd && records.Count < max; first++)
            {
                if (_states.IsLive((uint)first))
                {
                    records.Add(RecordOf((uint)first));
                }
            }
        }

        return records;
    }

    /// <summary>All flows, in steps of <see cref="BulkStep"/>.</summary>
    public IEnumerable<FlowRecord> ReadAll()
    {
        int first = 0;
        while (true)
        {
            IReadOnlyList<FlowRecord> step = Read(ref first, BulkStep);
            if (step.Count == 0)
            {
                yield break;
            }

            foreach (FlowRecord record in step)
            {
                yield return record;
            }
        }
    }

    /// <summary>Counters alone, without what the flow matches; false where it is no more.</summary>
    public bool TryReadCounters(FlowId id, out FlowCounters counters)
    {
        lock (_writer)
        {
            counters = Exists(id) ? CountersOf(id.Index, Clock.Now) : default;
            return Exists(id);
        }
    }

    /// <summary>
    /// The flows that a match contains: those whose every packet it matches too (OpenFlow's loose matching).
    /// </summary>
    /// <param name="table">The table; null for all.</param>
    /// <param name="match">What contains them.</param>
    /// <param name="cookie">Their cookie under <paramref name="cookieMask"/>.</param>
    /// <param name="cookieMask">0 for any cookie.</param>
    public IReadOnlyList<FlowId> FindLoose(byte? table, in FlowMatch match, ulong cookie = 0, ulong cookieMask = 0)
    {
        FlowMatch wanted = match.Canonical();
        bool any = wanted == FlowMatch.Any;
        List<FlowId> found = [];
        lock (_writer)
        {
            for (uint index = 0; index < (uint)IndexEnd; index++)
            {
                if (_states.IsLive(index)
                    && (table is null || _states.TableOf(index) == table)
                    && ((_states.At(index)->Cookie ^ cookie) & cookieMask) == 0
                    && (any || wanted.Contains(MatchOf(index))))
                {
                    found.Add(IdOf(index));
                }
            }
        }

        return found;
    }

    /// <summary>Removes the flows whose time is over, and commits where there were any.</summary>
    /// <param name="removed">Called with each and why, while it can still be read.</param>
    /// <returns>How many.</returns>
    public int Expire(Action<FlowRecord, FlowRemovedReason>? removed = null)
    {
        lock (_writer)
        {
            uint now = Clock.Now;
            int count = 0;
            for (uint index = 0; index < (uint)IndexEnd; index++)
            {
                if (!_states.IsLive(index) || ReasonToExpire(index, now) is not { } reason)
                {
                    continue;
                }

                removed?.Invoke(RecordOf(index), reason);
                Delete(IdOf(index));
                count++;
            }

            if (count > 0)
            {
                Commit();
            }

            return count;
        }
    }

    private FlowRemovedReason? ReasonToExpire(uint index, uint now)
    {
        FlowState* state = _states.At(index);
        return state->HardTimeout != 0 && now - state->Created >= state->HardTimeout * (uint)FlowClock.TicksPerSecond ? FlowRemovedReason.HardTimeout
            : state->IdleTimeout != 0 && now - Volatile.Read(ref state->Used) is var idle && (int)idle >= state->IdleTimeout * FlowClock.TicksPerSecond ? FlowRemovedReason.IdleTimeout
            : null;
    }

    private FlowMatch MatchOf(uint index) => _classifiers[_states.TableOf(index)]!.MatchOf(_states.At(index)->Rule);

    private FlowRecord RecordOf(uint index)
    {
        FlowState* state = _states.At(index);
        byte table = _states.TableOf(index);
        FlowClassifier classifier = _classifiers[table]!;
        byte* actions = _actions.At(state->Actions, out int size);
        return new FlowRecord(
            IdOf(index),
            new FlowDefinition
            {
                Table = table,
                Priority = classifier.PriorityOf(state->Rule),
                Match = classifier.MatchOf(state->Rule),
                Cookie = state->Cookie,
                IdleTimeout = state->IdleTimeout,
                HardTimeout = state->HardTimeout,
                Actions = ActionCodec.Decode(actions, size),
            },
            CountersOf(index, Clock.Now));
    }

    private FlowCounters CountersOf(uint index, uint now)
    {
        FlowState* state = _states.At(index);

        // A packet may come between both readings of the clock.
        int idle = Math.Max(0, (int)(now - Volatile.Read(ref state->Used)));
        return new FlowCounters(Volatile.Read(ref state->Packets), Volatile.Read(ref state->Bytes), FlowClock.Span(now - state->Created), FlowClock.Span((uint)idle));
    }

    private int Words(int first, int wanted)
    {
        if (first < 0 || (first & 63) != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(first), first, "bitmaps are read from a multiple of 64 on");
        }

        return Math.Clamp((IndexEnd - first + 63) / 64, 0, wanted);
    }
}
