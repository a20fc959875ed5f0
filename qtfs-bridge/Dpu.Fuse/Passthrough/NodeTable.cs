using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// The nodes that a peer knows. A node id is <c>generation &lt;&lt; 32 | index</c>, so a stale or forged one is recognised;
/// the root is 1. Hard links are one node. Thread-safe: operations on different nodes meet in no lock but that of their bucket.
/// </summary>
internal sealed class NodeTable
{
    /// <summary>The root's node id: index 1, generation 0 (FUSE_ROOT_ID).</summary>
    public const ulong RootId = 1;

    private const int RootIndex = 1;
    private const int StripeCount = 64;

    private readonly SlotTable<NodeRecord> _slots;
    private readonly int[] _buckets;
    private readonly Lock[] _stripes = new Lock[StripeCount];
    private long _overdrawn;

    /// <summary>Makes a table with the root in it.</summary>
    /// <param name="root">The root; its descriptor belongs to the table from now on.</param>
    /// <param name="capacity">The most nodes beside the root.</param>
    /// <param name="firstGeneration">The generation of the first ids.</param>
    /// <param name="budget">The peer's budget of nodes; the root is free.</param>
    public NodeTable(in NodeRecord root, int capacity, uint firstGeneration, ResourceBudget? budget)
    {
        _slots = new SlotTable<NodeRecord>(capacity + 1, firstGeneration, budget);
        _buckets = new int[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(capacity, StripeCount, 1 << 16))];
        for (int i = 0; i < StripeCount; i++)
        {
            _stripes[i] = new Lock();
        }

        _ = _slots.TryReserve(out int index, charged: false);
        _slots[index] = root;
        SlotState.Publish(ref _slots[index].State, generation: 0);
    }

    /// <summary>How many nodes there are beside the root.</summary>
    public int Count => Math.Max(0, _slots.Count - 1);

    /// <summary>How often a limit refused a node.</summary>
    public long Refused => _slots.Refused;

    /// <summary>How often a peer gave back more references than it had.</summary>
    public long Overdrawn => Interlocked.Read(ref _overdrawn);

    /// <summary>Whether a node would be granted now.</summary>
    public bool HasRoom => _slots.HasRoom;

    /// <summary>The record of a pinned node.</summary>
    public ref NodeRecord this[int index] => ref _slots[index];

    /// <summary>The id of a slot in its present life.</summary>
    public static ulong IdOf(int index, ulong state) => ((ulong)SlotState.Generation(state) << 32) | (uint)index;

    /// <inheritdoc cref="SlotTable{T}.CountRefusal"/>
    public void CountRefusal() => _slots.CountRefusal();

    /// <summary>Holds a node open; check <see cref="NodePin.Valid"/>.</summary>
    public NodePin Pin(ulong id)
    {
        uint index = (uint)id;
        return _slots.Exists(index) && SlotState.TryPin(ref _slots[(int)index].State, (uint)(id >> 32))
            ? new NodePin(this, (int)index)
            : default;
    }

    public void Unpin(int index)
    {
        if (SlotState.Unpin(ref _slots[index].State))
        {
            Free(index);
        }
    }

    /// <summary>
    /// Takes one reference on the node of a file: the known one, or a new one that owns <c>file.Descriptor</c> from now on.
    /// </summary>
    /// <param name="file">The file, with an O_PATH descriptor.</param>
    /// <param name="known">True where the node existed; the caller keeps its descriptor then.</param>
    /// <returns>The node, pinned; invalid where a limit refused it, and the caller keeps its descriptor.</returns>
    public NodePin Intern(in NodeRecord file, out bool known)
    {
        int bucket = BucketOf(file);
        lock (_stripes[bucket % StripeCount])
        {
            for (int index = _buckets[bucket]; index != 0; index = _slots[index].Next)
            {
                ref NodeRecord record = ref _slots[index];
                if (record.IsSameFile(file) && SlotState.TryPin(ref record.State, SlotState.Generation(record.State)))
                {
                    record.Lookups++;
                    known = true;
                    return new NodePin(this, index);
                }
            }

            known = false;
            if (!_slots.TryReserve(out int made))
            {
                return default;
            }

            uint generation = SlotState.Generation(_slots[made].State);
            ulong state = _slots[made].State;
            _slots[made] = file with { State = state, Lookups = 1, Next = _buckets[bucket] };
            _buckets[bucket] = made;
            SlotState.Publish(ref _slots[made].State, generation);
            _ = SlotState.TryPin(ref _slots[made].State, generation);
            return new NodePin(this, made);
        }
    }

    /// <summary>Takes another reference on a pinned node.</summary>
    public void Reference(in NodePin node)
    {
        lock (_stripes[BucketOf(_slots[node.Index]) % StripeCount])
        {
            _slots[node.Index].Lookups++;
        }
    }

    /// <summary>Gives references back; more than there are is as many as there are. The root stays.</summary>
    public void Forget(ulong id, ulong count)
    {
        if ((uint)id == RootIndex)
        {
            return;
        }

        using NodePin node = Pin(id);
        if (!node.Valid)
        {
            return;
        }

        ref NodeRecord record = ref _slots[node.Index];
        int bucket = BucketOf(record);
        lock (_stripes[bucket % StripeCount])
        {
            if (count > record.Lookups)
            {
                Interlocked.Increment(ref _overdrawn);
            }

            record.Lookups -= Math.Min(count, record.Lookups);
            if (record.Lookups == 0)
            {
                Kill(node.Index, bucket, (uint)(id >> 32));
            }
        }
    }

    /// <summary>Forgets every node but the root.</summary>
    public void Clear()
    {
        for (int index = RootIndex + 1; index <= _slots.Highest; index++)
        {
            ulong state = Volatile.Read(ref _slots[index].State);
            if (SlotState.IsAlive(state))
            {
                Forget(IdOf(index, state), ulong.MaxValue);
            }
        }
    }

    /// <summary>Forgets every node, the root too; descriptors in use are closed by their last user.</summary>
    public void Close()
    {
        _slots.Close();
        Clear();
        if (SlotState.TryKill(ref _slots[RootIndex].State, 0, out bool free) && free)
        {
            Free(RootIndex);
        }
    }

    // Under the bucket's lock, with a pin held by the caller: so it is never the one to free.
    private void Kill(int index, int bucket, uint generation)
    {
        if (!SlotState.TryKill(ref _slots[index].State, generation, out _))
        {
            return;
        }

        ref int link = ref _buckets[bucket];
        while (link != index)
        {
            link = ref _slots[link].Next;
        }

        link = _slots[index].Next;
    }

    private void Free(int index)
    {
        ref NodeRecord record = ref _slots[index];
        _ = close(record.Descriptor);
        record.Descriptor = -1;
        SlotState.Retire(ref record.State);
        _slots.Return(index, charged: index != RootIndex);
    }

    private int BucketOf(in NodeRecord file)
    {
        // Fibonacci hashing (Knuth, TAOCP 3, 6.4): inode numbers of one directory are often consecutive.
        ulong hash = (file.Inode ^ (file.Device * 31) ^ (file.Mount << 20)) * 0x9E3779B97F4A7C15UL;
        return (int)(hash >> 40) & (_buckets.Length - 1);
    }
}
