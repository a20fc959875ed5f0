namespace Dpu.Qtfs.Export;

/// <summary>
/// A rate limit with a burst of one second. Pure: the caller supplies the time and does the waiting. Thread-safe.
/// </summary>
/// <param name="perSecond">Tokens a second; 0 for no limit.</param>
public sealed class TokenBucket(long perSecond)
{
    private const long TicksPerSecond = TimeSpan.TicksPerSecond;
    private readonly Lock _lock = new();
    private long _emptyAt;

    /// <summary>Takes tokens, going into debt where there are too few.</summary>
    /// <param name="tokens">How many.</param>
    /// <param name="now">A monotonic time in ticks of 100 ns.</param>
    /// <returns>How long the caller must wait before it goes on; zero for at once.</returns>
    public TimeSpan Take(long tokens, long now)
    {
        if (perSecond == 0)
        {
            return TimeSpan.Zero;
        }

        lock (_lock)
        {
            // _emptyAt is when everything taken so far has been paid for; a second of it may lie in the future.
            long start = Math.Max(_emptyAt, now);
            _emptyAt = start + (long)((Int128)tokens * TicksPerSecond / perSecond);
            long debt = start - now - TicksPerSecond;
            return debt > 0 ? TimeSpan.FromTicks(debt) : TimeSpan.Zero;
        }
    }
}
