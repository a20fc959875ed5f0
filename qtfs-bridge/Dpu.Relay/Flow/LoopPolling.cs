using System.Diagnostics;

namespace Dpu.Relay.Flow;

/// <summary>What the loops of a daemon have in common of <see cref="PollWindow"/>: how long they may look, and how long they have. Thread-safe.</summary>
internal sealed class LoopPolling
{
    private long _limit;
    private long _spent;

    /// <summary>The longest time that a loop looks for what it expects before it sleeps; zero for never.</summary>
    public TimeSpan Limit
    {
        get => new(Volatile.Read(ref _limit));
        set => Volatile.Write(ref _limit, value.Ticks);
    }

    /// <summary><see cref="Limit"/> in ticks of <see cref="Stopwatch"/>.</summary>
    public long Most => Volatile.Read(ref _limit) * Stopwatch.Frequency / TimeSpan.TicksPerSecond;

    /// <summary>How long loops have looked, in vain or not.</summary>
    public TimeSpan Total => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _spent));

    /// <summary>A loop has looked for so many ticks.</summary>
    public void Spent(long ticks) => Interlocked.Add(ref _spent, ticks);
}
