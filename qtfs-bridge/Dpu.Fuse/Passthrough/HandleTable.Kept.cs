using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Handles that outlive the process: their records in kept memory, their descriptors with whoever keeps them.
internal sealed unsafe partial class HandleTable
{
    /// <summary>How many open files of the earlier life were lost, because nobody had kept them.</summary>
    public int Lost { get; private set; }

    /// <summary>Takes over the handles of an earlier life, before anything else is done; false where there was none.</summary>
    public bool Restore()
    {
        if (kept is null)
        {
            return false;
        }

        HashSet<ulong> held = [.. kept.Files()];
        bool restored = _slots.Restore(index => Restore(index, held));
        foreach (ulong unknown in held)
        {
            // Killed between the two of opening, or of closing.
            kept.DropFile(unknown);
        }

        return restored;
    }

    /// <summary>Gives all open files again to who keeps them: it has lost them.</summary>
    public void HoldAgain()
    {
        for (int index = 1; index <= _slots.Highest; index++)
        {
            ref HandleRecord record = ref _slots[index];
            ulong state = Volatile.Read(ref record.State);

            // Pinned, so that it is let go after it was given.
            if (SlotState.TryPin(ref record.State, SlotState.Generation(state)))
            {
                if (record.Held)
                {
                    kept!.HoldFile(IdOf(index, state), record.Descriptor);
                }

                Unpin(index);
            }
        }
    }

    /// <summary>An open file of each node that has one.</summary>
    public Dictionary<ulong, (int Descriptor, int Files)> ByNode()
    {
        Dictionary<ulong, (int Descriptor, int Files)> found = [];
        for (int index = 1; index <= _slots.Highest; index++)
        {
            ref HandleRecord record = ref _slots[index];
            if (SlotState.IsAlive(Volatile.Read(ref record.State)))
            {
                int files = found.GetValueOrDefault(record.Node).Files + (record.IsDirectory ? 0 : 1);
                found[record.Node] = (record.Descriptor, files);
            }
        }

        return found;
    }

    private bool Restore(int index, HashSet<ulong> held)
    {
        ref HandleRecord record = ref _slots[index];
        ulong handle = IdOf(index, record.State);

        // What was read ahead is gone, and is read again: the host's position is that of the entry asked for.
        (record.Buffer, record.Start, record.End, record.Position) = (0, 0, 0, -1);
        record.Descriptor = held.Remove(handle) ? kept!.TakeFile(handle) : -1;
        if (record.Descriptor < 0)
        {
            Lost += record.Held ? 1 : 0;
            return false;
        }

        SlotState.Publish(ref record.State, SlotState.Generation(record.State));
        return true;
    }

    // Who keeps it closes its copy later than we ours: what close(2) gives back must not wait for that.
    private void LetGo(in HandleRecord record, ulong handle)
    {
        if (record.Flocked)
        {
            _ = flock(record.Descriptor, sys_file.LOCK_UN);
        }

        kept!.DropFile(handle);
    }
}
