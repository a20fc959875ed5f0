namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// The node ids that the host has named, so that all of them can be invalidated. Ids are <c>generation &lt;&lt; 32 | index</c>;
/// the last of an index is kept. Written by lanes without a lock; 8 bytes a node.
/// </summary>
internal sealed class KnownNodes
{
    private const int PieceSize = 4096;

    /// <summary>Twice the nodes that an export has by default; a host that names others does so at the cost of its own freshness.</summary>
    private const int MaxIndex = 1 << 22;

    private readonly ulong[]?[] _pieces = new ulong[]?[MaxIndex / PieceSize];

    /// <summary>Remembers a node.</summary>
    public void Add(ulong node)
    {
        uint index = (uint)node;
        if (index >= MaxIndex)
        {
            return;
        }

        ulong[] piece = Volatile.Read(ref _pieces[index / PieceSize]) ?? Make(index / PieceSize);
        if (piece[index % PieceSize] != node)
        {
            Volatile.Write(ref piece[index % PieceSize], node);
        }
    }

    /// <summary>All of them; those that come meanwhile may be missing.</summary>
    public IEnumerable<ulong> All()
    {
        foreach (ulong[]? piece in _pieces)
        {
            for (int i = 0; piece is not null && i < PieceSize; i++)
            {
                ulong node = Volatile.Read(ref piece[i]);
                if (node != 0)
                {
                    yield return node;
                }
            }
        }
    }

    private ulong[] Make(uint number)
    {
        Interlocked.CompareExchange(ref _pieces[number], new ulong[PieceSize], null);
        return _pieces[number]!;
    }
}
