using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Dpu.Flows.Classifier;

/// <summary>
/// A hash table of rules whose masks contain this table's mask: TupleMerge's relaxed tuple (Daly et al., 2017). Rules that
/// agree under the table's mask lie behind one hash and are told apart by comparing them in full.
/// </summary>
/// <remarks>
/// Buckets are cache lines of 12 entries: 12 tag bytes that one vector compares, a count of entries that went on to the next
/// bucket, 12 rule numbers. Readers and one writer at once:
/// (1) an entry's number is written before its tag, so that a reader who sees the tag sees the number;
/// (2) entries never move within a bucket array: growing makes a new array, and readers go on in the old one, which has all
/// that was visible to them;
/// (3) an entry is cleared only when no reader can see its rule any more (the classifier waits for that).
/// </remarks>
internal sealed unsafe class TupleTable
{
    internal const int PerBucket = 12;
    private const uint EntryBits = (1u << PerBucket) - 1;

    private readonly RuleStore _rules;
    private readonly byte[] _maskMemory = GC.AllocateArray<byte>(sizeof(MaskInfo) + 64, pinned: true);
    private readonly ulong* _factors = MaskInfo.Factors;
    private Buckets _buckets;

    internal TupleTable(RuleStore rules, in Keys.FlowMask mask, ushort number)
    {
        _rules = rules;
        Number = number;

        // SAFETY: pinned memory of this object's life, 64 bytes longer than needed.
        Mask = (MaskInfo*)(((nuint)Unsafe.AsPointer(ref _maskMemory[0]) + 63) & ~(nuint)63);
        Mask->Set(mask, false, number);
        FullMask = mask;
        _buckets = new Buckets(2);
    }

    /// <summary>The mask under which rules are hashed.</summary>
    internal MaskInfo* Mask { get; }

    internal Keys.FlowMask FullMask { get; }

    internal ushort Number { get; }

    /// <summary>Rules in it, those that are removed and not cleared yet included.</summary>
    internal int Count { get; private set; }

    /// <summary>No rule in it has a higher rank; may be too high after removals.</summary>
    internal ulong MaxRank { get; private set; }

    /// <summary>Nothing is put in any more: a compiled structure is about to take its place.</summary>
    internal bool Frozen { get; set; }

    /// <summary>Bytes of the bucket array.</summary>
    internal long Size => (long)_buckets.Memory.Length + _maskMemory.Length;

    /// <summary>The best rule that is visible, matches and outranks <paramref name="best"/>; 0 where there is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal uint Find(ulong* key, uint version, ref ulong best)
    {
        Buckets buckets = Volatile.Read(ref _buckets);
        uint hash = Mask->Hash(key, _factors);
        Vector128<byte> tag = Vector128.Create(TagOf(hash));
        byte** lines = _rules.Lines;
        MaskInfo** masks = _rules.MaskPointers;
        uint found = 0;
        uint index = hash & buckets.Last;
        for (uint probes = 0; probes <= buckets.Last; probes++)
        {
            byte* bucket = buckets.Pointer + ((nuint)index * 64);
            uint hits = Vector128.Equals(Vector128.Load(bucket), tag).ExtractMostSignificantBits() & EntryBits;
            while (hits != 0)
            {
                uint id = Volatile.Read(ref Ids(bucket)[System.Numerics.BitOperations.TrailingZeroCount(hits)]);
                hits &= hits - 1;
                var rule = (RuleRecord*)LineArena.At(lines, id);
                if (rule->Rank > best && RuleRecord.Matches(rule, MaskStore.At(masks, rule->Mask), key) && RuleRecord.IsVisible(rule, version))
                {
                    best = rule->Rank;
                    found = id;
                }
            }

            if (Overflow(bucket) == 0)
            {
                break;
            }

            index = (index + 1) & buckets.Last;
        }

        GC.KeepAlive(buckets);
        return found;
    }

    /// <summary>Calls for every rule behind the key's hash, for explaining and for strict look-ups; slow.</summary>
    internal void Candidates(ulong* key, List<uint> into)
    {
        Buckets buckets = Volatile.Read(ref _buckets);
        uint hash = Mask->Hash(key, _factors);
        uint index = hash & buckets.Last;
        for (uint probes = 0; probes <= buckets.Last; probes++)
        {
            byte* bucket = buckets.Pointer + ((nuint)index * 64);
            for (int i = 0; i < PerBucket; i++)
            {
                if (Volatile.Read(ref bucket[i]) == TagOf(hash))
                {
                    into.Add(Volatile.Read(ref Ids(bucket)[i]));
                }
            }

            if (Overflow(bucket) == 0)
            {
                break;
            }

            index = (index + 1) & buckets.Last;
        }

        GC.KeepAlive(buckets);
    }

