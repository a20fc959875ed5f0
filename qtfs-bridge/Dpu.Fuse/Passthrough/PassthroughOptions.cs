namespace Dpu.Fuse;

/// <summary>What a <see cref="PassthroughFileSystem"/> shows, to whom, and how much of it at once.</summary>
public sealed record PassthroughOptions
{
    /// <summary>The directory, an absolute path of this machine. A symbolic link is followed once, at the start.</summary>
    public required string Root { get; init; }

    /// <summary>Whether every change is refused with EROFS.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>As whom the peer's users act.</summary>
    public IdentityPolicy Identity { get; init; } = IdentityPolicy.RootSquashing;

    /// <summary>Whether device nodes may be made; opened they never are. A whiteout (0:0) always may.</summary>
    public bool AllowDeviceNodes { get; init; }

    /// <summary>The most nodes beside the root, about 150 bytes each. Beyond it calls fail with ENFILE.</summary>
    public int MaxNodes { get; init; } = 1 << 20;

    /// <summary>The most open files and directories. Beyond it calls fail with ENFILE.</summary>
    public int MaxHandles { get; init; } = 1 << 16;

    /// <summary>How many nodes may hold a descriptor, together with all that share it; null is the process's own.</summary>
    public DescriptorWindow? DescriptorWindow { get; init; }

    /// <summary>What the peer's file systems may hold together; null means no such limit.</summary>
    public ResourceBudget? NodeBudget { get; init; }

    /// <summary>As <see cref="NodeBudget"/>, of open files and directories.</summary>
    public ResourceBudget? HandleBudget { get; init; }

    /// <summary>Whether locks are this machine's; otherwise the peer's kernel keeps them itself, and nobody else sees them.</summary>
    public bool HostLocks { get; init; }

    /// <summary>What the peer may lock, together with all that share it.</summary>
    public LockBudget Locks { get; init; } = new();

    /// <summary>Told what of <see cref="Locks"/> refused a request (its name); must not block or throw.</summary>
    public Action<string>? OnLockLimit { get; init; }

    /// <summary>Whether the peer's kernel uses files without opening them (FUSE_NO_OPEN_SUPPORT): calls with handle 0 mean the node's file.</summary>
    public bool ZeroMessageOpen { get; init; }

    /// <summary>How long the peer's kernel may believe a name.</summary>
    public TimeSpan EntryTimeout { get; init; }

    /// <summary>How long the peer's kernel may believe attributes.</summary>
    public TimeSpan AttributeTimeout { get; init; }

    /// <summary>
    /// Takes sockets that are bound here for the peer's programs: those whose MKNOD says in <c>rdev</c> of which type they are. Null where
    /// such a request makes a file alone.
    /// </summary>
    public ISocketBinder? Binder { get; init; }

    /// <summary>Tells of changes by others; null where nobody does, and nothing can be <see cref="PassthroughFileSystem.Watch"/>ed.</summary>
    public INodeWatcher? Watcher { get; init; }

    /// <summary>
    /// Where nodes, open files and locks are kept for another life of the process, and an earlier one's are found; null where they are not.
    /// The kernel must number mounts (<see cref="KernelMounts.Available"/>).
    /// </summary>
    public IKeptState? Kept { get; init; }

    /// <summary>
    /// Whether the <c>generation</c> of an entry says which file of this machine's disks it is, where that can be said, so that its peer can
    /// tell it to another life of the file system (<see cref="PassthroughFileSystem.ReturnNode"/>). The same for all of a mount's time.
    /// </summary>
    public bool Identities { get; init; }

    /// <summary>The generation of the first node ids and handles: another one makes those of an earlier life stale.</summary>
    public uint FirstGeneration { get; init; }
}
