using System.Runtime.InteropServices;

namespace Dpu.Fuse;

/// <summary>What every record of a <see cref="SlotTable{T}"/> begins with.</summary>
internal interface ISlot
{
    /// <summary>See <see cref="SlotState"/>.</summary>
    ulong State { get; set; }

    /// <summary>The next free slot; 0 ends the list.</summary>
    int NextFree { get; set; }
}

/// <summary>
/// Plain records by index, in pieces of native memory that are made as needed and never move; index 0 is never used. Thread-safe.
/// Only reserving and freeing take its lock.
/// </summary>
/// <remarks>The memory goes with the table itself, not before: a call that still runs on another thread references the table.</remarks>
/// <param name="capacity">The most records at once.</param>
/// <param name="firstGeneration">The generation of a slot's first life.</param>
/// <param name="budget">What else limits the number, over several tables.</param>
/// <param name="kept">Where the pieces lie if they are to outlive the process; null for this process's own memory.</param>
/// <param name="name">The table's name there.</param>
internal sealed unsafe class SlotTable<T>(int capacity, uint firstGeneration, ResourceBudget? budget, IKeptState? kept = null, string name = "")
    where T : unmanaged, ISlot
{
    // Untouched pages of a piece cost nothing; a kept piece costs its keeper an entry.
    private const int PieceBits = 13;

    // In NextFree: no index. Of a slot that is expected to be claimed.
    private const int Expected = -1;
    private readonly Lock _lock = new();
    private readonly nint[] _pieces = new nint[(capacity >> PieceBits) + 1];
    private uint _firstGeneration = firstGeneration;
    private int _highest;
    private int _free;
    private int _count;
    private long _refused;
    private bool _closed;

    /// <summary>How many records are in use.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>How often <see cref="TryReserve"/> said no.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>The highest index ever used.</summary>
    public int Highest => Volatile.Read(ref _highest);

    /// <summary>The record at an index that is in use, or was.</summary>
    public ref T this[int index] => ref ((T*)_pieces[index >> PieceBits])[index & ((1 << PieceBits) - 1)];

    /// <summary>Whether a record would be granted now.</summary>
    public bool HasRoom => Count < capacity && (budget is null || budget.Used < budget.Limit);

    /// <summary>Whether a peer's index names a record that is in use, or was.</summary>
    public bool Exists(uint index) => index != 0 && index <= (uint)Highest;

    /// <summary>Counts a request that was refused before it came here, for example by the kernel's limits.</summary>
    public void CountRefusal() => Interlocked.Increment(ref _refused);

    /// <summary>Takes a free record; its generation is in its state. False where the table is full or closed.</summary>
    /// <param name="index">The record.</param>
    /// <param name="charged">Whether it counts against the budget; give it back the same way.</param>
    public bool TryReserve(out int index, bool charged = true)
    {
        index = 0;
        if (charged && budget is not null && !budget.TryTake())
        {
            CountRefusal();
            return false;
        }

        lock (_lock)
        {
            if (!_closed && _free != 0)
            {
                index = _free;
                _free = this[index].NextFree;
            }
            else if (!_closed && _highest < capacity)
            {
                index = _highest + 1;
                this[Prepare(index)].State = (ulong)_firstGeneration << 32;
                Volatile.Write(ref _highest, index);
            }

            if (index != 0)
            {
                _count++;
                return true;
            }
        }

        if (charged)
        {
            budget?.Return();
        }

        CountRefusal();
        return false;
    }

    /// <summary>
    /// Takes over what an earlier life has left, before anything else is done; false where there is nothing. Slots that were not alive
    /// get a new generation, and so have those that no life has used.
    /// </summary>
    /// <param name="lives">Whether a record that was alive is to live on; called once for each, from the highest index to 1.</param>
    /// <param name="uncharged">The index of a record that is in no budget.</param>
    public bool Restore(Func<int, bool> lives, int uncharged = 0)
    {
        int found = Math.Min(kept?.Found(name) ?? 0, _pieces.Length);
        if (found == 0)
        {
            return false;
        }

        _ = Prepare(((found - 1) << PieceBits) | 1);
        int highest = Math.Min(capacity, (found << PieceBits) - 1);
        while (highest > 0 && this[highest].State == 0)
        {
            highest--;
        }

        _highest = highest;
        _firstGeneration = (uint)Random.Shared.NextInt64(uint.MaxValue);
        for (int index = highest; index > 0; index--)
        {
            ref T record = ref this[index];
            if (SlotState.IsAlive(record.State) && lives(index))
            {
                _count++;
                if (index != uncharged)
                {
                    budget?.Take();
                }
            }
            else
            {
                record.State = (ulong)(SlotState.Generation(record.State) + 1) << 32;
                record.NextFree = _free;
                _free = index;
            }
        }

        return true;
    }

    /// <summary>
    /// Makes slots up to an index that are neither free nor in use, for what a peer knows of an earlier life that is lost. Does nothing for those
    /// that there are.
    /// </summary>
    public void Expect(uint highest)
    {
        lock (_lock)
        {
            int last = (int)Math.Min(highest, (uint)capacity);
            for (int index = _highest + 1; index <= last && !_closed; index++)
            {
                ref T record = ref this[Prepare(index)];
                record.State = (ulong)_firstGeneration << 32;
                record.NextFree = Expected;
                Volatile.Write(ref _highest, index);
            }
        }
    }

    /// <summary>Takes one of the slots that <see cref="Expect"/> has made; false where it is none, or the budget is used up.</summary>
    public bool TryClaim(int index)
    {
        if (budget is not null && !budget.TryTake())
        {
            CountRefusal();
            return false;
        }

        lock (_lock)
        {
            if (!_closed && Exists((uint)index) && !SlotState.IsAlive(this[index].State) && this[index].NextFree == Expected)
            {
                this[index].NextFree = 0;
                _count++;
                return true;
            }
        }

        budget?.Return();
        return false;
    }

    /// <summary>Makes those slots free that were made by <see cref="Expect"/> and not claimed.</summary>
    public void EndExpecting()
    {
        lock (_lock)
        {
            for (int index = _highest; index > 0; index--)
            {
                ref T record = ref this[index];
                if (!SlotState.IsAlive(record.State) && record.NextFree == Expected)
                {
                    record.NextFree = _free;
                    _free = index;
                }
            }
        }
    }

    /// <summary>Gives a record back whose descriptor is closed and whose state is retired.</summary>
    public void Return(int index, bool charged = true)
    {
        lock (_lock)
        {
            this[index].NextFree = _free;
            _free = index;
            _count--;
        }

        if (charged)
        {
            budget?.Return();
        }
    }

    /// <summary>Grants nothing from now on.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
        }
    }

    /// <summary>Gives the memory back where it is the table's own.</summary>
    ~SlotTable()
    {
        foreach (nint piece in kept is null ? _pieces : [])
        {
            // SAFETY: nothing references the table any more, and Free of null does nothing.
            NativeMemory.Free((void*)piece);
        }
    }

    // Under the lock: makes or finds the pieces up to that of an index.
    private int Prepare(int index)
    {
        for (int piece = index >> PieceBits; piece >= 0 && _pieces[piece] == 0; piece--)
        {
            nint size = (1 << PieceBits) * sizeof(T);
            nint memory = kept?.Piece(name, piece, size) ?? (nint)NativeMemory.AllocZeroed((nuint)size);
            Volatile.Write(ref _pieces[piece], memory != 0 ? memory : throw new OutOfMemoryException($"no memory for {size} bytes of records"));
        }

        return index;
    }
}
