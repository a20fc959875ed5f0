namespace Dpu.Fuse;

/// <summary>Keeps a handle's descriptor open for the time of a call. Dispose it once.</summary>
internal readonly ref struct HandlePin
{
    private readonly HandleTable? _table;
    private readonly int _index;

    public HandlePin(HandleTable table, int index)
    {
        _table = table;
        _index = index;
        Descriptor = table[index].Descriptor;
        Tree = table[index].Tree;
    }

    /// <summary>False where the peer's handle is not open, of another kind, or not of the node it names.</summary>
    public bool Valid => _table is not null;

    /// <summary>The open file's descriptor.</summary>
    public int Descriptor { get; }

    /// <summary>What lies behind the file.</summary>
    public TreeKind Tree { get; }

    /// <summary>The table's index.</summary>
    public int Index => _index;

    /// <summary>The record. Only its directory fields change, under the handle's lock.</summary>
    public ref HandleRecord Record => ref _table![_index];

    public void Dispose() => _table?.Unpin(_index);
}
