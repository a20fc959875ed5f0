using Dpu.Linux;

namespace Dpu.Fuse;

// Nodes on mounts below the root. The peer's kernel keeps nodes for as long as it likes, and a descriptor of one would
// keep the host from unmounting; so they are shut soon after their last use, and their mounts let go.
internal sealed partial class NodeTable
{
    // Open nodes on other mounts than the root's. Its lock is taken under a move lock, and takes none.
    private readonly HashSet<int> _foreign = [];

    /// <summary>Whether any mount below the root is held: by an open node, or for nodes that are shut.</summary>
    public bool HoldsForeign
    {
        get
        {
            lock (_foreign)
            {
                if (_foreign.Count > 0)
                {
                    return true;
                }
            }

            return _anchors.HoldsAny;
        }
    }

    /// <summary>
    /// Shuts the nodes on mounts below the root that nobody has used since the last call, and lets go of mounts without an
    /// open node. Call it now and then. Does nothing where the kernel uses the numbers of mounts again.
    /// </summary>
    /// <param name="opened">Nodes of which the peer has a file open: they keep their descriptors where they have no name.</param>
    public void ShutIdleForeign(HashSet<ulong> opened)
    {
        if (!KernelMounts.Available)
        {
            return;
        }

        int[] open;
        lock (_foreign)
        {
            open = [.. _foreign];
        }

        foreach (int index in open)
        {
            ShutIfIdle(index, opened);
        }

        LetGoOfUnused();
    }

    /// <summary>
    /// Shuts all nodes on one mount that are not just in use, for the mount is to end: those that cannot be opened again are lost, so that who is in such a
    /// directory finds it gone, and who asks by name gets another node. Does nothing where the peer has a file open there.
    /// </summary>
    /// <param name="mount">The mount's number, as statx tells it.</param>
    /// <param name="opened">Nodes of which the peer has a file open.</param>
    /// <returns>False where it has one open there.</returns>
    public bool TryShutMount(ulong mount, HashSet<ulong> opened)
    {
        int[] open;
        lock (_foreign)
        {
            open = [.. _foreign.Where(index => _slots[index].Mount == mount)];
        }

        if (open.Any(index => opened.Contains(IdOf(index, Volatile.Read(ref _slots[index].State)))))
        {
            return false;
        }

        foreach (int index in open)
        {
            // Once to take its mark, once to shut it.
            ShutIfIdle(index, opened);
            ShutIfIdle(index, opened);
            Lose(index, mount);
        }

        LetGoOfUnused();
        return true;
    }

    // Of what is opened meanwhile the mount may be let go: the node's own descriptor holds it.
    private void LetGoOfUnused()
    {
        HashSet<ulong> inUse = [];
        lock (_foreign)
        {
            foreach (int index in _foreign)
            {
                inUse.Add(_slots[index].Mount);
            }
        }

        _anchors.LetGo(inUse);
    }

    // What has no handle of the kernel's has kept its descriptor.
    private void Lose(int index, ulong mount)
    {
        ref NodeRecord record = ref _slots[index];
        lock (_moves[index % StripeCount])
        {
            if (record.Mount != mount || !SlotState.TryShut(ref record.State))
            {
                return;
            }

            Volatile.Write(ref record.Lost, true);
            LeaveRing(ref record, index);
            Release(ref record, index);
        }

        Unpin(index);
    }

    private void ShutIfIdle(int index, HashSet<ulong> opened)
    {
        ref NodeRecord record = ref _slots[index];
        ulong state = Volatile.Read(ref record.State);
        if (SlotState.IsPinned(state))
        {
            return;
        }

        if (SlotState.IsReferenced(state))
        {
            SlotState.Mark(ref record.State, referenced: false);
            return;
        }

        // What is read without an open of the peer's is opened again when it is read again.
        ulong id = IdOf(index, state);
        if (Volatile.Read(ref record.Reader) != 0 && TakeReader(id) is not 0 and ulong reader)
        {
            _ = _handles!.Remove(reader, id, isDirectory: false);
        }

        Lock move = _moves[index % StripeCount];
        if (!move.TryEnter())
        {
            return;
        }

        try
        {
            if (!SlotState.TryShut(ref record.State))
            {
                return;
            }

            // A removed file that nobody has open must not hold the mount; who is still in such a directory finds it gone.
            _ = Shut(ref record, index, evenNameless: !opened.Contains(id));
        }
        finally
        {
            move.Exit();
        }

        Unpin(index);
    }

    private void NoteForeign(in NodeRecord record, int index, bool open)
    {
        if (!_anchors.IsForeign(record.Mount))
        {
            return;
        }

        lock (_foreign)
        {
            _ = open ? _foreign.Add(index) : _foreign.Remove(index);
        }
    }
}