    /// <summary>How many rules lie behind the hash of a rule's words, to limit how many may.</summary>
    internal int CountBehind(ulong* key)
    {
        uint hash = Mask->Hash(key, _factors);
        int count = 0;
        uint index = hash & _buckets.Last;
        Vector128<byte> tag = Vector128.Create(TagOf(hash));
        for (uint probes = 0; probes <= _buckets.Last; probes++)
        {
            byte* bucket = _buckets.Pointer + ((nuint)index * 64);
            count += System.Numerics.BitOperations.PopCount(Vector128.Equals(Vector128.Load(bucket), tag).ExtractMostSignificantBits() & EntryBits);
            if (Overflow(bucket) == 0)
            {
                break;
            }

            index = (index + 1) & _buckets.Last;
        }

        return count;
    }

    /// <summary>Writer: puts a rule in, whose words are in <paramref name="key"/> as a key.</summary>
    internal void Add(ulong* key, uint id, ulong rank)
    {
        if ((Count + 1) * 4L > (_buckets.Last + 1L) * PerBucket * 3)
        {
            Grow();
        }

        Insert(_buckets, Mask->Hash(key, _factors), id);
        Count++;
        MaxRank = Math.Max(MaxRank, rank);
    }

    /// <summary>Writer: clears a rule's entry. No reader sees the rule any more.</summary>
    internal void Clear(ulong* key, uint id)
    {
        uint hash = Mask->Hash(key, _factors);
        byte tag = TagOf(hash);
        uint index = hash & _buckets.Last;
        uint first = index;
        for (uint probes = 0; probes <= _buckets.Last; probes++)
        {
            byte* bucket = _buckets.Pointer + ((nuint)index * 64);
            for (int i = 0; i < PerBucket; i++)
            {
                if (bucket[i] == tag && Ids(bucket)[i] == id)
                {
                    Volatile.Write(ref bucket[i], 0);
                    for (uint passed = first; passed != index; passed = (passed + 1) & _buckets.Last)
                    {
                        Overflow(_buckets.Pointer + ((nuint)passed * 64))--;
                    }

                    Count--;
                    return;
                }
            }

            index = (index + 1) & _buckets.Last;
        }

        throw new InvalidOperationException("a rule is not in the table that holds it");
    }

    /// <summary>Writer: finds the true highest rank again, after removals.</summary>
    internal void Recount()
    {
        ulong max = 0;
        ForEach(id =>
        {
            RuleRecord* rule = _rules.At(id);
            max = rule->Removed == 0 ? Math.Max(max, rule->Rank) : max;
        });
        MaxRank = max;
    }

    /// <summary>Writer: every rule in it.</summary>
    internal void ForEach(Action<uint> visit)
    {
        for (uint index = 0; index <= _buckets.Last; index++)
        {
            byte* bucket = _buckets.Pointer + ((nuint)index * 64);
            for (int i = 0; i < PerBucket; i++)
            {
                if (bucket[i] != 0)
                {
                    visit(Ids(bucket)[i]);
                }
            }
        }
    }

    private static byte TagOf(uint hash) => (byte)((hash >> 24) | 1);

    // SAFETY (both): a bucket is 64 bytes: 12 tags, 4 bytes of overflow count, 12 numbers of 4 bytes.
    private static ref uint Overflow(byte* bucket) => ref *(uint*)(bucket + PerBucket);

    private static uint* Ids(byte* bucket) => (uint*)(bucket + 16);

    private static void Insert(Buckets buckets, uint hash, uint id)
    {
        uint index = hash & buckets.Last;
        while (true)
        {
            byte* bucket = buckets.Pointer + ((nuint)index * 64);
            uint taken = ~Vector128.Equals(Vector128.Load(bucket), Vector128<byte>.Zero).ExtractMostSignificantBits() & EntryBits;
            if (taken != EntryBits)
            {
                int slot = System.Numerics.BitOperations.TrailingZeroCount(~taken);
                Ids(bucket)[slot] = id;
                Volatile.Write(ref bucket[slot], TagOf(hash));
                return;
            }

            // Readers go on as long as this is not 0; it is raised before the entry behind it appears.
            Volatile.Write(ref Overflow(bucket), Overflow(bucket) + 1);
            index = (index + 1) & buckets.Last;
        }
    }

    private void Grow()
    {
        Buckets larger = new((int)(_buckets.Last + 1) * 2);
        byte* buffer = stackalloc byte[Keys.FlowKey.Size];
        ForEach(id =>
        {
            _rules.ExpandKey(id, (ulong*)buffer);
            Insert(larger, Mask->Hash((ulong*)buffer, _factors), id);
        });
        Volatile.Write(ref _buckets, larger);
    }

    private sealed class Buckets
    {
        internal readonly byte[] Memory;
        internal readonly byte* Pointer;
        internal readonly uint Last;

        internal Buckets(int count)
        {
            Memory = GC.AllocateArray<byte>(checked((count * 64) + 64), pinned: true);
            Last = (uint)count - 1;

            // SAFETY: pinned memory of this object's life, 64 bytes longer than needed. Readers hold the object while they read.
            Pointer = (byte*)(((nuint)Unsafe.AsPointer(ref Memory[0]) + 63) & ~(nuint)63);
        }
    }
}
