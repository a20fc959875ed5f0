namespace Dpu.Link;

/// <summary>
/// How long to wait before the next attempt: at most a fifth of the time that has passed so far, so that whoever waits for a host
/// waits little longer than it was away; with full jitter, so that all the DPUs of a restarted host do not come back at the same moment.
/// Pure but for the injected random numbers; not thread-safe.
/// </summary>
public sealed class LinkBackoff(Random random, TimeSpan? first = null, TimeSpan? last = null)
{
    /// <summary>The bound before the second attempt.</summary>
    public static readonly TimeSpan DefaultFirst = TimeSpan.FromMilliseconds(20);

    /// <summary>The bound that is never exceeded.</summary>
    public static readonly TimeSpan DefaultLast = TimeSpan.FromSeconds(10);

    // The bounds before sum up to (Growth^n - 1) / (Growth - 1) times the first: the next is a fifth of that, and the first.
    private const double Growth = 1.2;

    private readonly TimeSpan _first = first ?? DefaultFirst;
    private readonly TimeSpan _last = last ?? DefaultLast;

    /// <summary>
    /// The delay after failed attempt number <paramref name="attempt"/> (from 0): between a tenth of the first bound
    /// (never at once again: a refusal costs the listener a handshake) and first * 1.2^attempt, at most the last bound.
    /// </summary>
    public TimeSpan Delay(int attempt)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(attempt);
        var bound = Bound(attempt);
        var least = _first / 10;
        return least + ((bound - least) * random.NextDouble());
    }

    /// <summary>The longest that <see cref="Delay"/> can be for this attempt.</summary>
    public TimeSpan Bound(int attempt)
    {
        double factor = Math.Pow(Growth, Math.Min(attempt, 200));
        return _first > _last / factor ? _last : _first * factor;
    }
}
