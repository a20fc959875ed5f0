using System.Runtime.CompilerServices;

namespace Dpu.Flows.Classifier;

/// <summary>
/// Records of 1 to <see cref="MaxLines"/> cache lines in pinned chunks that never move: a record is named by the number of
/// its first line. One writer allocates and frees; readers follow numbers that the writer published. A record that is freed
/// may be reused at once: the writer frees what no reader can reach any more.
/// </summary>
internal sealed unsafe class LineArena
{
    internal const int LineSize = 64;
    internal const int MaxLines = 3;
    private const int Slack = LineSize + 256;

    // 1 MiB a chunk; 16,384 chunks are 16 GiB, more than any table of flows.
    private const int ChunkShift = 14;
    private const int LinesPerChunk = 1 << ChunkShift;
    private const int MaxChunks = 1 << 14;

    private readonly List<byte[]> _chunks = [];
    private readonly ulong[] _pointerMemory = GC.AllocateArray<ulong>(MaxChunks, pinned: true);
    private readonly byte** _pointers;
    private readonly uint[] _free = new uint[MaxLines + 1];
    private uint _next = 1; // 0 is no record.

    internal LineArena()
    {
        // SAFETY: a pinned array of this object's life.
        _pointers = (byte**)Unsafe.AsPointer(ref _pointerMemory[0]);
        AddChunk();
    }

    /// <summary>Bytes of all chunks.</summary>
    internal long Size => (long)_chunks.Count * LinesPerChunk * LineSize;

    /// <summary>Readers' base: chunk pointers by number; the array itself never moves.</summary>
    internal byte** Pointers => _pointers;

    /// <summary>The record's memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal byte* At(uint line) => At(_pointers, line);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static byte* At(byte** pointers, uint line) => pointers[line >> ChunkShift] + ((nuint)(line & (LinesPerChunk - 1)) * LineSize);

    internal uint Allocate(int lines)
    {
        uint line = _free[lines];
        if (line != 0)
        {
            _free[lines] = *(uint*)At(line);
            return line;
        }

        // A record lies in one chunk: what is left of the last one becomes free lines.
        while (LinesPerChunk - (int)(_next & (LinesPerChunk - 1)) < lines)
        {
            Free(_next++, 1);
        }

        if (_next >> ChunkShift >= (uint)_chunks.Count)
        {
            AddChunk();
        }

        line = _next;
        _next += (uint)lines;

        // The chunk behind is needed as soon as the counter stands on its first line.
        if (_next >> ChunkShift >= (uint)_chunks.Count)
        {
            AddChunk();
        }

        return line;
    }

    internal void Free(uint line, int lines)
    {
        *(uint*)At(line) = _free[lines];
        _free[lines] = line;
    }

    private void AddChunk()
    {
        if (_chunks.Count == MaxChunks)
        {
            throw new InvalidOperationException($"a classifier cannot hold more than {(long)MaxChunks * LinesPerChunk} lines of 64 bytes; use several tables");
        }

        byte[] chunk = GC.AllocateArray<byte>((LinesPerChunk * LineSize) + Slack, pinned: true);

        // SAFETY: pinned, held by the list, and longer than what is used of it: by the alignment, and by what a reader may read of a
        // record that is being made anew (24 bytes and 17 words), before it finds that the record is invisible to it.
        _pointers[_chunks.Count] = (byte*)(((nuint)Unsafe.AsPointer(ref chunk[0]) + (LineSize - 1)) & ~(nuint)(LineSize - 1));
        _chunks.Add(chunk);
    }
}
