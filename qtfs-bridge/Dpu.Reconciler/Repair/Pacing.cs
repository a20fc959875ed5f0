using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Repair;

/// <summary>A token bucket: a second's worth at most at once, and a rate on average. One thread at a time.</summary>
internal sealed class TokenBucket(int perSecond, TimeProvider time)
{
    private double _tokens = perSecond;
    private long _last = time.GetTimestamp();

    /// <summary>Takes tokens; returns how long to wait before what they were taken for.</summary>
    internal TimeSpan Take(int count)
    {
        if (perSecond <= 0)
        {
            return TimeSpan.Zero;
        }

        long now = time.GetTimestamp();
        _tokens = Math.Min(perSecond, _tokens + (time.GetElapsedTime(_last, now).TotalSeconds * perSecond)) - count;
        _last = now;
        return _tokens >= 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(-_tokens / perSecond);
    }
}

/// <summary>Waits that double from 100 ms to a minute, and begin anew after a success. One thread at a time.</summary>
public sealed class Backoff
{
    /// <summary>The first wait.</summary>
    public static readonly TimeSpan First = TimeSpan.FromMilliseconds(100);

    /// <summary>The longest one.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromMinutes(1);

    private TimeSpan _next = First;

    /// <summary>How long to wait after one more failure.</summary>
    public TimeSpan Failed()
    {
        TimeSpan now = _next;
        _next = TimeSpan.FromTicks(Math.Min(Longest.Ticks, now.Ticks * 2));
        return now;
    }

    /// <summary>What was tried succeeded.</summary>
    public void Succeeded() => _next = First;
}

/// <summary>
/// Which flows are repaired again and again, because somebody else changes them: they are left alone until the window is over.
/// One thread at a time.
/// </summary>
internal sealed class FlapQuarantine(int limit, TimeSpan window, TimeProvider time)
{
    private readonly Dictionary<ulong, (int Count, long Since)> _repairs = [];

    internal bool Holds(ulong key) =>
        _repairs.TryGetValue(key, out (int Count, long Since) found) && time.GetElapsedTime(found.Since) < window && found.Count > limit;

    internal void Repaired(ulong key)
    {
        bool goesOn = _repairs.TryGetValue(key, out (int Count, long Since) found) && time.GetElapsedTime(found.Since) < window;
        _repairs[key] = goesOn ? (found.Count + 1, found.Since) : (1, time.GetTimestamp());
    }

    /// <summary>Forgets what is out of the window.</summary>
    internal void Sweep()
    {
        foreach (ulong key in _repairs.Where(r => time.GetElapsedTime(r.Value.Since) >= window).Select(r => r.Key).ToArray())
        {
            _repairs.Remove(key);
        }
    }
}

/// <summary>
/// What flows counted before they were replaced by entries that count from 0 on, by the target's name of the new entry. One thread at a time.
/// </summary>
public sealed class CarriedCounters
{
    private readonly Dictionary<ulong, (ulong Packets, ulong Bytes)> _carried = [];

    /// <summary>Entries that have something.</summary>
    public int Count => _carried.Count;

    /// <summary>What was counted before an entry was there; 0 for most.</summary>
    public (ulong Packets, ulong Bytes) Of(ulong handle) => _carried.GetValueOrDefault(handle);

    /// <summary>Forgets what belongs to entries that are no more.</summary>
    internal void KeepOnly(FlowSet there)
    {
        if (_carried.Count == 0)
        {
            return;
        }

        HashSet<ulong> gone = [.. _carried.Keys];
        for (int i = 0; i < there.Count && gone.Count > 0; i++)
        {
            gone.Remove(there.HandleOf(i));
        }

        foreach (ulong handle in gone)
        {
            _carried.Remove(handle);
        }
    }

    internal void Carry(ulong from, ulong to, ulong packets, ulong bytes)
    {
        (ulong Packets, ulong Bytes) before = Of(from), there = from == to ? default : Of(to);
        _carried.Remove(from);
        _carried[to] = (there.Packets + before.Packets + packets, there.Bytes + before.Bytes + bytes);
    }
}
