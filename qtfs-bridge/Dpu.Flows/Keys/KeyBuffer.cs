using System.Runtime.CompilerServices;

namespace Dpu.Flows.Keys;

/// <summary>
/// Keys in pinned memory on a 64-byte boundary, so that each begins a cache line. The memory lives as long as this object;
/// not thread-safe.
/// </summary>
public sealed unsafe class KeyBuffer
{
    private readonly byte[] _memory;
    private readonly FlowKey* _keys;

    /// <summary>Makes room for <paramref name="capacity"/> keys, all 0.</summary>
    public KeyBuffer(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        Capacity = capacity;
        _memory = GC.AllocateArray<byte>((capacity * FlowKey.Size) + 64, pinned: true);

        // SAFETY: the array is pinned for its whole life, which this object's is, and 64 bytes longer than needed.
        _keys = (FlowKey*)(((nuint)Unsafe.AsPointer(ref _memory[0]) + 63) & ~(nuint)63);
    }

    /// <summary>How many keys fit.</summary>
    public int Capacity { get; }

    /// <summary>The first key: 64-byte aligned.</summary>
    internal FlowKey* Pointer => _keys;

    /// <summary>Key <paramref name="index"/>.</summary>
    public ref FlowKey this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Capacity, nameof(index));

            // SAFETY: the index was checked, and the memory is pinned.
            return ref _keys[index];
        }
    }

    /// <summary>All keys.</summary>
    public Span<FlowKey> Span => new(_keys, Capacity);
}
