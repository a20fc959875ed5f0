using System.Runtime.CompilerServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Which nodes hold a descriptor. The open ones form a ring, and a hand goes round it and shuts those that no call has
// touched since it came by last (CLOCK: Corbató, "A Paging Experiment with the Multics System", 1968). Files that it finds
// without a name go to a ring of their own (NodeTable.Nameless.cs).
//
// Locks, in this order: a node's move lock, then the ring's. The hand, which has the ring's, only tries the move locks.
// Neither is held while a descriptor is taken from the window, which may go round any table's ring.
internal sealed unsafe partial class NodeTable
{
    // Steps of the hand at a time, so that nobody who opens or forgets a node waits long for the ring.
    private const int StepsAtOnce = 128;

    private readonly DescriptorWindow _window;
    private readonly MountAnchors _anchors;
    private readonly Lock[] _moves = new Lock[StripeCount];
    private readonly Lock _ring = new();
    private int _hand;
    private int _evictable;
    private int _open;

    /// <summary>How many nodes beside the root hold a descriptor.</summary>
    public int Open => Volatile.Read(ref _open);

    /// <summary>How many of these can be shut, as far as is known.</summary>
    public int Evictable => Volatile.Read(ref _evictable);

    /// <summary>Shuts a node that is not in use; false where there is none.</summary>
    public bool TryShutOne()
    {
        // Twice round: the first time may only take second chances away.
        int left = (2 * Evictable) + 1;
        while (left > 0)
        {
            int victim = NextVictim(ref left);
            if (victim != 0 && ShutVictim(victim, nameless: false))
            {
                return true;
            }
        }

        return false;
    }

    // Takes the pin and the move lock away, with which a victim was found.
    private bool ShutVictim(int victim, bool nameless)
    {
        bool shut;
        try
        {
            shut = nameless ? ShutNameless(ref _slots[victim], victim) : Shut(ref _slots[victim], victim);
        }
        finally
        {
            _moves[victim % StripeCount].Exit();
        }

        Unpin(victim);
        return shut;
    }

    // A shut node, pinned and with its move lock held; 0 where some steps found none.
    private int NextVictim(ref int left)
    {
        lock (_ring)
        {
            for (int step = 0; step < StepsAtOnce && left > 0; step++, left--)
            {
                int index = _hand;
                if (index == 0)
                {
                    left = 0;
                    return 0;
                }

                ref NodeRecord record = ref _slots[index];
                _hand = record.RingNext;
                ulong state = Volatile.Read(ref record.State);
                if (SlotState.IsPinned(state))
                {
                    continue;
                }

                if (SlotState.IsReferenced(state))
                {
                    SlotState.Mark(ref record.State, referenced: false);
                    continue;
                }

                Lock move = _moves[index % StripeCount];
                if (!move.TryEnter())
                {
                    continue;
                }

                if (SlotState.TryShut(ref record.State))
                {
                    left--;
                    return index;
                }

                move.Exit();
            }
        }

        return 0;
    }

    // Under the move lock, with the node shut: closes the descriptor, or opens the node again where it must keep it.
    private bool Shut(ref NodeRecord record, int index, bool evenNameless = false)
    {
        bool reopens = record.Handle.IsName
            || (record.Anchored && _anchors.CanOpen(record.Mount) && (record.Handle.Exists || TryMakeHandle(ref record, record.Descriptor)));
        if (!reopens)
        {
            LeaveRing(ref record, index);
            SlotState.Open(ref record.State);
            return false;
        }

        // Without a name left, the descriptor may be all that keeps the file. The hand need not come by again.
        if (Identify(record.Descriptor, out statx status) < 0 || (status.stx_nlink == 0 && !evenNameless))
        {
            LeaveRing(ref record, index);
            EnterRing(ref record, index, nameless: true);
            SlotState.Open(ref record.State);
            return false;
        }

        LeaveRing(ref record, index);
        Release(ref record, index);
        return true;
    }

    // With a pin of a shut node, which the caller's pin becomes where it succeeds.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private NodePin Reopen(int index)
    {
        ref NodeRecord record = ref _slots[index];

        // The call's own identity is assumed later, and has not the capability.
        int error = FuseWorkerThread.Current.BecomeAgent();
        bool surplus = true;

        // Before the lock of this one: a directory may have to be opened in turn, as deep as the tree is.
        using NodePin directory = error == 0 && record.Handle.IsName ? Pin(record.Parent) : default;
        error = error == 0 && record.Handle.IsName ? directory.Error : error;
        if (error == 0)
        {
            _window.Take(this);
            lock (_moves[index % StripeCount])
            {
                if (SlotState.IsShut(Volatile.Read(ref record.State)))
                {
                    int opened = OpenAgain(record, directory);
                    error = Math.Min(0, opened);
                    surplus = opened < 0;
                    if (!surplus)
                    {
                        Take(ref record, index, opened);
                    }
                }
            }

            if (surplus)
            {
                _window.Return();
            }
        }

        if (error == 0)
        {
            return new NodePin(this, index);
        }

        Unpin(index);
        if (error is -errno.EMFILE or -errno.ENFILE)
        {
            CountRefusal();
            error = -errno.ENFILE;
        }

        return new NodePin(error);
    }

