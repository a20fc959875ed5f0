using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// The nodes that a peer knows. A node id is <c>generation &lt;&lt; 32 | index</c>, so a stale or forged one is recognised;
/// the root is 1. Hard links are one node. Thread-safe: operations on different open nodes meet in no lock but that of
/// their bucket. Where the <see cref="DescriptorWindow"/> is full, some nodes are shut: they hold no descriptor until used.
/// </summary>
internal sealed partial class NodeTable
{
    /// <summary>The root's node id: index 1, generation 0 (FUSE_ROOT_ID).</summary>
    public const ulong RootId = 1;

    private const int RootIndex = 1;
    private const int StripeCount = 64;

    private readonly SlotTable<NodeRecord> _slots;
    private readonly int[] _buckets;
    private readonly Lock[] _stripes = new Lock[StripeCount];
    private readonly HandleTable? _handles;
    private long _overdrawn;

    /// <summary>Makes a table with the root in it.</summary>
    /// <param name="root">The root; its descriptor belongs to the table from now on. Where it is O_PATH, no node of its mount is ever shut.</param>
    /// <param name="capacity">The most nodes beside the root.</param>
    /// <param name="firstGeneration">The generation of the first ids.</param>
    /// <param name="budget">The peer's budget of nodes; the root is free.</param>
    /// <param name="window">What bounds the descriptors; null is no limit.</param>
    /// <param name="watcher">What watches nodes; null where nothing does.</param>
    /// <param name="handles">Where the nodes' handles for reading are; null where there are none.</param>
    /// <param name="kept">Where the nodes are kept for another life of the process; null where they are not.</param>
    /// <param name="identifies">Whether nodes get a <see cref="NodeRecord.Identity"/>.</param>
    /// <exception cref="IOException">The nodes of an earlier life are of another directory than the root.</exception>
    public NodeTable(
        in NodeRecord root, int capacity, uint firstGeneration, ResourceBudget? budget, DescriptorWindow? window = null, INodeWatcher? watcher = null, HandleTable? handles = null, IKeptState? kept = null, bool identifies = false)
    {
        _identifies = identifies;
        _watcher = watcher;
        _handles = handles;
        _isKept = kept is not null;
        _slots = new SlotTable<NodeRecord>(capacity + 1, firstGeneration, budget, kept, "nodes");
        _buckets = new int[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(capacity, StripeCount, 1 << 18))];
        for (int i = 0; i < StripeCount; i++)
        {
            _stripes[i] = new Lock();
            _moves[i] = new Lock();
        }

        _anchors = new MountAnchors(root.Mount, root.Descriptor);
        _window = window ?? new DescriptorWindow(int.MaxValue);
        if (!Restore(root))
        {
            _ = _slots.TryReserve(out int index, charged: false);
            _slots[index] = root;
            Keep(ref _slots[index], root.Descriptor);
            SlotState.Publish(ref _slots[index].State, generation: 0);
        }

