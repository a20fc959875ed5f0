using System.Runtime.CompilerServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// Megaflows of one reader: masked keys with a result, each once, of one version of the rules. Where there are
/// too many keys the oldest go; where there are too many masks, further packets are remembered by their whole keys.
/// </summary>
internal sealed unsafe class MegaflowPool
{
    internal const int Capacity = 65536;
    private const int MaxMasks = 4096;
    private const int IndexSize = 65536;
    private const int EntrySize = 192; // 8 words of a key and 64 bytes more, if its mask has so many.

    private readonly byte[] _memory = GC.AllocateArray<byte>((Capacity * EntrySize) + (MaxMasks * sizeof(MaskInfo)) + (IndexSize * 2) + 64, pinned: true);
    private readonly Dictionary<FlowMask, ushort> _maskIds = new(MaxMasks);
    private readonly byte* _entries;
    private readonly MaskInfo* _masks;
    private readonly ushort* _index;
    private uint _version;
    private uint _generation;
    private ushort _next;

    internal MegaflowPool()
    {
        // SAFETY: pinned memory of this object's life, parted by the sizes above; 64 bytes longer than needed.
        _entries = (byte*)(((nuint)Unsafe.AsPointer(ref _memory[0]) + 63) & ~(nuint)63);
        _masks = (MaskInfo*)(_entries + (Capacity * EntrySize));
        _index = (ushort*)(_masks + MaxMasks);
    }

    internal int Count { get; private set; }

    /// <summary>A new version makes all that is there stale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Enter(uint version)
    {
        if (version != _version)
        {
            _version = version;
            Forget();
        }
    }

    /// <summary>Whether that megaflow is of this version, and the key's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryMatch(ushort number, FlowKey* key, uint version, out uint value)
    {
        var entry = (Entry*)(_entries + ((nuint)number * EntrySize));
        value = entry->Value;
        return number < Count && entry->Generation == _generation && Matches(entry, (ulong*)key);
    }

    /// <summary>The megaflow of a key under a mask, made where there is none yet.</summary>
    internal ushort FindOrAdd(FlowKey* key, in FlowMask mask, uint version, uint value)
    {
        if (!_maskIds.TryGetValue(mask, out ushort maskId))
        {
            if (_maskIds.Count >= MaxMasks - 1 && mask != FlowMask.Exact)
            {
                // No room for another mask: the packet's whole key is a megaflow of its own.
                return FindOrAdd(key, FlowMask.Exact, version, value);
            }

            maskId = (ushort)_maskIds.Count;
            _masks[maskId].Set(mask, false, maskId);
            _maskIds.Add(mask, maskId);
        }

        uint place = (_masks[maskId].Hash((ulong*)key, MaskInfo.Factors) + maskId) & (IndexSize - 1);
        ushort number = _index[place];
        var entry = (Entry*)(_entries + ((nuint)number * EntrySize));
        if (number < Count && entry->Generation == _generation && entry->Mask == maskId && Matches(entry, (ulong*)key))
        {
            return number;
        }

        // The oldest makes room: whoever still has its number compares the key with what is there now.
        number = _next;
        _next = (ushort)((_next + 1) % Capacity);
        Count = Math.Min(Count + 1, Capacity);
        entry = (Entry*)(_entries + ((nuint)number * EntrySize));
        (entry->Generation, entry->Value, entry->Mask) = (_generation, value, maskId);
        ulong* words = Words(entry);
        MaskInfo* info = _masks + maskId;
        for (int i = 0; i < info->Count; i++)
        {
            words[i] = ((ulong*)key)[info->Index[i]] & info->Words[i];
        }

        _index[place] = number;
        return number;
    }

    private void Forget()
    {
        Count = 0;
        _next = 0;
        _maskIds.Clear();
        _generation++;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Matches(Entry* entry, ulong* key)
    {
        MaskInfo* mask = _masks + entry->Mask;
        ulong* words = Words(entry);
        ulong difference = 0;
        int count = mask->Count;
        for (int i = 0; i < count; i++)
        {
            difference |= (key[mask->Index[i]] & mask->Words[i]) ^ words[i];
        }

        return difference == 0;
    }

    private static ulong* Words(Entry* entry) => (ulong*)((byte*)entry + 16);

    private struct Entry
    {
        internal uint Generation;
        internal uint Value;
        internal ushort Mask;
    }
}
