using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Nodes that outlive the process. The kernel's handle is made with the node, so that each is a shut one after a restart, which its next
// use opens. What the kernel's locks guard in a life is made anew: buckets, rings, anchors, watches.
internal sealed unsafe partial class NodeTable
{
    private readonly bool _isKept;
    private readonly bool _identifies;

    // With the node's descriptor in hand. Nobody who was not told of the node needs it whole.
    private void Keep(ref NodeRecord record, int descriptor)
    {
        bool isRoot = descriptor == _slots[RootIndex].Descriptor;
        if ((_isKept || _identifies) && !record.Handle.Exists && (isRoot || (record.Anchored && _anchors.CanOpen(record.Mount)))
            && TryMakeHandle(ref record, descriptor) && _identifies)
        {
            // Before anybody is told of the node, or never: what the peer knows of it must not change.
            record.Identity = FileIdentity.Of(descriptor, record);
        }
    }

    private static bool TryMakeHandle(ref NodeRecord record, int descriptor)
    {
        if (FileHandle.Create(descriptor, out FileHandle handle) < 0)
        {
            return false;
        }

        handle.Publish(ref record.Handle);
        return true;
    }

    // False where there is no earlier life.
    private bool Restore(in NodeRecord root)
    {
        if (!_isKept)
        {
            return false;
        }

        NodeRecord present = root;
        _ = TryMakeHandle(ref present, root.Descriptor);
        Dictionary<ulong, (int Descriptor, int Files)> opened = _handles?.ByNode() ?? [];
        bool same = false;
        bool found = _slots.Restore(index => index == RootIndex ? same = IsRoot(present) : Restore(index, opened), uncharged: RootIndex);
        if (!found || _slots.Highest == 0)
        {
            return false;
        }

        if (!same)
        {
            throw new IOException("it is another directory, or another mount of it, than the nodes of the agent's earlier life are of");
        }

        _slots[RootIndex] = present;
        SlotState.Publish(ref _slots[RootIndex].State, generation: 0);
        return true;
    }

    private bool IsRoot(in NodeRecord present)
    {
        ref NodeRecord record = ref _slots[RootIndex];
        return SlotState.Generation(record.State) == 0 && record.IsSameFile(present) && record.Handle.Names(present.Handle);
    }

    private bool Restore(int index, Dictionary<ulong, (int Descriptor, int Files)> opened)
    {
        ref NodeRecord record = ref _slots[index];
        bool isOpen = opened.TryGetValue(IdOf(index, record.State), out (int Descriptor, int Files) handle);
        (record.Descriptor, record.RingNext, record.RingPrevious, record.Nameless) = (-1, 0, 0, false);
        (record.Watch, record.Covered, record.Reader, record.Handles) = (WatchState.Unknown, false, 0, handle.Files);
        record.Anchored = !record.Handle.IsName && record.Handle.Exists && _anchors.TryRestore(record.Mount);
        bool reopens = record.Handle.IsName || record.Anchored;
        int descriptor = isOpen && record.Lookups != 0 ? OpenByHandle(record, handle.Descriptor, reopens) : -1;
        if (record.Lookups == 0 || (!reopens && descriptor < 0))
        {
            if (record.Anchored)
            {
                _anchors.Return(record.Mount);
            }

            return false;
        }

        SlotState.RestoreShut(ref record.State);
        int bucket = BucketOf(record);
        record.Next = _buckets[bucket];
        _buckets[bucket] = index;
        if (descriptor >= 0)
        {
            _window.Take(this);
            Take(ref record, index, descriptor);
        }

        return true;
    }

    // What has no name any more, or no handle, is opened by who has it open.
    private static int OpenByHandle(in NodeRecord record, int file, bool reopens)
    {
        if (Identify(file, out statx status) < 0 || (reopens && status.stx_nlink != 0))
        {
            return -1;
        }

        // SAFETY: Format ends the path with NUL.
        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        DescriptorPath.Format(file, path);
        int opened = Result(openat(fcntl.AT_FDCWD, path, fcntl.O_PATH | fcntl.O_CLOEXEC, 0));
        if (opened >= 0 && (Identify(opened, out status) < 0 || !record.IsSameFile(PassthroughFileSystem.RecordOf(opened, status))))
        {
            _ = close(opened);
            opened = -1;
        }

        return opened;
    }
}
