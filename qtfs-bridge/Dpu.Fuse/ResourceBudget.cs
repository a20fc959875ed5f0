namespace Dpu.Fuse;

/// <summary>How many of something (nodes, handles) one peer may hold, over all its file systems. Thread-safe, allocation-free.</summary>
/// <param name="limit">The most at once.</param>
public sealed class ResourceBudget(int limit)
{
    private int _limit = limit;
    private int _used;
    private long _refused;

    /// <summary>The most at once; a lower one takes nothing away from who holds more.</summary>
    public int Limit
    {
        get => Volatile.Read(ref _limit);
        set => Volatile.Write(ref _limit, value);
    }

    /// <summary>How many are held.</summary>
    public int Used => Volatile.Read(ref _used);

    /// <summary>How often <see cref="TryTake"/> said no.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>Takes one; false where the limit is reached.</summary>
    public bool TryTake()
    {
        if (Interlocked.Increment(ref _used) <= Limit)
        {
            return true;
        }

        Interlocked.Decrement(ref _used);
        Interlocked.Increment(ref _refused);
        return false;
    }

    /// <summary>Takes several; false, and none, where they do not fit together.</summary>
    public bool TryTake(int count)
    {
        if (Interlocked.Add(ref _used, count) <= Limit)
        {
            return true;
        }

        Interlocked.Add(ref _used, -count);
        Interlocked.Increment(ref _refused);
        return false;
    }

    /// <summary>Takes what was granted in an earlier life, beyond the limit too.</summary>
    public void Take(int count = 1) => Interlocked.Add(ref _used, count);

    /// <summary>Gives one back.</summary>
    public void Return() => Interlocked.Decrement(ref _used);

    /// <summary>Gives several back.</summary>
    public void Return(int count) => Interlocked.Add(ref _used, -count);
}
