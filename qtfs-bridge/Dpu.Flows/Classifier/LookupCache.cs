using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>What a reader's caches did: packets by what answered them.</summary>
/// <param name="ExactHits">The exact-match cache.</param>
/// <param name="SignatureHits">The signature cache.</param>
/// <param name="Misses">The classifier.</param>
/// <param name="Megaflows">Different masked keys that were remembered since the last flush.</param>
public readonly record struct CacheStatistics(long ExactHits, long SignatureHits, long Misses, int Megaflows);

/// <summary>
/// A reader's two caches. The exact-match cache has whole keys, two to a set. The signature cache, as OVS' SMC, has 16 bits of
/// the key's hash and the number of a megaflow, four to a bucket, so that it holds far more packets in the same memory; a
/// megaflow is a masked key all of whose packets have one result. Both are exact: a hit compares the key, the one in full, the
/// other under the megaflow's mask. Every entry is of one version of the rules; a batch of changes makes all others stale.
/// </summary>
/// <remarks>
/// A signature that led to a rule instead would be wrong: another packet of the same signature may match that rule and a
/// better one too. A megaflow's mask covers why no better rule matches.
/// </remarks>
internal sealed unsafe class LookupCache
{
    private const int ExactEntries = 8192;
    private const int SignatureBuckets = 65536;
    private readonly MegaflowPool _megaflows = new();
    private readonly byte[] _memory;
    private readonly FlowKey* _exactKeys;
    private readonly ExactEntry* _exact;
    private readonly ulong* _signatures;
    private readonly ushort* _flows;
    private readonly uint[] _hashMemory = GC.AllocateArray<uint>(ClassifierReader.MaxBatch, pinned: true);
    private readonly uint* _hashes;
    private long _exactHits;
    private long _signatureHits;
    private long _misses;
    private uint _random = 1;
    private uint _version;

    internal LookupCache()
    {
        const int Keys = ExactEntries * FlowKey.Size, Exact = ExactEntries * 16, Signatures = SignatureBuckets * 8;
        _memory = GC.AllocateArray<byte>(Keys + Exact + (Signatures * 2) + 64, pinned: true);

        // SAFETY: pinned memory of this object's life, parted by the sizes above; 64 bytes longer than needed.
        byte* start = (byte*)(((nuint)Unsafe.AsPointer(ref _memory[0]) + 63) & ~(nuint)63);
        _exactKeys = (FlowKey*)start;
        _exact = (ExactEntry*)(start + Keys);
        _signatures = (ulong*)(start + Keys + Exact);
        _flows = (ushort*)(start + Keys + Exact + Signatures);
        _hashes = (uint*)Unsafe.AsPointer(ref _hashMemory[0]);
    }

    internal CacheStatistics Statistics => new(_exactHits, _signatureHits, _misses, _megaflows.Count);

    /// <summary>Answers what it can; returns a bit for each key that it cannot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal uint Find(byte* keys, int count, uint version, uint* values)
    {
        _megaflows.Enter(version);
        if (version < _version)
        {
            // Versions wrap: an entry of four billion batches ago must not look new.
            new Span<ExactEntry>(_exact, ExactEntries).Clear();
        }

        _version = version;
        uint* hashes = _hashes;
        for (int i = 0; i < count; i++)
        {
            hashes[i] = Hash((ulong*)(keys + ((nuint)i * FlowKey.Size)));
        }

        uint missed = 0;
        int exact = 0, signature = 0;
        for (int i = 0; i < count; i++)
        {
            byte* key = keys + ((nuint)i * FlowKey.Size);
            if (FindExact(key, hashes[i], version, out values[i]))
            {
                exact++;
            }
            else if (FindSignature((FlowKey*)key, hashes[i], version, out values[i]))
            {
                signature++;
            }
            else
            {
                missed |= 1u << i;
            }
        }

        _exactHits += exact;
        _signatureHits += signature;
        return missed;
    }

    /// <summary>Asks the signature cache once more, for a key that was not there when its batch began.</summary>
    internal bool TryAgain(FlowKey* key, int index, uint version, out uint value)
    {
        bool found = FindSignature(key, _hashes[index], version, out value);
        _signatureHits += found ? 1 : 0;
        return found;
    }

