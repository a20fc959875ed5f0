namespace Dpu.Fuse;

/// <summary>
/// Where a file system keeps what must outlive its process: the memory of its tables, its open files, and the descriptions that
/// hold its peer's locks. What is given goes out before the call returns; no call waits for an answer but those that make or find. Thread-safe.
/// </summary>
public interface IKeptState
{
    /// <summary>How many pieces of a table an earlier life has left.</summary>
    /// <param name="table">The table's name, a few letters.</param>
    int Found(string table);

    /// <summary>A piece of a table: what an earlier life has left of it, or zeroed. It stays mapped as long as this is referenced.</summary>
    /// <param name="table">The table's name.</param>
    /// <param name="piece">Which piece, from 0.</param>
    /// <param name="size">Its size in bytes, the same in every life.</param>
    /// <returns>Where it lies; 0 where there is no memory.</returns>
    nint Piece(string table, int piece, nint size);

    /// <summary>Keeps an open file; the caller's descriptor stays its own.</summary>
    void HoldFile(ulong handle, int descriptor);

    /// <summary>Lets go of an open file.</summary>
    void DropFile(ulong handle);

    /// <summary>The open files of an earlier life.</summary>
    IReadOnlyCollection<ulong> Files();

    /// <summary>A descriptor of an open file of an earlier life, the caller's own; -1 where there is none.</summary>
    int TakeFile(ulong handle);

    /// <summary>Keeps the description that holds an owner's locks, in place of what was kept under that number.</summary>
    /// <param name="number">A number of the caller's choice.</param>
    /// <param name="descriptor">The description.</param>
    /// <param name="note">What is to be remembered of it, at most <see cref="MostNote"/> bytes.</param>
    void HoldLock(ulong number, int descriptor, ReadOnlySpan<byte> note);

    /// <summary>Lets go of such a description.</summary>
    void DropLock(ulong number);

    /// <summary>The descriptions of an earlier life; the descriptors are the caller's.</summary>
    IReadOnlyList<KeptLock> TakeLocks();

    /// <summary>The longest note of a lock, in bytes.</summary>
    const int MostNote = 4096;
}

/// <summary>A description that holds locks, of an earlier life.</summary>
/// <param name="Number">Under which number it is kept.</param>
/// <param name="Descriptor">The descriptor.</param>
/// <param name="Note">What was remembered of it.</param>
public sealed record KeptLock(ulong Number, int Descriptor, ReadOnlyMemory<byte> Note);
