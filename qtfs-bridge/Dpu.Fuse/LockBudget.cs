namespace Dpu.Fuse;

/// <summary>What one peer may hold of locks, over all its file systems. Thread-safe.</summary>
/// <param name="owners">Owners with record locks: pairs of a process and a file, each a descriptor of this process.</param>
/// <param name="ranges">Ranges that they hold together; each costs the kernel about 200 bytes.</param>
/// <param name="waits">Requests that wait for a lock.</param>
public sealed class LockBudget(int owners = LockBudget.DefaultOwners, int ranges = LockBudget.DefaultRanges, int waits = LockBudget.DefaultWaits)
{
    /// <summary>Owners where nothing is said.</summary>
    public const int DefaultOwners = 2000;

    /// <summary>Ranges where nothing is said: about 20 MiB of the kernel's memory.</summary>
    public const int DefaultRanges = 100_000;

    /// <summary>Waits where nothing is said: each is tried every 10 ms, at about 1 µs.</summary>
    public const int DefaultWaits = 256;

    /// <summary>Owners with record locks.</summary>
    public ResourceBudget Owners { get; } = new(owners);

    /// <summary>Locked ranges.</summary>
    public ResourceBudget Ranges { get; } = new(ranges);

    /// <summary>Requests that wait.</summary>
    public ResourceBudget Waits { get; } = new(waits);
}