    /// <summary>Remembers a result.</summary>
    internal void Add(FlowKey* key, int index, in FlowMask mask, uint version, uint value)
    {
        _misses++;
        uint hash = _hashes[index];
        ushort flow = _megaflows.FindOrAdd(key, mask, version, value);
        uint bucket = hash & (SignatureBuckets - 1);
        ushort signature = SignatureOf(hash);

        // Its own old place, else one that chance chooses.
        int slot = (int)(NextRandom() & 3);
        for (int i = 0; i < 4; i++)
        {
            slot = (ushort)(_signatures[bucket] >> (i * 16)) == signature ? i : slot;
        }

        _signatures[bucket] = (_signatures[bucket] & ~(0xfffful << (slot * 16))) | ((ulong)signature << (slot * 16));
        _flows[(bucket * 4) + (uint)slot] = flow;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool FindExact(byte* key, uint hash, uint version, out uint value)
    {
        uint set = hash & (ExactEntries - 2);
        for (uint way = 0; way < 2; way++)
        {
            ExactEntry* entry = _exact + set + way;
            if (entry->Hash == hash && entry->Version == version && SameKey(key, (byte*)(_exactKeys + set + way)))
            {
                value = entry->Value;
                return true;
            }
        }

        value = 0;
        return false;
    }

    private bool FindSignature(FlowKey* key, uint hash, uint version, out uint value)
    {
        uint bucket = hash & (SignatureBuckets - 1);
        ushort signature = SignatureOf(hash);
        ulong signatures = _signatures[bucket];
        for (int i = 0; i < 4; i++)
        {
            if ((ushort)(signatures >> (i * 16)) == signature && _megaflows.TryMatch(_flows[(bucket * 4) + (uint)i], key, version, out value))
            {
                // Hot packets come to lie in the exact-match cache; one in eight, so that the many that come once do not flush it.
                if ((NextRandom() & 7) == 0)
                {
                    AddExact(key, hash, version, value);
                }

                return true;
            }
        }

        value = 0;
        return false;
    }

    private void AddExact(FlowKey* key, uint hash, uint version, uint value)
    {
        uint set = hash & (ExactEntries - 2);
        uint way = _exact[set].Version != version ? 0u : _exact[set + 1].Version != version ? 1u : NextRandom() & 1;
        _exactKeys[set + way] = *key;
        _exact[set + way] = new ExactEntry { Hash = hash, Version = version, Value = value };
    }

    private static ushort SignatureOf(uint hash) => (ushort)(hash >> 16);

    private uint NextRandom() => (_random = (_random * 1664525) + 1013904223) >> 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool SameKey(byte* left, byte* right)
    {
        Vector128<byte> difference = Vector128<byte>.Zero;
        for (int i = 0; i < FlowKey.Size; i += 16)
        {
            difference |= Vector128.Load(left + i) ^ Vector128.Load(right + i);
        }

        return difference == Vector128<byte>.Zero;
    }

    // Products of pairs of words, folded (as wyhash does); the second line is mostly 0 and then left out.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Hash(ulong* key)
    {
        ulong* factors = MaskInfo.Factors;
        ulong sum = Fold(key[0] ^ factors[0], key[1] ^ factors[1]) ^ Fold(key[2] ^ factors[2], key[3] ^ factors[3])
            ^ Fold(key[4] ^ factors[4], key[5] ^ factors[5]) ^ Fold(key[6] ^ factors[6], key[7] ^ factors[7]);
        if ((key[8] | key[9] | key[10] | key[11] | key[12] | key[13] | key[14] | key[15]) != 0)
        {
            sum ^= Fold(key[8] ^ factors[8], key[9] ^ factors[9]) ^ Fold(key[10] ^ factors[10], key[11] ^ factors[11])
                ^ Fold(key[12] ^ factors[12], key[13] ^ factors[13]) ^ Fold(key[14] ^ factors[14], key[15] ^ factors[15]);
        }

        return (uint)(sum ^ (sum >> 32));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Fold(ulong a, ulong b)
    {
        ulong high = Math.BigMul(a, b, out ulong low);
        return high ^ low;
    }

    [StructLayout(LayoutKind.Sequential, Size = 16)]
    private struct ExactEntry
    {
        internal uint Hash;
        internal uint Version;
        internal uint Value;
    }
}
