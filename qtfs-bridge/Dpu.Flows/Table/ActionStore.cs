using System.Runtime.CompilerServices;

namespace Dpu.Flows.Table;

/// <summary>
/// Lists of actions, each once, counted, in pinned memory that never moves: a million flows with a handful of lists cost a
/// handful. One writer; readers follow numbers that it published, and the writer frees what no reader can reach.
/// </summary>
internal sealed unsafe class ActionStore
{
    private const int Unit = 16;
    private const int HeaderSize = 16;
    private const int ChunkSize = 1 << 20;
    private const int UnitsPerChunk = ChunkSize / Unit;
    private const int MaxUnits = (ActionCodec.MaxSize + HeaderSize + Unit - 1) / Unit;
    private const int MaxChunks = 4096; // 4 GiB

    private readonly List<byte[]> _chunks = [];
    private readonly ulong[] _pointerMemory = GC.AllocateArray<ulong>(MaxChunks, pinned: true);
    private readonly uint[] _free = new uint[MaxUnits + 1];
    private uint _next = 1;
    private uint[] _index = new uint[1024];
    private int _taken; // Places of the index that are or were used.

    /// <summary>Different lists.</summary>
    internal int Count { get; private set; }

    internal long Size => ((long)_chunks.Count * ChunkSize) + (_index.Length * 4L);

    /// <summary>The list's bytes and their number; a reader may call this.</summary>
    internal byte* At(uint number, out int size)
    {
        Header* header = HeaderOf(number);
        size = header->Size;
        return (byte*)header + HeaderSize;
    }

    /// <summary>The list's number, with one use more.</summary>
    internal uint Acquire(ReadOnlySpan<FlowAction> actions)
    {
        int size = ActionCodec.SizeOf(actions);
        if (size > ActionCodec.MaxSize)
        {
            throw new ArgumentException($"a flow's actions take {size} bytes; at most {ActionCodec.MaxSize}: use tables and goto", nameof(actions));
        }

        byte* bytes = stackalloc byte[ActionCodec.MaxSize];
        ActionCodec.Encode(actions, bytes);
        uint hash = HashOf(bytes, size);
        for (uint place = hash & Last; ; place = (place + 1) & Last)
        {
            uint number = _index[place];
            if (number == 0)
            {
                break;
            }

            if (number != Deleted && HeaderOf(number)->Hash == hash && new ReadOnlySpan<byte>(At(number, out int other), other).SequenceEqual(new ReadOnlySpan<byte>(bytes, size)))
            {
                HeaderOf(number)->Uses++;
                return number;
            }
        }

        uint added = Allocate((HeaderSize + size + Unit - 1) / Unit);
        *HeaderOf(added) = new Header { Hash = hash, Size = size, Uses = 1 };
        Unsafe.CopyBlock((byte*)HeaderOf(added) + HeaderSize, bytes, (uint)size);
        Count++;
        Insert(added, hash);
        return added;
    }

    internal void AddUse(uint number) => HeaderOf(number)->Uses++;

    /// <summary>Ends a use.</summary>
    internal void Release(uint number)
    {
        Header* header = HeaderOf(number);
        if (--header->Uses > 0)
        {
            return;
        }

        uint place = header->Hash & Last;
        while (_index[place] != number)
        {
            place = (place + 1) & Last;
        }

        _index[place] = Deleted;
        Count--;
        int units = (HeaderSize + header->Size + Unit - 1) / Unit;
        *(uint*)header = _free[units];
        _free[units] = number;
    }

    private const uint Deleted = uint.MaxValue;

    private uint Last => (uint)_index.Length - 1;

    private Header* HeaderOf(uint number) =>
        // SAFETY: numbers are units of 16 bytes in chunks that the list holds and that never move.
        (Header*)((byte*)_pointerMemory[number / UnitsPerChunk] + ((nuint)(number % UnitsPerChunk) * Unit));

    private void Insert(uint number, uint hash)
    {
        if ((_taken + 1) * 2 > _index.Length)
        {
            uint[] old = _index;
            _index = new uint[Math.Max(1024, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Count * 4))];
            _taken = 0;
            foreach (uint known in old.Where(known => known is not (0 or Deleted)))
            {
                Insert(known, HeaderOf(known)->Hash);
            }
        }

        uint place = hash & Last;
        while (_index[place] is not 0)
        {
            place = (place + 1) & Last;
        }

        _index[place] = number;
        _taken++;
    }

    private uint Allocate(int units)
    {
        uint number = _free[units];
        if (number != 0)
        {
            _free[units] = *(uint*)HeaderOf(number);
            return number;
        }

        // A list lies in one chunk; what is left of the last is less than a list's 1 KiB.
        if (_chunks.Count == 0 || UnitsPerChunk - (_next % UnitsPerChunk) < units || _next / UnitsPerChunk >= (uint)_chunks.Count)
        {
            if (_chunks.Count == MaxChunks)
            {
                throw new InvalidOperationException("a flow table cannot hold more than 4 GiB of different actions");
            }

            byte[] chunk = GC.AllocateArray<byte>(ChunkSize, pinned: true);
            _next = _chunks.Count == 0 ? 1 : (uint)_chunks.Count * UnitsPerChunk;
            _pointerMemory[_chunks.Count] = (ulong)Unsafe.AsPointer(ref chunk[0]);
            _chunks.Add(chunk);
        }

        number = _next;
        _next += (uint)units;
        return number;
    }

    private static uint HashOf(byte* bytes, int size)
    {
        HashCode hash = default;
        hash.AddBytes(new ReadOnlySpan<byte>(bytes, size));
        return (uint)hash.ToHashCode();
    }

    [System.Runtime.InteropServices.StructLayout(System.Runtime.InteropServices.LayoutKind.Sequential, Size = HeaderSize)]
    private struct Header
    {
        internal uint Hash;
        internal int Size;
        internal int Uses;

    }
}
