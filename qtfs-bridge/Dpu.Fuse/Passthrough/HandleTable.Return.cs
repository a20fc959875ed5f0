namespace Dpu.Fuse;

// Open files that a peer knows of a life of this table that is lost.
internal sealed unsafe partial class HandleTable
{
    /// <summary>Makes room for handles up to an index; see <see cref="SlotTable{T}.Expect"/>.</summary>
    public void Expect(uint highest) => _slots.Expect(highest);

    /// <summary>Nothing returns any more.</summary>
    public void EndExpecting() => _slots.EndExpecting();

    /// <summary>Gives a file that was opened again the handle that the peer knows; false where it cannot be, and the caller keeps the descriptor.</summary>
    public bool TryReturn(ulong handle, int descriptor, ulong node, bool isDirectory, TreeKind tree)
    {
        int index = (int)Math.Min((uint)handle, int.MaxValue);
        uint generation = (uint)(handle >> 32);
        if (handle == 0 || !_slots.TryClaim(index))
        {
            return false;
        }

        ref HandleRecord record = ref _slots[index];
        record = new HandleRecord
        {
            State = (ulong)generation << 32,
            Node = node,
            Descriptor = descriptor,
            IsDirectory = isDirectory,
            Tree = tree,
            Held = kept is not null,
            Position = -1,
        };
        if (record.Held)
        {
            kept!.HoldFile(handle, descriptor);
        }

        SlotState.Publish(ref record.State, generation);
        return true;
    }
}
