using System.Buffers.Binary;
using Dpu.Keeper;
using Dpu.Qtfs.Mount.Handover;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// The names that the kernel believes until it is told otherwise, each once, so that all of them can be taken back. Thread-safe.
/// </summary>
/// <remarks>
/// Not by a new epoch (FUSE_NOTIFY_INC_EPOCH): to the kernel a name of an older epoch is gone, and with it what is mounted on
/// or below it (fuse_dentry_revalidate, then d_invalidate). Lanes add, each under the lock of one of several parts.
/// </remarks>
internal sealed class KnownNames
{
    /// <summary>Names that a part takes; some 50 bytes each.</summary>
    public const int MostOfPart = 1 << 14;

    private const int Parts = 16;

    // In the arena: the hash code (4 bytes), the directory (8 bytes), the length of the name (1 byte), the name.
    private const int DirectoryAt = 4;
    private const int LengthAt = 12;
    private const int HeadSize = 13;

    private readonly Part[] _parts;
    private readonly TakenNames[] _left;

    /// <summary>Without a state it is this process's alone.</summary>
    /// <param name="state">Where they are kept for a runtime that takes the place of this one, and what an earlier one has left.</param>
    public KnownNames(KeptState? state = null)
    {
        _left = [.. (state?.Group(Group) ?? []).Select(memory => new TakenNames(memory, state!))];
        _parts = [.. Enumerable.Range(0, Parts).Select(_ => new Part(state))];
    }

    /// <summary>Names known.</summary>
    public int Count => _parts.Sum(part => part.Count);

    /// <summary>Remembers a name.</summary>
    /// <param name="directory">The node of the directory.</param>
    /// <param name="name">The name, of 255 bytes at most.</param>
    /// <param name="always">Also where there is no room left; for what the kernel believes already.</param>
    /// <returns>False where there is no room.</returns>
    public bool Add(ulong directory, ReadOnlySpan<byte> name, bool always = false)
    {
        var hash = default(HashCode);
        hash.Add(directory);
        hash.AddBytes(name);
        uint code = (uint)hash.ToHashCode();
        return _parts[code % Parts].Add(code / Parts, directory, name, always);
    }

    /// <summary>Takes names away, those of all parts or of the full ones only; all of them with those of an earlier runtime.</summary>
    /// <param name="onlyFull">Whether parts that have room stay.</param>
    /// <returns>The arenas that <see cref="Read"/> reads; to be disposed of once the kernel was told.</returns>
    public IReadOnlyList<TakenNames> Take(bool onlyFull) =>
        [.. onlyFull ? [] : _left, .. _parts.Where(part => !onlyFull || part.Count >= MostOfPart).Select(part => part.Take()).OfType<TakenNames>()];

    /// <summary>Reads the next name of what <see cref="Take"/> returned; false at the end.</summary>
    public static bool Read(ref ReadOnlySpan<byte> arena, out ulong directory, out ReadOnlySpan<byte> name)
    {
        directory = 0;
        name = default;
        if (arena.IsEmpty)
        {
            return false;
        }

        directory = BinaryPrimitives.ReadUInt64LittleEndian(arena[DirectoryAt..]);
        name = arena.Slice(HeadSize, arena[LengthAt]);
        arena = arena[(HeadSize + name.Length)..];
        return true;
    }

    private const string Group = "names";

    // A hash table with open addressing; of offsets into the arena, which begins with how much of it is used, so that 0 is none. It is there
    // at the first name, and moves to twice the room where that is needed.
    private sealed unsafe class Part(KeptState? state)
    {
        private const int FirstRoom = 64 << 10;

        private readonly Lock _lock = new();
        private int[] _table = [];
        private KeptMemory? _memory;

        public int Count { get; private set; }

        private ref int Used => ref *(int*)_memory!.Address;

