namespace Dpu.Rpc.Wire;

/// <summary>Calls back once when a time has passed, however long that is.</summary>
/// <remarks>
/// It measures the monotonic clock, so that setting the wall clock neither ends nor prolongs a call, and re-arms itself:
/// a runtime timer takes 49.7 days at most. Thread-safe.
/// </remarks>
internal sealed class DeadlineTimer : IDisposable
{
    private static readonly TimeSpan LongestStep = TimeSpan.FromDays(1);

    private readonly TimeProvider timeProvider;
    private readonly Action expired;
    private readonly TimeSpan timeout;
    private readonly long start;
    private readonly ITimer timer;
    private int done;

    public DeadlineTimer(TimeProvider timeProvider, TimeSpan timeout, Action expired)
    {
        this.timeProvider = timeProvider;
        this.timeout = timeout;
        this.expired = expired;
        start = timeProvider.GetTimestamp();

        // Created unarmed: the callback reads the field 'timer'.
        timer = timeProvider.CreateTimer(static state => ((DeadlineTimer)state!).OnTick(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Arm(timeout);
    }

    public bool IsExpired => timeProvider.GetElapsedTime(start) >= timeout;

    public void Dispose()
    {
        Interlocked.Exchange(ref done, 1);
        timer.Dispose();
    }

    private void Arm(TimeSpan remaining)
    {
        // A timer counts whole milliseconds: round up, or it ticks early and again.
        TimeSpan step = remaining < LongestStep ? TimeSpan.FromMilliseconds(Math.Ceiling(Math.Max(0, remaining.TotalMilliseconds))) : LongestStep;
        timer.Change(step, Timeout.InfiniteTimeSpan);
    }

    private void OnTick()
    {
        TimeSpan remaining = timeout - timeProvider.GetElapsedTime(start);
        if (remaining > TimeSpan.Zero)
        {
            if (Volatile.Read(ref done) == 0)
            {
                Arm(remaining);
            }
        }
        else if (Interlocked.Exchange(ref done, 1) == 0)
        {
            expired();
        }
    }
}
