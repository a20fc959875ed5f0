namespace Dpu.Fuse;

/// <summary>
/// Aborts a connection whose server has stopped answering: its requesters would hang, some unkillably. Looks at the age
/// of the oldest request under way; the clock is injected. Thread-safe.
/// </summary>
public sealed class FuseConnectionGuard : IDisposable
{
    private readonly Func<TimeSpan?> _oldestRequestAge;
    private readonly Action _abort;
    private readonly TimeSpan _limit;
    private readonly ITimer _timer;
    private int _aborted;

    /// <summary>Starts watching, four times within the limit.</summary>
    /// <param name="oldestRequestAge">E.g. <see cref="FuseServer.OldestRequestAge"/>; null where nothing is under way.</param>
    /// <param name="abort">E.g. <see cref="FuseDevice.Abort"/>; called once, on a thread of the pool.</param>
    /// <param name="limit">Longer than any request may take, time-outs of a link included.</param>
    /// <param name="time">The clock.</param>
    public FuseConnectionGuard(Func<TimeSpan?> oldestRequestAge, Action abort, TimeSpan limit, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(oldestRequestAge);
        ArgumentNullException.ThrowIfNull(abort);
        ArgumentNullException.ThrowIfNull(time);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(limit, TimeSpan.Zero);
        _oldestRequestAge = oldestRequestAge;
        _abort = abort;
        _limit = limit;
        _timer = time.CreateTimer(_ => Check(), null, limit / 4, limit / 4);
    }

    /// <summary>Whether it had to abort the connection.</summary>
    public bool Aborted => Volatile.Read(ref _aborted) != 0;

    /// <summary>Why the abort itself failed; null where it did not.</summary>
    public FuseMountException? Failure { get; private set; }

    /// <summary>Looks once.</summary>
    public void Check()
    {
        if (_oldestRequestAge() is not { } age || age <= _limit || Interlocked.Exchange(ref _aborted, 1) != 0)
        {
            return;
        }

        try
        {
            _abort();
        }
        catch (FuseMountException failure)
        {
            // Recorded for whoever watches; the next look tries again.
            Failure = failure;
            Volatile.Write(ref _aborted, 0);
        }
    }

    /// <summary>Stops watching.</summary>
    public void Dispose() => _timer.Dispose();
}