        public bool Add(uint code, ulong directory, ReadOnlySpan<byte> name, bool always)
        {
            lock (_lock)
            {
                if (Count * 2 >= _table.Length)
                {
                    Grow();
                }

                int at = Find(code, directory, name);
                if (_table[at] != 0)
                {
                    return true;
                }

                if (Count >= MostOfPart && !always)
                {
                    return false;
                }

                int size = HeadSize + name.Length;
                int used = Reserve(size);
                var record = new Span<byte>(_memory!.Address + used, size);
                BinaryPrimitives.WriteUInt32LittleEndian(record, code);
                BinaryPrimitives.WriteUInt64LittleEndian(record[DirectoryAt..], directory);
                record[LengthAt] = (byte)name.Length;
                name.CopyTo(record[HeadSize..]);
                _table[at] = used;
                Volatile.Write(ref Used, used + size);
                Count++;
                return true;
            }
        }

        public TakenNames? Take()
        {
            lock (_lock)
            {
                TakenNames? taken = _memory is null ? null : new TakenNames(_memory, state);
                (_table, _memory, Count) = ([], null, 0);
                return taken;
            }
        }

        // The place of the next record, with room behind it.
        private int Reserve(int size)
        {
            if (_memory is null)
            {
                _memory = Make(FirstRoom);
                Used = sizeof(int);
            }
            else if (_memory.Size - Used < size)
            {
                KeptMemory larger = Make(_memory.Size * 2);
                Buffer.MemoryCopy(_memory.Address, larger.Address, larger.Size, Used);
                new TakenNames(_memory, state).Dispose();
                _memory = larger;
            }

            return Used;
        }

        private KeptMemory Make(long size) => state?.Another(Group, size) ?? KeptMemory.Own(Group, size);

        // The place of the name in the table, or the empty one where it belongs.
        private int Find(uint code, ulong directory, ReadOnlySpan<byte> name)
        {
            int at = (int)(code & (uint)(_table.Length - 1));
            while (_table[at] != 0 && !Is(_table[at], code, directory, name))
            {
                at = (at + 1) & (_table.Length - 1);
            }

            return at;
        }

        private bool Is(int offset, uint code, ulong directory, ReadOnlySpan<byte> name)
        {
            ReadOnlySpan<byte> record = RecordAt(offset);
            return BinaryPrimitives.ReadUInt32LittleEndian(record) == code
                && BinaryPrimitives.ReadUInt64LittleEndian(record[DirectoryAt..]) == directory
                && record[HeadSize..].SequenceEqual(name);
        }

        private ReadOnlySpan<byte> RecordAt(int offset) => new(_memory!.Address + offset, HeadSize + _memory.Address[offset + LengthAt]);

        private void Grow()
        {
            _table = new int[Math.Max(64, _table.Length * 2)];
            for (int offset = sizeof(int); _memory is not null && offset < Used;)
            {
                ReadOnlySpan<byte> record = RecordAt(offset);
                _table[Find(BinaryPrimitives.ReadUInt32LittleEndian(record), BinaryPrimitives.ReadUInt64LittleEndian(record[DirectoryAt..]), record[HeadSize..])] = offset;
                offset += record.Length;
            }
        }
    }
}

/// <summary>Names that the kernel is about to be told to forget. They stay with the keeper until it was.</summary>
/// <param name="memory">Where they lie.</param>
/// <param name="state">Where that is kept; null where it is this process's own.</param>
internal sealed unsafe class TakenNames(KeptMemory memory, KeptState? state) : IDisposable
{
    /// <summary>For <see cref="KnownNames.Read"/>.</summary>
    public ReadOnlySpan<byte> Arena
    {
        get
        {
            // What an earlier process left is not trusted further than its size.
            int used = _disposed ? 0 : (int)Math.Min(*(uint*)memory.Address, memory.Size);
            return used <= sizeof(int) ? [] : new ReadOnlySpan<byte>(memory.Address + sizeof(int), used - sizeof(int));
        }
    }

    private bool _disposed;

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        if (state is null)
        {
            memory.Dispose();
        }
        else
        {
            state.Free(memory);
        }
    }
}
