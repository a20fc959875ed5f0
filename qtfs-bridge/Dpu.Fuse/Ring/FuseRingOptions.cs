namespace Dpu.Fuse.Ring;

/// <summary>How a server uses rings. Its address space is 1 MiB for each slot; memory is what requests have used of it.</summary>
public sealed record FuseRingOptions
{
    /// <summary>
    /// Slots of a thread: requests that the kernel may give it at once. With more than one, a request that blocks holds
    /// back those that the kernel gave to the same thread.
    /// </summary>
    public int Depth { get; init; } = 8;

    /// <summary>Threads for each queue, so for each processor; more than one for a file system whose requests wait for others.</summary>
    public int ThreadsPerQueue { get; init; } = 1;
}
