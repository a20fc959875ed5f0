namespace Dpu.Qtfs.Mount;

/// <summary>
/// A set of ids that the host has given: of nodes, of handles. Ids are <c>generation &lt;&lt; 32 | index</c>; the last of an
/// index is kept. Written by lanes without a lock; 8 bytes an index.
/// </summary>
internal sealed unsafe class KnownIds
{
    private const int PieceSize = 4096;

    /// <summary>Far more than an export gives by default; a host that gives others does so at its own cost.</summary>
    private const int MaxIndex = 1 << 22;

    private readonly nint[] _pieces = new nint[MaxIndex / PieceSize];
    private readonly List<ulong[]> _own = [];
    private readonly Lock _growing = new();
    private readonly Handover.KeptState? _state;
    private readonly string _group;

    /// <summary>Without a state it is this process's alone.</summary>
    /// <param name="state">Where it is kept for a runtime that takes the place of this one, and what an earlier one has left.</param>
    /// <param name="group">Its name there.</param>
    public KnownIds(Handover.KeptState? state = null, string group = "")
    {
        _state = state;
        _group = group;
        foreach (int piece in state?.Pieces(group) ?? [])
        {
            if (piece >= 0 && piece < _pieces.Length)
            {
                _pieces[piece] = (nint)state!.Words(group, piece, PieceSize);
            }
        }
    }

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

        ulong* place = Place(index, make: true);
        if (*place != id)
        {
            Volatile.Write(ref *place, id);
        }
    }

    /// <summary>Whether it is known.</summary>
    public bool Contains(ulong id)
    {
        uint index = (uint)id;
        ulong* place = index < MaxIndex && id != 0 ? Place(index, make: false) : null;
        return place != null && Volatile.Read(ref *place) == id;
    }

    /// <summary>Forgets it.</summary>
    /// <returns>Whether it was known.</returns>
    public bool Remove(ulong id) => Contains(id) && Interlocked.CompareExchange(ref *Place((uint)id, make: false), 0, id) == id;

    /// <summary>All of them; those that come meanwhile may be missing.</summary>
    public IEnumerable<ulong> All()
    {
        for (uint index = 0; index < MaxIndex; index++)
        {
            if (Volatile.Read(ref _pieces[index / PieceSize]) == 0)
            {
                index |= PieceSize - 1;
            }
            else if (IdAt(index) is not 0 and ulong id)
            {
                yield return id;
            }
        }
    }

    private ulong IdAt(uint index) => Volatile.Read(ref *Place(index, make: false));

    private ulong* Place(uint index, bool make)
    {
        nint piece = Volatile.Read(ref _pieces[index / PieceSize]);
        if (piece == 0 && make)
        {
            piece = Make(index / PieceSize);
        }

        return piece == 0 ? null : (ulong*)piece + (index % PieceSize);
    }

    private nint Make(uint number)
    {
        lock (_growing)
        {
            if (_pieces[number] == 0)
            {
                if (_state is not null)
                {
                    Volatile.Write(ref _pieces[number], (nint)_state.Words(_group, (int)number, PieceSize));
                }
                else
                {
                    // Pinned, and as long as this is.
                    ulong[] own = GC.AllocateArray<ulong>(PieceSize, pinned: true);
                    _own.Add(own);
                    fixed (ulong* place = own)
                    {
                        Volatile.Write(ref _pieces[number], (nint)place);
                    }
                }
            }

            return _pieces[number];
        }
    }
}
