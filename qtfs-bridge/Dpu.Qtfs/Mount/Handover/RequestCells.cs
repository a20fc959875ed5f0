using Dpu.Fuse.Wire;
using Dpu.Keeper;

namespace Dpu.Qtfs.Mount.Handover;

/// <summary>
/// Requests that were read and that no lane has, in memory that outlives the process: small ones in cells, each larger one in memory of
/// its own. Thread-safe; not on the way of a request that a lane reads and serves.
/// </summary>
internal sealed unsafe class RequestCells
{
    /// <summary>The guard's, as <see cref="CellHead.Device"/>; a lane's is its number and 1.</summary>
    public const uint GuardDevice = 0;

    private const int Cells = 1024;
    private const int CellSize = 512;
    private const string Large = "large";

    private readonly KeptState _state;
    private readonly byte* _cells;
    private readonly Lock _lock = new();
    private readonly Stack<int> _free = new();

    /// <summary>With what an earlier process left there.</summary>
    public RequestCells(KeptState state)
    {
        _state = state;
        _cells = state.Memory("cells", Cells * CellSize, out _).Address;
        List<ParkedRequest> found = [];
        for (int cell = Cells - 1; cell >= 0; cell--)
        {
            CellHead* head = HeadOf(cell);
            if (head->For == (uint)ParkedFor.Nothing)
            {
                _free.Push(cell);
            }
            else
            {
                found.Add(new ParkedRequest(this, head, null));
            }
        }

        foreach (KeptMemory memory in state.Group(Large))
        {
            var head = (CellHead*)memory.Address;
            if (head->For == (uint)ParkedFor.Nothing)
            {
                state.Free(memory);
            }
            else
            {
                found.Add(new ParkedRequest(this, head, memory));
            }
        }

        // In the order in which the kernel numbered them.
        Found = [.. found.OrderBy(parked => parked.Unique)];
    }

    /// <summary>What an earlier process had parked.</summary>
    public IReadOnlyList<ParkedRequest> Found { get; }

    /// <summary>Copies a request.</summary>
    /// <param name="message">The request, whole.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="waitsFor">For what it waits.</param>
    /// <param name="device">See <see cref="CellHead.Device"/>.</param>
    public ParkedRequest Park(byte* message, int length, ParkedFor waitsFor, uint device)
    {
        int room = sizeof(CellHead) + length;
        int cell = -1;
        lock (_lock)
        {
            if (room <= CellSize && !_free.TryPop(out cell))
            {
                cell = -1;
            }
        }

        KeptMemory? own = cell >= 0 ? null : _state.Another(Large, (room + 4095) & ~4095);
        CellHead* head = cell >= 0 ? HeadOf(cell) : (CellHead*)own!.Address;
        (head->Device, head->Length, head->IsInterrupted) = (device, length, 0);
        Buffer.MemoryCopy(message, head + 1, length, length);
        Volatile.Write(ref head->For, (uint)waitsFor);
        return new ParkedRequest(this, head, own);
    }

    /// <summary>For <see cref="ParkedRequest"/>.</summary>
    internal void Free(CellHead* head, KeptMemory? own)
    {
        if (own is not null)
        {
            _state.Free(own);
            return;
        }

        lock (_lock)
        {
            _free.Push((int)(((byte*)head - _cells) / CellSize));
        }
    }

    private CellHead* HeadOf(int cell) => (CellHead*)(_cells + (cell * CellSize));
}
