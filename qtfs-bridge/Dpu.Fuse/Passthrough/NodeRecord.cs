namespace Dpu.Fuse;

/// <summary>A node that the peer knows: plain data without references, so that it can live in shared memory.</summary>
internal struct NodeRecord : ISlot
{
    /// <summary>See <see cref="SlotState"/>.</summary>
    public ulong State;

    /// <summary>The references that the peer holds; guarded by the lock of the node's bucket.</summary>
    public ulong Lookups;

    /// <summary>Device number, as <c>major &lt;&lt; 32 | minor</c>.</summary>
    public ulong Device;

    /// <summary>Inode number on the device.</summary>
    public ulong Inode;

    /// <summary>The mount by which it was found: a bind mount may be read-only where another is not.</summary>
    public ulong Mount;

    /// <summary>
    /// O_PATH descriptor, or -1 while the node is shut; then <see cref="Handle"/>, in which the inode's generation is, keeps
    /// the node from becoming another file's.
    /// </summary>
    public int Descriptor;

    /// <summary>The file type, S_IFMT of its mode.</summary>
    public uint Type;

    /// <summary>Whether it is the root of a mount, so that its name lies in a directory of another one.</summary>
    public bool IsMountRoot;

    /// <summary>What lies behind the file.</summary>
    public TreeKind Tree;

    /// <summary>The next node of the bucket, or the next free record.</summary>
    public int Next;

    /// <summary>The neighbours in the ring of open nodes; 0 outside of it. Guarded by the table's clock lock.</summary>
    public int RingNext;

    /// <inheritdoc cref="RingNext"/>
    public int RingPrevious;

    /// <summary>Which ring that is: that of files found without a name. Guarded as the ring.</summary>
    public bool Nameless;

    /// <summary>Whether the node counts as a user of its mount's anchor; see <see cref="MountAnchors"/>. Guarded by the move lock.</summary>
    public bool Anchored;

    /// <summary>
    /// Whether the node was shut, its file vanished, and another file has its inode number: no file is this node's any more.
    /// </summary>
    public bool Lost;

    /// <summary>The kernel's handle, made when the node is shut for the first time, or from the first where nodes are kept or it is a name. Guarded by the move lock.</summary>
    public FileHandle Handle;

    /// <summary>
    /// Where <see cref="Handle"/> is a name: the directory's node in which it was found, which the peer knows as long as
    /// it knows that file by its name.
    /// </summary>
    public ulong Parent;

    /// <summary>Which file of the host's disks it is, in words that mean the same after a reboot; 0 where that cannot be said. See <see cref="FileIdentity"/>.</summary>
    public ulong Identity;

    /// <summary>Whether the file is watched; see <see cref="WatchState"/>.</summary>
    public byte Watch;

    /// <summary>The peer's open files of the node; changed atomically by who holds a pin of it.</summary>
    public int Handles;

    /// <summary>Whether it was found in a directory that is watched, and has not been moved out of it since.</summary>
    public bool Covered;

    /// <summary>The handle by which the file is read where the peer has not opened it, 0 for none; see <see cref="ReaderTable"/>.</summary>
    public ulong Reader;

    ulong ISlot.State { readonly get => State; set => State = value; }

    int ISlot.NextFree { readonly get => Next; set => Next = value; }

    /// <summary>Whether this is the file that <paramref name="other"/> describes.</summary>
    public readonly bool IsSameFile(in NodeRecord other) =>
        Inode == other.Inode && Device == other.Device && Mount == other.Mount && Type == other.Type;
}
