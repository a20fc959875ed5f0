using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>Keeps a file's descriptor open for the time of a call: a handle's, or one made for this call alone. Dispose it once.</summary>
internal readonly ref struct FilePin
{
    private readonly HandlePin _handle;
    private readonly bool _owned;

    /// <summary>A handle's descriptor.</summary>
    public FilePin(HandlePin handle)
    {
        _handle = handle;
        Tree = handle.Tree;
        Descriptor = handle.Valid ? handle.Descriptor : -Linux.errno.EBADF;
    }

    /// <summary>A descriptor that is closed with the pin; or a negated errno, which says why there is none.</summary>
    public FilePin(int descriptor)
    {
        Descriptor = descriptor;
        _owned = descriptor >= 0;
    }

    /// <summary>Whether there is a file.</summary>
    public bool Valid => Descriptor >= 0;

    /// <summary>0, or a negated errno: <c>-EBADF</c> where the peer's handle is not open, of another kind, or not of the node it names.</summary>
    public int Error => Math.Min(0, Descriptor);

    /// <summary>The open file's descriptor.</summary>
    public int Descriptor { get; }

    /// <summary>What lies behind the file; ordinary where it was opened for this call.</summary>
    public TreeKind Tree { get; }

    public void Dispose()
    {
        _handle.Dispose();
        if (_owned)
        {
            _ = close(Descriptor);
        }
    }
}
