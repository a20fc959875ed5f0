using Dpu.Fuse;

namespace Dpu.Qtfs.Export;

/// <summary>What one peer uses at the moment, against its limits. Thread-safe.</summary>
internal sealed class PeerUsage
{
    private readonly Lock _lock = new();
    private TokenBucket _requests;
    private TokenBucket _bytes;
    private long _lockLimitTold;

    public PeerUsage(string name, ExportLimits limits)
    {
        Name = name;
        Limits = limits;
        Nodes = new ResourceBudget(limits.OpenNodes);
        Handles = new ResourceBudget(limits.OpenHandles);
        Locks = new LockBudget(limits.LockOwners, limits.LockRanges, limits.LockWaits);
        _requests = new TokenBucket(limits.RequestsPerSecond);
        _bytes = new TokenBucket(limits.BytesPerSecond);
    }

    public string Name { get; }

    public ExportLimits Limits { get; private set; }

    public ResourceBudget Nodes { get; }

    public ResourceBudget Handles { get; }

    public LockBudget Locks { get; }

    /// <summary>Takes new limits; what is in use beyond them stays in use.</summary>
    public void Change(ExportLimits limits)
    {
        lock (_lock)
        {
            if (limits == Limits)
            {
                return;
            }

            Limits = limits;
            Nodes.Limit = limits.OpenNodes;
            Handles.Limit = limits.OpenHandles;
            Locks.Owners.Limit = limits.LockOwners;
            Locks.Ranges.Limit = limits.LockRanges;
            Locks.Waits.Limit = limits.LockWaits;
            Volatile.Write(ref _requests, new TokenBucket(limits.RequestsPerSecond));
            Volatile.Write(ref _bytes, new TokenBucket(limits.BytesPerSecond));
        }
    }

    /// <summary>Whether a reached limit of locks is to be logged: once a minute, however often it is reached.</summary>
    /// <param name="now">A monotonic time.</param>
    public bool MayTellLockLimit(TimeSpan now)
    {
        long last = Interlocked.Read(ref _lockLimitTold);
        return (last == 0 || now.Ticks - last >= TimeSpan.TicksPerMinute)
            && Interlocked.CompareExchange(ref _lockLimitTold, Math.Max(1, now.Ticks), last) == last;
    }

    /// <summary>How long a request of <paramref name="bytes"/> must wait before it is executed.</summary>
    /// <param name="bytes">Request and last reply, in bytes.</param>
    /// <param name="now">A monotonic time in ticks of 100 ns.</param>
    public TimeSpan Charge(long bytes, long now)
    {
        TimeSpan byRequests = Volatile.Read(ref _requests).Take(1, now);
        TimeSpan byBytes = Volatile.Read(ref _bytes).Take(bytes, now);
        return byRequests > byBytes ? byRequests : byBytes;
    }
}
