namespace Dpu.Fuse;

/// <summary>An owner's record locks of one file, held by an open file description of their own. Guarded by the table's lock.</summary>
/// <param name="node">The file.</param>
/// <param name="id">The owner.</param>
internal sealed class LockOwner(ulong node, ulong id)
{
    public ulong Node { get; } = node;

    public ulong Id { get; } = id;

    /// <summary>The description's descriptor.</summary>
    public int Descriptor { get; set; } = -1;

    /// <summary>Whether the description may hold read locks.</summary>
    public bool Readable { get; set; }

    /// <summary>Whether it may hold write locks.</summary>
    public bool Writable { get; set; }

    /// <summary>The open file by which it was used last.</summary>
    public ulong Handle { get; set; }

    /// <summary>The DPU's process that locked last.</summary>
    public uint Process { get; set; }

    /// <summary>Under which number the description is kept for another life of the process; 0 where it is not.</summary>
    public ulong Kept { get; set; }

    public LockRanges Ranges { get; } = new();
}
