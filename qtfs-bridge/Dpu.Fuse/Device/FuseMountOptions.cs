namespace Dpu.Fuse;

/// <summary>What to mount, and where.</summary>
public sealed class FuseMountOptions
{
    /// <summary>An existing directory. Symbolic links in it are followed.</summary>
    public required string Target { get; init; }

    /// <summary>The first column of mount(8), e.g. <c>host1:/srv/data</c>.</summary>
    public string Source { get; init; } = "dpu";

    /// <summary>The file system's type is <c>fuse.SUBTYPE</c>: letters, digits and '-'.</summary>
    public string Subtype { get; init; } = "dpu";

    /// <summary>Mounts read-only.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Honours set-user-ID and set-group-ID bits and file capabilities. A hostile server becomes root through them.</summary>
    public bool AllowSuid { get; init; }

    /// <summary>Lets device nodes be opened. A hostile server reaches every device through them.</summary>
    public bool AllowDev { get; init; }

    /// <summary>The most bytes of one read, which bounds direct reads also where pages are larger than 4 KiB.</summary>
    public uint MaxRead { get; init; } = FuseLimits.MaxWrite;

    /// <summary>Removes FUSE mounts from the target first whose server is dead (every access fails with ENOTCONN).</summary>
    public bool ReplaceStale { get; init; }
}
