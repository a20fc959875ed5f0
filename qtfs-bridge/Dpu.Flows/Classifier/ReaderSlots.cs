using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Dpu.Flows.Classifier;

/// <summary>
/// The version that each reader is at, 0 where it reads nothing: what the writer looks at before it gives memory back.
/// </summary>
/// <remarks>
/// (1) A reader writes the published version into its slot, (2) a full fence, (3) it reads the published version again, and
/// starts over if that moved. The writer (4) publishes, (5) a full fence, (6) reads the slots. Either (6) sees (1), or (3)
/// sees (4): a reader that the writer did not see has the new version.
/// </remarks>
internal sealed unsafe class ReaderSlots
{
    internal const int Max = 256;
    private const int Stride = 16; // 128 bytes: neighbours' lines are prefetched in pairs.

    private readonly ulong[] _memory = GC.AllocateArray<ulong>((Max + 1) * Stride, pinned: true);
    private readonly bool[] _taken = new bool[Max];

    internal int Take()
    {
        lock (_taken)
        {
            int slot = Array.IndexOf(_taken, false);
            if (slot < 0)
            {
                throw new InvalidOperationException($"a classifier has at most {Max} readers; dispose of those that are not needed");
            }

            _taken[slot] = true;
            return slot;
        }
    }

    internal void Release(int slot)
    {
        lock (_taken)
        {
            Volatile.Write(ref Active(slot), 0);
            _taken[slot] = false;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint Enter(int slot, ref uint published)
    {
        while (true)
        {
            uint version = Volatile.Read(ref published);
            Volatile.Write(ref Active(slot), version);
            Interlocked.MemoryBarrier();
            if (Volatile.Read(ref published) == version)
            {
                return version;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Leave(int slot) => Volatile.Write(ref Active(slot), 0);

    /// <summary>The oldest version that somebody reads; <paramref name="published"/> where nobody does.</summary>
    internal uint Oldest(uint published)
    {
        Interlocked.MemoryBarrier();
        uint oldest = published;
        for (int i = 0; i < Max; i++)
        {
            uint active = Volatile.Read(ref Active(i));
            if (active != 0 && (int)(active - oldest) < 0)
            {
                oldest = active;
            }
        }

        return oldest;
    }

    // SAFETY: slots are below Max, the memory has one stride more.
    private ref uint Active(int slot) =>
        ref Unsafe.As<ulong, uint>(ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_memory), (slot + 1) * Stride));
}
