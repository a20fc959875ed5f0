using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>Keeps a node's descriptor open for the time of a call. Dispose it once.</summary>
internal readonly ref struct NodePin
{
    private readonly NodeTable? _table;
    private readonly int _error;

    public NodePin(NodeTable table, int index)
    {
        _table = table;
        Index = index;
        ref NodeRecord record = ref table[index];
        Descriptor = record.Descriptor;
        Type = record.Type;
        Tree = record.Tree;
        Id = NodeTable.IdOf(index, record.State);
    }

    /// <summary>Says why there is none.</summary>
    /// <param name="error">A negated errno.</param>
    public NodePin(int error) => _error = error;

    /// <summary>0; <c>-ESTALE</c> where the peer's id names no node, one of an earlier life, or one whose file is gone; or what
    /// opening its file again gave.</summary>
    public int Error => Valid ? 0 : _error == 0 ? -errno.ESTALE : _error;

    /// <summary>Whether there is a node.</summary>
    public bool Valid => _table is not null;

    /// <summary>The table's index.</summary>
    public int Index { get; }

    /// <summary>The O_PATH descriptor.</summary>
    public int Descriptor { get; }

    /// <summary>S_IFMT of its mode.</summary>
    public uint Type { get; }

    /// <summary>What lies behind the file.</summary>
    public TreeKind Tree { get; }

    /// <summary>The node id.</summary>
    public ulong Id { get; }

    public void Dispose() => _table?.Unpin(Index);
}
