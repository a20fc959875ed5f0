namespace Dpu.Qtfs.Mount;

/// <summary>A mount of a host's export, as an operator asks for it.</summary>
public sealed record RemoteMountOptions
{
    /// <summary>The host's name, for messages and for <c>/proc/mounts</c>.</summary>
    public required string Host { get; init; }

    /// <summary>The export's name, or the path that it exports.</summary>
    public required string Export { get; init; }

    /// <summary>An existing directory, absolute.</summary>
    public required string Target { get; init; }

    /// <summary>Whether the kernel refuses changes here, whatever the host allows.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Whether setuid bits of the host's files count here. The host could then become root here.</summary>
    public bool AllowSuid { get; init; }

    /// <summary>Whether the host's device nodes open this machine's devices.</summary>
    public bool AllowDev { get; init; }

    /// <summary>How long the kernel believes names and attributes without asking; zero asks each time.</summary>
    public TimeSpan CacheTimeout { get; init; }

    /// <summary>Whether the kernel keeps what it has read until the host tells of a change; then there is no <see cref="CacheTimeout"/>.</summary>
    public bool Coherent { get; init; }

    /// <summary>How long what is cached is believed while the host cannot tell of changes.</summary>
    public TimeSpan StaleAfter { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Whose locks are.</summary>
    public MountLocks Locks { get; init; }

    /// <summary>Whether this machine's own processes are put into a mount of a host's procfs.</summary>
    public bool OwnProcesses { get; init; }

    /// <summary>With <see cref="OwnProcesses"/>: where the procfs of their pid namespace is mounted; null for /proc, by sessions.</summary>
    public string? ProcessFolder { get; init; }

    /// <summary>How the kernel's requests come.</summary>
    public MountTransport Transport { get; init; }

    /// <summary>Connections, each with its thread: requests that can be under way at once.</summary>
    public int Lanes { get; init; } = 2;

    /// <summary>How long an operation waits for a host that is away; then it ends with EIO.</summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long a request that a signal has interrupted may still wait for the host's answer.</summary>
    public TimeSpan InterruptGrace { get; init; } = TimeSpan.FromSeconds(1);
}
