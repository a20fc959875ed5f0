using System.Runtime.CompilerServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>Rules and their masks in memory. One writer; readers follow numbers that it has published.</summary>
internal sealed unsafe class RuleStore
{
    private readonly LineArena _arena = new();
    private readonly MaskStore _masks = new();

    /// <summary>Rules that take memory.</summary>
    internal int Count { get; private set; }

    /// <summary>Different masks.</summary>
    internal int MaskCount => _masks.Count;

    internal long Size => _arena.Size;

    internal byte** Lines => _arena.Pointers;

    internal MaskInfo** MaskPointers => _masks.Pointers;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal RuleRecord* At(uint id) => (RuleRecord*)_arena.At(id);

    internal MaskInfo* MaskOf(uint id) => _masks.At(At(id)->Mask);

    /// <summary>Makes a rule of a canonical match, invisible to every reader; 0 where there are too many masks.</summary>
    internal uint Allocate(in FlowMatch match, ulong rank, uint added, uint value)
    {
        if (!_masks.TryAcquire(match.Mask, match.HasRange, out ushort maskId))
        {
            return 0;
        }

        MaskInfo* mask = _masks.At(maskId);
        uint id = _arena.Allocate(RuleRecord.Lines(mask));
        RuleRecord* rule = At(id);

        // The memory may have been another rule's, which some reader still compares: first this makes it invisible to all.
        Volatile.Write(ref *(ulong*)&rule->Added, added);
        Thread.MemoryBarrier();
        (rule->Rank, rule->Mask, rule->Value) = (rank, maskId, value);
        ulong* words = RuleRecord.Words(rule);
        for (int i = 0; i < mask->Count; i++)
        {
            words[i] = match.Key.Word(mask->Index[i]);
        }

        if (mask->HasRange != 0)
        {
            words[mask->Count] = RuleRecord.PackRanges(match.TpSrc, match.TpDst);
        }

        Count++;
        return id;
    }

    /// <summary>Gives a rule's memory back. No reader knows its number any more.</summary>
    internal void Free(uint id)
    {
        ushort mask = At(id)->Mask;
        int lines = RuleRecord.Lines(_masks.At(mask));
        _masks.Release(mask);
        _arena.Free(id, lines);
        Count--;
    }

    internal FlowMatch MatchOf(uint id) => RuleRecord.MatchOf(At(id), MaskOf(id));

    /// <summary>The rule's words where a key has them, all others 0.</summary>
    internal void ExpandKey(uint id, ulong* key)
    {
        new Span<ulong>(key, FlowKey.Words).Clear();
        MaskInfo* mask = MaskOf(id);
        ulong* words = RuleRecord.Words(At(id));
        for (int i = 0; i < mask->Count; i++)
        {
            key[mask->Index[i]] = words[i];
        }
    }
}
