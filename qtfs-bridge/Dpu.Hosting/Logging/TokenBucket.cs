namespace Dpu.Hosting.Logging;

/// <summary>
/// Lets a burst through and then a steady rate. Pure: the caller brings the time. Not thread-safe.
/// </summary>
/// <param name="burst">Entries at once.</param>
/// <param name="perSecond">Entries a second in the long run.</param>
public struct TokenBucket(int burst, double perSecond)
{
    private double _tokens = burst;
    private TimeSpan _last;

    /// <summary>Entries refused since the last call of <see cref="TakeSuppressed"/>.</summary>
    public long Suppressed { get; private set; }

    /// <summary>Whether one more may pass.</summary>
    /// <param name="now">Time since any fixed moment; going back is ignored.</param>
    public bool TryTake(TimeSpan now)
    {
        if (now > _last)
        {
            _tokens = Math.Min(burst, _tokens + ((now - _last).TotalSeconds * perSecond));
            _last = now;
        }

        if (_tokens >= 1)
        {
            _tokens--;
            return true;
        }

        Suppressed++;
        return false;
    }

    /// <summary>Gives the refused entries' number and begins to count anew.</summary>
    public long TakeSuppressed()
    {
        long suppressed = Suppressed;
        Suppressed = 0;
        return suppressed;
    }
}
