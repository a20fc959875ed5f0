namespace Dpu.Fuse;

/// <summary>
/// How many nodes may hold a descriptor at once, over all file systems that share it: a peer's kernel keeps nodes as long
/// as it likes, often millions, while a process has few descriptors. Where it is full, a node that nobody used lately is
/// shut, and opened again by its file handle when it is needed. Thread-safe, allocation-free but for joining.
/// </summary>
/// <remarks>
/// Nodes of file systems without handles are never shut; where only such are left, a new node is refused with ENFILE.
/// Deleted files are kept open up to a share of the window (<see cref="NamelessLimit"/>): beyond it, those that nothing
/// else on the host keeps open are gone, and answer ESTALE. Two things may go over <see cref="Limit"/>: a node that a running call needs is opened in any case,
/// and each file system may have a small share (<see cref="Share"/>) though others hold all with nodes that stay open.
/// </remarks>
public sealed class DescriptorWindow
{
    /// <summary>What the process has open beside nodes and handles: sockets, devices, the runtime's own.</summary>
    private const int Reserve = 256;

    /// <summary>The fewest, below which a walk would do little but open and shut.</summary>
    private const int Least = 32;

    /// <summary>Each holds a file, a name and an inode in the kernel's memory, 1 to 2 KiB: more serve no working set.</summary>
    private const int Most = 1 << 17;

    /// <summary>Others may take what was made free; this often in a row means that too many wait, and one more may be over.</summary>
    private const int Attempts = 64;

    private static readonly Lazy<DescriptorWindow> s_shared = new(() => new DescriptorWindow(DefaultLimit(FileDescriptorLimit.RaiseToHard())));

    private readonly Lock _lock = new();
    private NodeTable[] _tables = [];
    private int _used;
    private long _shut;
    private long _reopened;

    /// <summary>Makes a window.</summary>
    /// <param name="limit">The most descriptors of nodes, at least 1.</param>
    public DescriptorWindow(int limit)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(limit);
        Limit = limit;
    }

    /// <summary>The process's own: half of its descriptors, less a reserve; the other half is for open files.</summary>
    public static DescriptorWindow Shared => s_shared.Value;

    /// <summary>The most descriptors of nodes.</summary>
    public int Limit { get; }

    /// <summary>What each file system may have in any case.</summary>
    public int Share => Math.Min(64, Limit / 8);

    /// <summary>How many deleted files are kept open for peers that may use them without a handle.</summary>
    public int NamelessLimit => Limit / 4;

    /// <summary>How many there are.</summary>
    public int Used => Volatile.Read(ref _used);

    /// <summary>How often a node was shut.</summary>
    public long Shut => Interlocked.Read(ref _shut);

    /// <summary>How often a node was opened again by its handle: many of them say that the window is too small.</summary>
    public long Reopened => Interlocked.Read(ref _reopened);

    /// <summary>Whether a new node would probably be granted now.</summary>
    internal bool HasRoom(NodeTable own)
    {
        bool room = Used < Limit || own.Open < Share;
        int nameless = 0;
        foreach (NodeTable table in Volatile.Read(ref _tables))
        {
            room |= table.Evictable > 0;
            nameless += table.Nameless;
        }

        return room || nameless > NamelessLimit;
    }

    /// <summary>The default for a limit of the process. Pure.</summary>
    internal static int DefaultLimit(long descriptors) => (int)Math.Clamp((descriptors / 2) - Reserve, Least, Most);

    internal void Join(NodeTable table)
    {
        lock (_lock)
        {
            Volatile.Write(ref _tables, [.. _tables, table]);
        }
    }

    internal void Leave(NodeTable table)
    {
        lock (_lock)
        {
            Volatile.Write(ref _tables, [.. _tables.Where(other => other != table)]);
        }
    }

    /// <summary>Takes one, where need be another node's. Not under a table's lock.</summary>
    internal bool TryTake(NodeTable own)
    {
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            if (Interlocked.Increment(ref _used) <= Limit || own.Open < Share)
            {
                return true;
            }

            Interlocked.Decrement(ref _used);
            if (!TryShutOne())
            {
                return false;
            }
        }

        return false;
    }

    /// <summary>Takes one in any case, for a call that runs; it can be shut when the call is over.</summary>
    internal void Take(NodeTable own)
    {
        if (!TryTake(own))
        {
            Interlocked.Increment(ref _used);
        }
    }

    /// <summary>Gives one back.</summary>
    internal void Return() => Interlocked.Decrement(ref _used);

    internal void CountReopened() => Interlocked.Increment(ref _reopened);

    // The hand may find only then that there are too many without a name.
    private bool TryShutOne()
    {
        NodeTable[] tables = Volatile.Read(ref _tables);
        bool shut = TryShutNameless(tables) || TryShutLiving(tables) || TryShutNameless(tables);
        if (shut)
        {
            Interlocked.Increment(ref _shut);
        }

        return shut;
    }

    private bool TryShutNameless(NodeTable[] tables)
    {
        NodeTable? largest = null;
        int count = 0;
        foreach (NodeTable table in tables)
        {
            count += table.Nameless;
            if (largest is null || table.Nameless > largest.Nameless)
            {
                largest = table;
            }
        }

        return count > NamelessLimit && largest!.TryShutNameless();
    }

    // Of the file system that has most: so one that walks a great tree takes from itself, not from its neighbours.
    private static bool TryShutLiving(NodeTable[] tables)
    {
        NodeTable? largest = null;
        foreach (NodeTable table in tables)
        {
            if (largest is null || table.Evictable > largest.Evictable)
            {
                largest = table;
            }
        }

        bool shut = largest is not null && largest.TryShutOne();
        for (int i = 0; !shut && i < tables.Length; i++)
        {
            shut = tables[i].TryShutOne();
        }

        return shut;
    }
}