    // The generation in the handle keeps a reused inode number away. The rest is checked all the same: what is found here
    // acts for the peer.
    private int OpenAgain(in NodeRecord record, in NodePin directory)
    {
        int opened = record.Handle.IsName ? record.Handle.OpenIn(directory.Descriptor)
            : record.Anchored ? _anchors.Open(record.Mount, record.Handle)
            : -errno.ESTALE;
        if (opened == -errno.ENOENT)
        {
            opened = -errno.ESTALE;
        }

        if (opened < 0)
        {
            return opened;
        }

        int error = Identify(opened, out statx status);
        if (error == 0 && !record.IsSameFile(PassthroughFileSystem.RecordOf(opened, status)))
        {
            error = -errno.ESTALE;
        }

        if (error < 0)
        {
            _ = close(opened);
            return error;
        }

        _window.CountReopened();
        return opened;
    }

    /// <summary>Gives a pinned node that is shut the descriptor of its file just found.</summary>
    /// <param name="index">The node.</param>
    /// <param name="file">The file, with the descriptor.</param>
    /// <param name="needed">Whether it must be, though no other node can be shut.</param>
    /// <param name="taken">Whether the table owns the descriptor now; not where the node was opened meanwhile.</param>
    /// <returns>0; <c>-ENFILE</c> where the window refused it; <c>-ESTALE</c> where the file is another one of that inode number.</returns>
    private int Install(int index, in NodeRecord file, bool needed, out bool taken)
    {
        taken = false;
        if (needed)
        {
            _window.Take(this);
        }
        else if (!_window.TryTake(this))
        {
            return -errno.ENFILE;
        }

        int error = 0;
        ref NodeRecord record = ref _slots[index];
        lock (_moves[index % StripeCount])
        {
            if (SlotState.IsShut(Volatile.Read(ref record.State)))
            {
                // No descriptor has kept the inode number from being used again: the generation tells.
                if (!IsStill(record, file))
                {
                    Volatile.Write(ref record.Lost, true);
                    error = -errno.ESTALE;
                }
                else
                {
                    Take(ref record, index, file.Descriptor);
                    taken = true;
                }
            }
        }

        if (!taken)
        {
            _window.Return();
        }

        return error;
    }

    private static bool IsStill(in NodeRecord record, in NodeRecord file) => record.Handle switch
    {
        { IsName: true } => file.Parent == record.Parent && file.Handle.IsName && file.Handle.Names(record.Handle),
        { Exists: true } => FileHandle.Create(file.Descriptor, out FileHandle handle) == 0 && handle.Names(record.Handle),
        _ => true,
    };

    // Under the move lock, with one of the window's.
    private void Take(ref NodeRecord record, int index, int descriptor)
    {
        record.Descriptor = descriptor;
        if (!record.Anchored)
        {
            record.Anchored = _anchors.TryReference(record.Mount, descriptor, record.Type);
        }

        Keep(ref record, descriptor);
        Interlocked.Increment(ref _open);
        EnterRing(ref record, index);
        NoteForeign(record, index, open: true);
        SlotState.Open(ref record.State);
    }

    private void Release(ref NodeRecord record, int index)
    {
        NoteForeign(record, index, open: false);
        _ = close(record.Descriptor);
        record.Descriptor = -1;
        Interlocked.Decrement(ref _open);
        _window.Return();
    }

    // Before the hand: it comes there last.
    private void EnterRing(ref NodeRecord record, int index, bool nameless = false)
    {
        lock (_ring)
        {
            ref int hand = ref nameless ? ref _oldestNameless : ref _hand;
            if (hand == 0)
            {
                (record.RingNext, record.RingPrevious, hand) = (index, index, index);
            }
            else
            {
                ref NodeRecord next = ref _slots[hand];
                (record.RingNext, record.RingPrevious) = (hand, next.RingPrevious);
                _slots[next.RingPrevious].RingNext = index;
                next.RingPrevious = index;
            }

            record.Nameless = nameless;
            ref int count = ref nameless ? ref _nameless : ref _evictable;
            count++;
        }
    }

    private void LeaveRing(ref NodeRecord record, int index)
    {
        lock (_ring)
        {
            if (record.RingNext == 0)
            {
                return;
            }

            ref int hand = ref record.Nameless ? ref _oldestNameless : ref _hand;
            if (hand == index)
            {
                hand = record.RingNext == index ? 0 : record.RingNext;
            }

            _slots[record.RingPrevious].RingNext = record.RingNext;
            _slots[record.RingNext].RingPrevious = record.RingPrevious;
            (record.RingNext, record.RingPrevious) = (0, 0);
            ref int count = ref record.Nameless ? ref _nameless : ref _evictable;
            count--;
        }
    }

    private static int Identify(int descriptor, out statx status)
    {
        // SAFETY: statx writes one struct, which stays pinned meanwhile; an empty path means the descriptor itself.
        byte empty = 0;
        fixed (statx* buffer = &status)
        {
            const uint wanted = stat.STATX_TYPE | stat.STATX_INO | stat.STATX_NLINK | KernelMounts.NumberBits;
            return Result(statx(descriptor, &empty, fcntl.AT_EMPTY_PATH | fcntl.AT_NO_AUTOMOUNT | fcntl.AT_STATX_DONT_SYNC, wanted, buffer));
        }
    }
}
