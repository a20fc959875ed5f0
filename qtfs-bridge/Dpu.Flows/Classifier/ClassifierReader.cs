using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// Looks packets up. For one thread at a time: it has caches and a place where the writer sees what it reads. Nothing on the
/// way of a look-up locks, allocates or throws.
/// </summary>
public sealed unsafe partial class ClassifierReader : IDisposable
{
    /// <summary>No rule matches.</summary>
    public const uint None = uint.MaxValue;

    /// <summary>Keys of one step: enough to overlap their cache misses.</summary>
    public const int MaxBatch = 32;

    private readonly FlowClassifier _classifier;
    private readonly int _slot;
    private readonly LookupCache? _cache;
    private readonly KeyBuffer _single = new(1);
    private bool _disposed;

    internal ClassifierReader(FlowClassifier classifier, bool cached)
    {
        _classifier = classifier;
        _slot = classifier.Readers.Take();
        _cache = cached ? new LookupCache() : null;
    }

    /// <summary>What the caches did; zeros without them.</summary>
    public CacheStatistics CacheStatistics => _cache?.Statistics ?? default;

    /// <summary>The value of the best rule, or <see cref="None"/>.</summary>
    public uint Lookup(in FlowKey key)
    {
        uint value;
        _single[0] = key;
        Lookup(_single, 1, new Span<uint>(&value, 1));
        return value;
    }

    /// <summary>The value of the best rule for each of the first <paramref name="count"/> keys, or <see cref="None"/>.</summary>
    public void Lookup(KeyBuffer keys, int count, Span<uint> values)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, keys.Capacity);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, values.Length);
        fixed (uint* target = values)
        {
            // SAFETY: both have room for count, which was checked; the keys are pinned.
            for (int first = 0; first < count; first += MaxBatch)
            {
                Batch((byte*)(keys.Pointer + first), Math.Min(MaxBatch, count - first), target + first);
            }
        }

        GC.KeepAlive(keys);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _classifier.Readers.Release(_slot);
        }
    }

    private void Batch(byte* keys, int count, uint* values)
    {
        uint version = _classifier.Readers.Enter(_slot, ref _classifier.PublishedVersion);

        // After the version: a snapshot is never older than it.
        ClassifierSnapshot snapshot = _classifier.Snapshot;
        if (_cache is null)
        {
            Uncached(snapshot, version, keys, count, values);
        }
        else
        {
            Cached(_cache, snapshot, version, keys, count, values);
        }

        _classifier.Readers.Leave(_slot);
    }

    [SkipLocalsInit]
    private void Uncached(ClassifierSnapshot snapshot, uint version, byte* keys, int count, uint* values)
    {
        ulong* best = stackalloc ulong[MaxBatch];
        uint* found = stackalloc uint[MaxBatch];
        new Span<ulong>(best, count).Clear();
        new Span<uint>(found, count).Clear();
        RuleStore rules = _classifier.Rules;
        snapshot.Trees.Find(rules, keys, count, version, best, found);
        TupleTable[] tables = snapshot.Tables;
        ulong[] maxRanks = snapshot.MaxRanks;
        for (int t = 0; t < tables.Length; t++)
        {
            ulong max = maxRanks[t];
            bool any = false;
            for (int i = 0; i < count; i++)
            {
                if (best[i] < max)
                {
                    any = true;
                    uint id = tables[t].Find((ulong*)(keys + ((nuint)i * FlowKey.Size)), version, ref best[i]);
                    found[i] = id != 0 ? id : found[i];
                }
            }

            if (!any)
            {
                break;
            }
        }

        for (int i = 0; i < count; i++)
        {
            values[i] = found[i] == 0 ? None : rules.At(found[i])->Value;
        }
    }

    private void Cached(LookupCache cache, ClassifierSnapshot snapshot, uint version, byte* keys, int count, uint* values)
    {
        uint missed = cache.Find(keys, count, version, values);
        while (missed != 0)
        {
            int i = System.Numerics.BitOperations.TrailingZeroCount(missed);
            missed &= missed - 1;
            var key = (FlowKey*)(keys + ((nuint)i * FlowKey.Size));
            if (cache.TryAgain(key, i, version, out values[i]))
            {
                // An earlier packet of this batch brought it.
                continue;
            }

            uint found = Resolve(snapshot, version, key, out FlowMask mask, null);
            values[i] = found == 0 ? None : _classifier.Rules.At(found)->Value;
            cache.Add(key, i, mask, version, values[i]);
        }
    }
}
