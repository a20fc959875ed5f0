namespace Dpu.Fuse;

/// <summary>Keeps a node's descriptor open for the time of a call. Dispose it once.</summary>
internal readonly ref struct NodePin
{
    private readonly NodeTable? _table;

    public NodePin(NodeTable table, int index)
    {
        _table = table;
        Index = index;
        ref NodeRecord record = ref table[index];
        Descriptor = record.Descriptor;
        Type = record.Type;
        Id = NodeTable.IdOf(index, record.State);
    }

    /// <summary>False where the peer's id names no node, or one of an earlier life.</summary>
    public bool Valid => _table is not null;

    /// <summary>The table's index.</summary>
    public int Index { get; }

    /// <summary>The O_PATH descriptor.</summary>
    public int Descriptor { get; }

    /// <summary>S_IFMT of its mode.</summary>
    public uint Type { get; }

    /// <summary>The node id.</summary>
    public ulong Id { get; }

    public void Dispose() => _table?.Unpin(Index);
}
