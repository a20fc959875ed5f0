namespace Dpu.Qtfs.Export;

/// <summary>Times of the export service.</summary>
public sealed record ExportServiceOptions
{
    /// <summary>How long a mount without any lane keeps its nodes and handles for a DPU that comes back.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Whether a stop leaves the mounts with the keeper, where there is one, instead of ending them.</summary>
    public bool KeepOnStop { get; init; } = true;

    /// <summary>How long a message may take from its first byte to its last; a peer that stalls longer is cut off.</summary>
    public TimeSpan MessageTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How often idle mounts and stalled lanes are looked for.</summary>
    public TimeSpan SweepInterval { get; init; } = TimeSpan.FromSeconds(5);
}
