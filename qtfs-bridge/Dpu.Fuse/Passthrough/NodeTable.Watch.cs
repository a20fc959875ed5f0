using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Which nodes are watched for changes by others.
internal sealed unsafe partial class NodeTable
{
    private readonly INodeWatcher? _watcher;
    private readonly Lock _watches = new();

    /// <summary>Watches a node, if that can be; false also where the id names none.</summary>
    public bool Watch(ulong id)
    {
        if (_watcher is null)
        {
            return false;
        }

        if (!TryHold(id, out int index))
        {
            return false;
        }

        byte state = Volatile.Read(ref _slots[index].Watch);
        Unpin(index);
        return state == WatchState.Unknown ? BeginWatch(id) : state == WatchState.Watched;
    }

    /// <summary>What lies behind a node; an ordinary file where the id names none.</summary>
    public TreeKind TreeOf(ulong id)
    {
        if (!TryHold(id, out int index))
        {
            return TreeKind.Ordinary;
        }

        TreeKind tree = _slots[index].Tree;
        Unpin(index);
        return tree;
    }

    /// <summary>Whether a node is watched itself, and whether it is covered by its directory.</summary>
    public (bool Watched, bool Covered) WatchOf(ulong id)
    {
        if (!TryHold(id, out int index))
        {
            return default;
        }

        ref NodeRecord record = ref _slots[index];
        (bool, bool) result = (Volatile.Read(ref record.Watch) == WatchState.Watched, Volatile.Read(ref record.Covered));
        Unpin(index);
        return result;
    }

    /// <summary>Says whether a node's directory, which is watched, covers it.</summary>
    public void Cover(ulong id, bool covered)
    {
        if (TryHold(id, out int index))
        {
            // What is mounted over a name is in no directory that is watched: who changes it does so elsewhere.
            Volatile.Write(ref _slots[index].Covered, covered && !_slots[index].IsMountRoot);
            Unpin(index);
        }
    }

    /// <summary>
    /// The node of a file that is on the mount of the node <paramref name="near"/>, by the kernel's handle; 0 where the
    /// peer does not know the file, or it is gone. The calling thread acts as the agent.
    /// </summary>
    public ulong Find(ulong near, in FileHandle handle, out uint links)
    {
        links = 0;
        if (!TryHold(near, out int index))
        {
            // The peer has forgotten that one, and may know the file all the same.
            return FindAnywhere(handle, out links);
        }

        // The mount is not held for it: who changes a file on the host may unmount next.
        ref NodeRecord record = ref _slots[index];
        int opened = record.Anchored || index == RootIndex ? _anchors.Open(record.Mount, handle, keep: false) : -errno.ESTALE;
        Unpin(index);
        return opened < 0 ? 0 : FindOpened(opened, out links);
    }

    /// <summary>The node of an open file, which is closed; 0 where the peer does not know it.</summary>
    public ulong FindOpened(int opened, out uint links)
    {
        ulong found = Identify(opened, out statx status) == 0 ? Find(PassthroughFileSystem.RecordOf(opened, status)) : 0;
        links = status.stx_nlink;
        _ = close(opened);
        return found;
    }

    // On another file system the same handle may be another file's: who is told of it too often loses nothing but a cache.
    private ulong FindAnywhere(in FileHandle handle, out uint links)
    {
        links = 0;
        foreach (ulong mount in (ulong[])[_slots[RootIndex].Mount, .. _anchors.Foreign()])
        {
            int opened = _anchors.Open(mount, handle, keep: false);
            if (opened >= 0 && FindOpened(opened, out links) is not 0 and ulong node)
            {
                return node;
            }
        }

        return 0;
    }

    private ulong Find(in NodeRecord file)
    {
        int bucket = BucketOf(file);
        lock (_stripes[bucket % StripeCount])
        {
            for (int index = _buckets[bucket]; index != 0; index = _slots[index].Next)
            {
                ref NodeRecord record = ref _slots[index];
                if (record.IsSameFile(file) && !Volatile.Read(ref record.Lost))
                {
                    return IdOf(index, Volatile.Read(ref record.State));
                }
            }
        }

        // The root is in no bucket.
        return _slots[RootIndex].IsSameFile(file) ? RootId : 0;
    }

    private bool BeginWatch(ulong id)
    {
        using NodePin node = Pin(id);
        if (!node.Valid)
        {
            return false;
        }

        // Marks are the agent's, whoever the caller is; and a file must be found again by its handle, as events name it.
        ref NodeRecord record = ref _slots[node.Index];
        lock (_watches)
        {
            if (record.Watch == WatchState.Unknown)
            {
                // The kernel's own trees change without an event.
                bool findable = record.Tree == TreeKind.Ordinary && (node.Index == RootIndex || record.Anchored) && _anchors.CanOpen(record.Mount);
                bool watched = findable
                    && FuseWorkerThread.Current.BecomeAgent() == 0
                    && _watcher!.Add(id, node.Descriptor, node.Type == stat.S_IFDIR);
                Volatile.Write(ref record.Watch, watched ? WatchState.Watched : WatchState.Refused);
            }

            return record.Watch == WatchState.Watched;
        }
    }

    // The slot is dead and unpinned.
    private void EndWatch(ref NodeRecord record, int index)
    {
        // Not FuseWorkerThread.Current: a mount may be closed on any thread, and such a one is the agent anyway.
        bool mayOpen = FuseWorkerThread.Leave() == 0;
        bool shut = index != RootIndex && SlotState.IsShut(Volatile.Read(ref record.State));
        int descriptor = record.Descriptor;
        if (shut)
        {
            descriptor = mayOpen && record.Anchored ? _anchors.Open(record.Mount, record.Handle, keep: false) : -1;
        }

        _watcher!.Remove(IdOf(index, Volatile.Read(ref record.State)), descriptor);
        if (shut && descriptor >= 0)
        {
            _ = close(descriptor);
        }

        record.Watch = WatchState.Unknown;
    }

    // Keeps the slot, not the descriptor.
    private bool TryHold(ulong id, out int index)
    {
        index = (int)Math.Min((uint)id, int.MaxValue);
        return _slots.Exists((uint)index) && SlotState.TryHold(ref _slots[index].State, (uint)(id >> 32));
    }
}
