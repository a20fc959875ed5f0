using System.Buffers.Binary;

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

    private readonly Part[] _parts = [.. Enumerable.Range(0, Parts).Select(_ => new Part())];

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

    /// <summary>Takes names away, those of all parts or of the full ones only.</summary>
    /// <param name="onlyFull">Whether parts that have room stay.</param>
    /// <returns>The arenas that <see cref="Read"/> reads.</returns>
    public IReadOnlyList<ReadOnlyMemory<byte>> Take(bool onlyFull) =>
        [.. _parts.Where(part => !onlyFull || part.Count >= MostOfPart).Select(part => part.Take())];

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

    // A hash table with open addressing; of offsets into the arena, whose first byte is unused, so that 0 is none.
    private sealed class Part
    {
        private readonly Lock _lock = new();
        private int[] _table = [];
        private byte[] _arena = [];
        private int _used = 1;

        public int Count { get; private set; }

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
                if (_arena.Length - _used < size)
                {
                    Array.Resize(ref _arena, Math.Max(1024, (_arena.Length + size) * 2));
                }

                Span<byte> record = _arena.AsSpan(_used, size);
                BinaryPrimitives.WriteUInt32LittleEndian(record, code);
                BinaryPrimitives.WriteUInt64LittleEndian(record[DirectoryAt..], directory);
                record[LengthAt] = (byte)name.Length;
                name.CopyTo(record[HeadSize..]);
                _table[at] = _used;
                _used += size;
                Count++;
                return true;
            }
        }

        public ReadOnlyMemory<byte> Take()
        {
            lock (_lock)
            {
                ReadOnlyMemory<byte> taken = _used == 1 ? default : _arena.AsMemory(1, _used - 1);
                (_table, _arena, _used, Count) = ([], [], 1, 0);
                return taken;
            }
        }

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
            ReadOnlySpan<byte> record = _arena.AsSpan(offset);
            return BinaryPrimitives.ReadUInt32LittleEndian(record) == code
                && BinaryPrimitives.ReadUInt64LittleEndian(record[DirectoryAt..]) == directory
                && record.Slice(HeadSize, record[LengthAt]).SequenceEqual(name);
        }

        private void Grow()
        {
            _table = new int[Math.Max(64, _table.Length * 2)];
            for (int offset = 1; offset < _used; offset += HeadSize + _arena[offset + LengthAt])
            {
                ReadOnlySpan<byte> record = _arena.AsSpan(offset);
                uint code = BinaryPrimitives.ReadUInt32LittleEndian(record);
                _table[Find(code, BinaryPrimitives.ReadUInt64LittleEndian(record[DirectoryAt..]), record.Slice(HeadSize, record[LengthAt]))] = offset;
            }
        }
    }
}
