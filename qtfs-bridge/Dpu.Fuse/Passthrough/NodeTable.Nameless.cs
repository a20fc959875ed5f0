using Dpu.Linux;

namespace Dpu.Fuse;

// Open nodes of files that have no name any more. Such a file may be in use on the peer without a handle that would keep it
// (a working directory, O_PATH), so its node stays open. But most of them are files that the host has removed and the
// peer's kernel has not forgotten yet, for nothing makes it: so only some are kept, and beyond that the oldest is shut.
internal sealed unsafe partial class NodeTable
{
    private int _oldestNameless;
    private int _nameless;

    /// <summary>How many open nodes have no name, as far as is known.</summary>
    public int Nameless => Volatile.Read(ref _nameless);

    /// <summary>Shuts the node that was found without a name first and is not in use; false where there is none.</summary>
    public bool TryShutNameless()
    {
        for (int left = Nameless; left > 0; left--)
        {
            int victim = NextNameless();
            if (victim != 0 && ShutVictim(victim, nameless: true))
            {
                return true;
            }
        }

        return false;
    }

    // A shut node, pinned and with its move lock held; 0 where the next one is in use.
    private int NextNameless()
    {
        lock (_ring)
        {
            int index = _oldestNameless;
            if (index == 0)
            {
                return 0;
            }

            ref NodeRecord record = ref _slots[index];
            _oldestNameless = record.RingNext;
            Lock move = _moves[index % StripeCount];
            if (SlotState.IsPinned(Volatile.Read(ref record.State)) || !move.TryEnter())
            {
                return 0;
            }

            if (SlotState.TryShut(ref record.State))
            {
                return index;
            }

            move.Exit();
            return 0;
        }
    }

    // Under the move lock, with the node shut. A file that got a name since (linkat(2)) is one like all others again.
    private bool ShutNameless(ref NodeRecord record, int index)
    {
        LeaveRing(ref record, index);
        if (Identify(record.Descriptor, out statx status) == 0 && status.stx_nlink != 0)
        {
            EnterRing(ref record, index);
            SlotState.Open(ref record.State);
            return false;
        }

        Release(ref record, index);
        return true;
    }
}
