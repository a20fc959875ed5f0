namespace Dpu.Qtfs.Mount;

/// <summary>
/// A set of ids that the host has given: of nodes, of handles. Ids are <c>generation &lt;&lt; 32 | index</c>; the last of an
/// index is kept. Written by lanes without a lock; 8 bytes an index.
/// </summary>
internal sealed class KnownIds
{
    private const int PieceSize = 4096;

    /// <summary>Far more than an export gives by default; a host that gives others does so at its own cost.</summary>
    private const int MaxIndex = 1 << 22;

    private readonly ulong[]?[] _pieces = new ulong[]?[MaxIndex / PieceSize];

    /// <summary>Whether such an id can be remembered.</summary>
    public static bool CanHold(ulong id) => (uint)id < MaxIndex;

    /// <summary>Remembers an id.</summary>
    public void Add(ulong id)
    {
        uint index = (uint)id;
        if (index >= MaxIndex)
        {
            return;
        }

        ulong[] piece = Volatile.Read(ref _pieces[index / PieceSize]) ?? Make(index / PieceSize);
        if (piece[index % PieceSize] != id)
        {
            Volatile.Write(ref piece[index % PieceSize], id);
        }
    }

    /// <summary>Whether it is known.</summary>
    public bool Contains(ulong id)
    {
        uint index = (uint)id;
        return index < MaxIndex && id != 0 && Volatile.Read(ref _pieces[index / PieceSize]) is { } piece && Volatile.Read(ref piece[index % PieceSize]) == id;
    }

    /// <summary>Forgets it.</summary>
    public void Remove(ulong id)
    {
        if (Contains(id))
        {
            Interlocked.CompareExchange(ref _pieces[(uint)id / PieceSize]![(uint)id % PieceSize], 0, id);
        }
    }

    /// <summary>All of them; those that come meanwhile may be missing.</summary>
    public IEnumerable<ulong> All()
    {
        foreach (ulong[]? piece in _pieces)
        {
            for (int i = 0; piece is not null && i < PieceSize; i++)
            {
                ulong id = Volatile.Read(ref piece[i]);
                if (id != 0)
                {
                    yield return id;
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
