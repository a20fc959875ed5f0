using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// A mask as look-ups use it: its words that are not 0, first the numbers, then the bits. 256 bytes: the common mask of up to
/// six words is read from its first cache line.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal unsafe struct MaskInfo
{
    [FieldOffset(0)] internal byte Count;
    [FieldOffset(1)] internal byte HasRange;
    [FieldOffset(2)] internal ushort Id;
    [FieldOffset(4)] private uint _pad;

    /// <summary>Which word of the key each is.</summary>
    [FieldOffset(8)] internal fixed byte Index[16];

    /// <summary>The bits.</summary>
    [FieldOffset(24)] internal fixed ulong Words[16];

    /// <summary>Sets this from a mask.</summary>
    internal void Set(in FlowMask mask, bool hasRange, ushort id)
    {
        this = default;
        HasRange = hasRange ? (byte)1 : (byte)0;
        Id = id;
        for (int i = 0; i < FlowKey.Words; i++)
        {
            if (mask.Bits.Word(i) != 0)
            {
                Index[Count] = (byte)i;
                Words[Count++] = mask.Bits.Word(i);
            }
        }
    }

    /// <summary>The mask again.</summary>
    internal readonly FlowMask ToMask()
    {
        FlowMask mask = default;
        for (int i = 0; i < Count; i++)
        {
            mask.Bits.SetWord(Index[i], Words[i]);
        }

        return mask;
    }

    /// <summary>
    /// The hash of a key's bits under this mask: multilinear, so that the products are independent of each other and the upper
    /// half of the sum is universal (Dietzfelbinger 1996); the factors are secret, so that nobody can aim at a bucket.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly uint Hash(ulong* key, ulong* factors)
    {
        ulong sum = 0;
        for (int i = 0; i < Count; i++)
        {
            ulong word = key[Index[i]] & Words[i];
            sum += ((word >> 32) * factors[i + 16]) + (word * factors[i]);
        }

        sum ^= sum >> 29;
        return (uint)((sum * 0x9e3779b97f4a7c15) >> 32);
    }

    /// <summary>Random odd factors of this process: 32 of 64 bits, pinned.</summary>
    internal static ulong* Factors => FactorMemory.Pointer;

    private static class FactorMemory
    {
        private static readonly ulong[] _memory = Make();

        // SAFETY: a pinned array that a static field holds for ever.
        internal static readonly ulong* Pointer = (ulong*)Unsafe.AsPointer(ref _memory[0]);

        private static ulong[] Make()
        {
            ulong[] memory = GC.AllocateArray<ulong>(32, pinned: true);
            System.Security.Cryptography.RandomNumberGenerator.Fill(MemoryMarshal.AsBytes(memory.AsSpan()));
            for (int i = 0; i < memory.Length; i++)
            {
                memory[i] |= 1;
            }

            return memory;
        }
    }
}