        _window.Join(this);
    }

    /// <summary>How many nodes there are beside the root.</summary>
    public int Count => Math.Max(0, _slots.Count - 1);

    /// <summary>How often a limit refused a node.</summary>
    public long Refused => _slots.Refused;

    /// <summary>How often a peer gave back more references than it had.</summary>
    public long Overdrawn => Interlocked.Read(ref _overdrawn);

    /// <summary>Whether a node would be granted now.</summary>
    public bool HasRoom => _slots.HasRoom && _window.HasRoom(this);

    /// <summary>The record of a pinned node.</summary>
    public ref NodeRecord this[int index] => ref _slots[index];

    /// <summary>The id of a slot in its present life.</summary>
    public static ulong IdOf(int index, ulong state) => ((ulong)SlotState.Generation(state) << 32) | (uint)index;

    /// <inheritdoc cref="SlotTable{T}.CountRefusal"/>
    public void CountRefusal() => _slots.CountRefusal();

    /// <summary>
    /// Holds a node open; check <see cref="NodePin.Error"/>. Opening a shut one leaves the thread as the agent: assume the
    /// caller's identity afterwards.
    /// </summary>
    public NodePin Pin(ulong id)
    {
        uint index = (uint)id;
        if (!_slots.Exists(index) || !SlotState.TryPin(ref _slots[(int)index].State, (uint)(id >> 32), out bool open))
        {
            return default;
        }

        return open ? new NodePin(this, (int)index) : Reopen((int)index);
    }

    public void Unpin(int index)
    {
        if (SlotState.Unpin(ref _slots[index].State))
        {
            Free(index);
        }
    }

    /// <summary>
    /// Takes one reference on the node of a file: the known one, or a new one. May leave the thread as the agent.
    /// </summary>
    /// <param name="file">The file, with an O_PATH descriptor.</param>
    /// <param name="known">True where the node was open already, so that the caller keeps its descriptor; otherwise the table owns it from now on.</param>
    /// <returns>The node, pinned; invalid where a limit refused it, and the caller keeps its descriptor.</returns>
    public NodePin Intern(in NodeRecord file, out bool known)
    {
        while (true)
        {
            known = false;
            int index = FindOrAdd(file, out bool made, out bool open);
            if (index == 0)
            {
                return default;
            }

            bool taken = false;
            int error = open ? 0 : Install(index, file, needed: !made, out taken);
            if (error == 0)
            {
                known = !taken;
                return new NodePin(this, index);
            }

            Forget(IdOf(index, Volatile.Read(ref _slots[index].State)), 1);
            Unpin(index);
            if (error != -errno.ESTALE)
            {
                CountRefusal();
                return default;
            }

            // That node is lost, and not found again.
        }
    }

    // The node of a file, pinned and referenced once more; a new one is shut. 0 where a limit refused it.
    private int FindOrAdd(in NodeRecord file, out bool made, out bool open)
    {
        (made, open) = (false, false);
        int bucket = BucketOf(file);
        lock (_stripes[bucket % StripeCount])
        {
            for (int index = _buckets[bucket]; index != 0; index = _slots[index].Next)
            {
                ref NodeRecord record = ref _slots[index];
                if (record.IsSameFile(file) && !Volatile.Read(ref record.Lost) && SlotState.TryPin(ref record.State, SlotState.Generation(record.State), out open))
                {
                    record.Lookups++;
                    return index;
                }
            }

            if (!_slots.TryReserve(out int added))
            {
                return 0;
            }

            ulong state = _slots[added].State;
            _slots[added] = file with { State = state, Lookups = 1, Descriptor = -1, Next = _buckets[bucket] };
            _buckets[bucket] = added;
            SlotState.PublishShut(ref _slots[added].State, SlotState.Generation(state));
            made = true;
            return added;
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

    /// <summary>Whether the peer has the pinned node open as a file.</summary>
    public bool HasHandles(in NodePin node) => Volatile.Read(ref _slots[node.Index].Handles) > 0;

    /// <summary>Counts a file that was opened (1) or closed (-1); does nothing for a node that is forgotten.</summary>
    public void CountHandle(ulong id, int change)
    {
        uint index = (uint)id;
        if (_slots.Exists(index) && SlotState.TryPin(ref _slots[(int)index].State, (uint)(id >> 32)))
        {
            Interlocked.Add(ref _slots[(int)index].Handles, change);
            Unpin((int)index);
        }
    }

    /// <summary>Gives references back; more than there are is as many as there are. The root stays.</summary>
    public void Forget(ulong id, ulong count)
    {
        if ((uint)id == RootIndex)
        {
            return;
        }

        // Not as Pin does: to forget a shut node there is nothing to open.
        int index = (int)Math.Min((uint)id, int.MaxValue);
        if (!_slots.Exists((uint)index) || !SlotState.TryPin(ref _slots[index].State, (uint)(id >> 32)))
        {
            return;
        }

        ref NodeRecord record = ref _slots[index];
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
                Kill(index, bucket, (uint)(id >> 32));
            }
        }

        Unpin(index);
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

        _window.Leave(this);
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
        if (record.Watch == WatchState.Watched)
        {
            EndWatch(ref record, index);
        }

        if (Interlocked.Exchange(ref record.Reader, 0) is not 0 and ulong reader)
        {
            _ = _handles!.Remove(reader, IdOf(index, Volatile.Read(ref record.State)), isDirectory: false);
        }

        if (index == RootIndex)
        {
            _ = close(record.Descriptor);
            record.Descriptor = -1;
        }
        else if (!SlotState.IsShut(Volatile.Read(ref record.State)))
        {
            LeaveRing(ref record, index);
            Release(ref record, index);
        }

        if (record.Anchored)
        {
            _anchors.Return(record.Mount);
        }

        SlotState.Retire(ref record.State);
        _slots.Return(index, charged: index != RootIndex);
    }

    /// <summary>Takes a node's handle for reading from it; 0 where it has none, or the id names no node.</summary>
    public ulong TakeReader(ulong id)
    {
        if (!TryHold(id, out int index))
        {
            return 0;
        }

        ulong reader = Interlocked.Exchange(ref _slots[index].Reader, 0);
        Unpin(index);
        return reader;
    }

    private int BucketOf(in NodeRecord file)
    {
        // Fibonacci hashing (Knuth, TAOCP 3, 6.4): inode numbers of one directory are often consecutive.
        ulong hash = (file.Inode ^ (file.Device * 31) ^ (file.Mount << 20)) * 0x9E3779B97F4A7C15UL;
        return (int)(hash >> 40) & (_buckets.Length - 1);
    }
}
