namespace Dpu.Fuse;

/// <summary>An open file or directory of the peer: plain data without references, as <see cref="NodeRecord"/>.</summary>
internal struct HandleRecord : ISlot
{
    /// <summary>See <see cref="SlotState"/>.</summary>
    public ulong State;

    /// <summary>The node that it was opened from; a request must name both.</summary>
    public ulong Node;

    /// <summary>The open file's descriptor.</summary>
    public int Descriptor;

    /// <summary>Whether it is a directory's.</summary>
    public bool IsDirectory;

    /// <summary>Whether it is kept for another life of the process.</summary>
    public bool Held;

    /// <summary>Whether it was locked by flock(2).</summary>
    public bool Flocked;

    /// <summary>What lies behind it.</summary>
    public TreeKind Tree;

    /// <summary>The next free record.</summary>
    public int Next;

    /// <summary>Directories: entries read ahead and not handed out yet, in <see cref="DirectoryStream.BufferSize"/> bytes; 0 before the first read.</summary>
    public nint Buffer;

    /// <summary>Directories: the first byte of <see cref="Buffer"/> not handed out.</summary>
    public int Start;

    /// <summary>Directories: the end of what <see cref="Buffer"/> holds.</summary>
    public int End;

    /// <summary>Directories: the host's position of the entry at <see cref="Start"/>.</summary>
    public long Position;

    /// <summary>Directories: entries handed out with their files since the start.</summary>
    public int Listed;

    ulong ISlot.State { readonly get => State; set => State = value; }

    int ISlot.NextFree { readonly get => Next; set => Next = value; }
}
