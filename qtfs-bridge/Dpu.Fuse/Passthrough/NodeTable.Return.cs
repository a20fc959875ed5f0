using Dpu.Linux;

namespace Dpu.Fuse;

// Nodes that a peer knows of a life of this table that is lost.
internal sealed partial class NodeTable
{
    /// <summary>Makes room for ids up to an index; see <see cref="SlotTable{T}.Expect"/>.</summary>
    public void Expect(uint highest) => _slots.Expect(highest);

    /// <summary>Nothing returns any more.</summary>
    public void EndExpecting() => _slots.EndExpecting();

    /// <summary>Gives a file the id that the peer knows it by. May leave the thread as the agent.</summary>
    /// <param name="id">The id.</param>
    /// <param name="file">The file, with an O_PATH descriptor.</param>
    /// <param name="identity">Which file it must be.</param>
    /// <param name="lookups">The references that the peer has.</param>
    /// <param name="taken">Whether the table owns the descriptor now.</param>
    /// <returns>Whether the id is that file's now.</returns>
    public bool TryReturn(ulong id, in NodeRecord file, ulong identity, ulong lookups, out bool taken)
    {
        taken = false;
        uint generation = (uint)(id >> 32);
        if ((uint)id is <= RootIndex or > int.MaxValue || identity == 0 || lookups == 0)
        {
            return false;
        }

        int index = (int)(uint)id;
        if (IsReturned(index, generation, file, identity))
        {
            return true;
        }

        if (!_slots.TryClaim(index))
        {
            return false;
        }

        int bucket = BucketOf(file);
        lock (_stripes[bucket % StripeCount])
        {
            _slots[index] = file with { State = (ulong)generation << 32, Lookups = lookups, Descriptor = -1, Next = _buckets[bucket] };
            _buckets[bucket] = index;
            SlotState.PublishShut(ref _slots[index].State, generation);
        }

        int error = Install(index, file, needed: false, out taken);
        bool same = error == 0 && Volatile.Read(ref _slots[index].Identity) == identity;
        if (!same)
        {
            Forget(id, lookups);
        }

        Unpin(index);
        return same;
    }

    // A peer whose link broke says everything again.
    private bool IsReturned(int index, uint generation, in NodeRecord file, ulong identity)
    {
        if (!_slots.Exists((uint)index) || !SlotState.TryPin(ref _slots[index].State, generation))
        {
            return false;
        }

        bool same = _slots[index].IsSameFile(file) && _slots[index].Identity == identity;
        Unpin(index);
        return same;
    }
}
