namespace Dpu.Fuse;

/// <summary>How a <see cref="FuseServer"/> serves.</summary>
public sealed class FuseServerOptions
{
    /// <summary>
    /// Threads, each with a clone of the device. A request that blocks holds one; a file system that binds sockets in the
    /// mount that it serves, or waits for one request in another, needs two at least.
    /// </summary>
    public int Threads { get; init; } = 2;

    /// <summary>
    /// Rings for requests, beside the threads that go on to read the device; null for none. Where they cannot be had, the
    /// server does without, and says why (<see cref="FuseServer.RingRefusal"/>).
    /// </summary>
    public Ring.FuseRingOptions? Ring { get; init; }

    /// <summary>The threads' names begin with it.</summary>
    public string Name { get; init; } = "fuse";

    /// <summary>What each thread does first; by default it takes a file system identity of its own.</summary>
    public Action EnterThread { get; init; } = FuseWorkerThread.Enter;

    /// <summary>How long <see cref="FuseServer.Dispose"/> waits for requests under way before it aborts the connection, and again after.</summary>
    public TimeSpan StopLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The clock for the age of requests.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
