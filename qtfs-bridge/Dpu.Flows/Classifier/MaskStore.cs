using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// Each mask once, counted, in pinned memory that never moves. Rules name theirs by a number of 16 bits. One writer.
/// </summary>
internal sealed unsafe class MaskStore
{
    /// <summary>Masks that can be at once; a table with more is an attack, or wants ranges.</summary>
    internal const int MaxMasks = 1 << 16;

    private const int PerChunk = 256;

    private readonly Dictionary<(FlowMask Mask, bool HasRange), ushort> _ids = [];
    private readonly List<int> _uses = [0];
    private readonly Stack<ushort> _free = new();
    private readonly byte[]?[] _chunks = new byte[]?[MaxMasks / PerChunk];
    private readonly ulong[] _pointerMemory = GC.AllocateArray<ulong>(MaxMasks / PerChunk, pinned: true);

    // SAFETY: a pinned array of this object's life.
    internal MaskInfo** Pointers => (MaskInfo**)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_pointerMemory));

    /// <summary>Masks in use.</summary>
    internal int Count => _ids.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static MaskInfo* At(MaskInfo** pointers, ushort id) => pointers[id / PerChunk] + (id % PerChunk);

    internal MaskInfo* At(ushort id) => At(Pointers, id);

    /// <summary>The mask's number, with one use more; false where there are too many masks.</summary>
    internal bool TryAcquire(in FlowMask mask, bool hasRange, out ushort id)
    {
        if (_ids.TryGetValue((mask, hasRange), out id))
        {
            _uses[id]++;
            return true;
        }

        if (!_free.TryPop(out id))
        {
            if (_uses.Count == MaxMasks)
            {
                return false;
            }

            id = (ushort)_uses.Count;
            _uses.Add(0);
        }

        if (_chunks[id / PerChunk] is null)
        {
            byte[] chunk = GC.AllocateArray<byte>((PerChunk * sizeof(MaskInfo)) + 64, pinned: true);
            _chunks[id / PerChunk] = chunk;

            // SAFETY: pinned, held by the array of chunks, and 64 bytes longer than needed.
            Pointers[id / PerChunk] = (MaskInfo*)(((nuint)Unsafe.AsPointer(ref chunk[0]) + 63) & ~(nuint)63);
        }

        At(id)->Set(mask, hasRange, id);
        _ids.Add((mask, hasRange), id);
        _uses[id] = 1;
        return true;
    }

    /// <summary>Ends a use; the number may be given to another mask after the last, so no reader may know it any more.</summary>
    internal void Release(ushort id)
    {
        if (--_uses[id] == 0)
        {
            _ids.Remove((At(id)->ToMask(), At(id)->HasRange != 0));
            _free.Push(id);
        }
    }
}
