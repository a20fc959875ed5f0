using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Diff;

/// <summary>
/// Finds counters that do not move while packets pass: flat in three samples or more, for more than twice the delay with which
/// the target tells counters, while an independent count of the same flow's packets goes on. A counter that falls was reset,
/// and begins anew. Without an independent count nothing is stuck. One thread at a time.
/// </summary>
/// <param name="delay">How late the target may tell what it counted.</param>
/// <param name="time">The clock.</param>
public sealed class CounterWatch(TimeSpan delay, TimeProvider? time = null)
{
    /// <summary>Samples in which a counter is flat before it is stuck.</summary>
    public const int Samples = 3;

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private Dictionary<ulong, Seen> _seen = [];

    /// <summary>Handles of the flows whose counters are stuck, as of the last sample.</summary>
    public IReadOnlySet<ulong> Stuck { get; private set; } = new HashSet<ulong>();

    /// <summary>Takes a sample.</summary>
    /// <param name="actual">A dump.</param>
    /// <param name="signal">The packets that something else counted of the flow of that number in the dump; null where nothing did.</param>
    public void Sample(FlowSet actual, Func<int, ulong?> signal)
    {
        ArgumentNullException.ThrowIfNull(actual);
        ArgumentNullException.ThrowIfNull(signal);
        Dictionary<ulong, Seen> seen = [];
        HashSet<ulong> stuck = [];
        long now = _time.GetTimestamp();
        for (int i = 0; i < actual.Count; i++)
        {
            ulong handle = actual.HandleOf(i), packets = actual.PacketsOf(i);
            if (signal(i) is not { } passed)
            {
                continue;
            }

            Seen last = _seen.TryGetValue(handle, out Seen found) && found.Packets == packets && passed >= found.Signal
                ? found with { Flat = found.Flat + 1 }
                : new Seen(packets, passed, 1, now);
            seen[handle] = last;
            if (last.Flat >= Samples && passed > last.Signal && _time.GetElapsedTime(last.Since, now) > 2 * delay)
            {
                stuck.Add(handle);
            }
        }

        (_seen, Stuck) = (seen, stuck);
    }

    private readonly record struct Seen(ulong Packets, ulong Signal, int Flat, long Since);
}
