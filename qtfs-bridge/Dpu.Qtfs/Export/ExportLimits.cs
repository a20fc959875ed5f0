using Dpu.Fuse;

namespace Dpu.Qtfs.Export;

/// <summary>What one peer may use, so that it cannot starve another. The defaults fit one DPU with a few hundred containers.</summary>
public sealed record ExportLimits
{
    /// <summary>Requests a second over all mounts; 0 for no limit.</summary>
    public long RequestsPerSecond { get; init; }

    /// <summary>Bytes a second over all mounts, requests and replies added; 0 for no limit.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>Nodes that the peer's kernel may hold over all mounts; each costs the host a descriptor.</summary>
    public int OpenNodes { get; init; } = 100_000;

    /// <summary>Open files and directories over all mounts.</summary>
    public int OpenHandles { get; init; } = 10_000;

    /// <summary>Owners of record locks (a process and a file) over all mounts; each costs the host a descriptor.</summary>
    public int LockOwners { get; init; } = LockBudget.DefaultOwners;

    /// <summary>Ranges that they lock, over all mounts.</summary>
    public int LockRanges { get; init; } = LockBudget.DefaultRanges;

    /// <summary>Requests that wait for a lock, over all mounts.</summary>
    public int LockWaits { get; init; } = LockBudget.DefaultWaits;

    /// <summary>Sessions, i.e. runtimes that use the same certificate.</summary>
    public int Sessions { get; init; } = 4;

    /// <summary>Mounts over all sessions.</summary>
    public int Mounts { get; init; } = 64;
}
