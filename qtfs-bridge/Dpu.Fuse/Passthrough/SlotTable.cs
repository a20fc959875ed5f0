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
/// Plain records by index, in pieces that are made as needed and never move; index 0 is never used. Thread-safe.
/// Only reserving and freeing take its lock.
/// </summary>
/// <param name="capacity">The most records at once.</param>
/// <param name="firstGeneration">The generation of a slot's first life.</param>
/// <param name="budget">What else limits the number, over several tables.</param>
internal sealed class SlotTable<T>(int capacity, uint firstGeneration, ResourceBudget? budget)
    where T : struct, ISlot
{
    private const int PieceBits = 10;
    private readonly Lock _lock = new();
    private readonly T[]?[] _pieces = new T[]?[(capacity >> PieceBits) + 1];
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
    public ref T this[int index] => ref _pieces[index >> PieceBits]![index & ((1 << PieceBits) - 1)];

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
                T[] piece = _pieces[index >> PieceBits] ??= new T[1 << PieceBits];
                piece[index & ((1 << PieceBits) - 1)].State = (ulong)firstGeneration << 32;
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
}
