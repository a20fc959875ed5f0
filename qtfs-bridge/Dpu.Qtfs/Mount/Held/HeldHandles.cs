using Dpu.Qtfs.Mount.Handover;

namespace Dpu.Qtfs.Mount.Held;

/// <summary>What is known of an open file.</summary>
[Flags]
internal enum HeldMarks : uint
{
    None = 0,

    /// <summary>It is a directory.</summary>
    Directory = 1,

    /// <summary>It is locked by flock(2).</summary>
    Flocked = 2,

    /// <summary>By it a range is locked.</summary>
    Locked = 4,
}

/// <summary>One of <see cref="HeldHandles"/>.</summary>
internal struct HeldHandle
{
    /// <summary>The host's handle; 0 where there is none.</summary>
    public ulong Handle;

    /// <summary>Its node.</summary>
    public ulong Node;

    /// <summary>How it was opened.</summary>
    public uint Flags;

    /// <summary>Who opened it.</summary>
    public uint Uid;

    /// <inheritdoc cref="Uid"/>
    public uint Gid;

    /// <summary>What is known of it.</summary>
    public HeldMarks Marks;
}

/// <summary>
/// The files that the kernel has open, so that a host that has lost them can open them again. 32 bytes each, by their index, in memory that
/// outlives the process. Not thread-safe.
/// </summary>
/// <remarks>Those beyond <see cref="MostIndex"/> are not remembered: they are lost with the host.</remarks>
internal sealed unsafe class HeldHandles
{
    /// <summary>Eight times what a host gives a peer by default; 8 MiB.</summary>
    public const int MostIndex = 1 << 18;

    private const int PieceSize = 4096;
    private readonly KeptState _state;
    private readonly nint[] _pieces = new nint[MostIndex / PieceSize];

    /// <param name="state">Where they are kept, and what an earlier runtime has left.</param>
    public HeldHandles(KeptState state)
    {
        _state = state;
        foreach (int piece in state.Pieces(Group).Where(piece => piece >= 0 && piece < _pieces.Length))
        {
            _pieces[piece] = (nint)Piece(piece);
        }
    }

    private const string Group = "held/handles";

    /// <summary>Remembers one.</summary>
    public void Add(in HeldHandle file)
    {
        uint index = (uint)file.Handle;
        if (file.Handle == 0 || index >= MostIndex)
        {
            return;
        }

        ref nint piece = ref _pieces[index / PieceSize];
        if (piece == 0)
        {
            piece = (nint)Piece((int)(index / PieceSize));
        }

        ref HeldHandle place = ref At((int)index);
        place.Handle = 0;
        (place.Node, place.Flags, place.Uid, place.Gid, place.Marks) = (file.Node, file.Flags, file.Uid, file.Gid, file.Marks);
        Volatile.Write(ref place.Handle, file.Handle);
    }

    /// <summary>The place of one; a null reference where it is not known.</summary>
    public ref HeldHandle Find(ulong handle)
    {
        uint index = (uint)handle;
        if (handle == 0 || index >= MostIndex || _pieces[index / PieceSize] == 0 || At((int)index).Handle != handle)
        {
            return ref System.Runtime.CompilerServices.Unsafe.NullRef<HeldHandle>();
        }

        return ref At((int)index);
    }

    /// <summary>The indices of all of them, in rising order.</summary>
    public IEnumerable<int> Indices()
    {
        for (int index = 1; index < MostIndex; index++)
        {
            if (_pieces[index / PieceSize] == 0)
            {
                index |= PieceSize - 1;
            }
            else if (At(index).Handle != 0)
            {
                yield return index;
            }
        }
    }

    /// <summary>One by its index.</summary>
    public ref HeldHandle At(int index) => ref ((HeldHandle*)_pieces[index / PieceSize])[index % PieceSize];

    private ulong* Piece(int piece) => _state.Words(Group, piece, PieceSize * sizeof(HeldHandle) / sizeof(ulong));
}
