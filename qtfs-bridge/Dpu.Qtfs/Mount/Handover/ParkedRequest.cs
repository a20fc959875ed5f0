using Dpu.Fuse.Wire;
using Dpu.Keeper;

namespace Dpu.Qtfs.Mount.Handover;

/// <summary>What a request that no lane has waits for.</summary>
internal enum ParkedFor : uint
{
    /// <summary>None; a cell that is free.</summary>
    Nothing,

    /// <summary>For a lane: the host was not asked.</summary>
    Lane,

    /// <summary>For the host, which was asked: a lock that another one has, or that was granted and of which the kernel is to be told.</summary>
    Host,
}

/// <summary>The head of a cell, before its message.</summary>
internal struct CellHead
{
    /// <summary><see cref="ParkedFor"/>; written last where it is filled, first where it is freed.</summary>
    public uint For;

    /// <summary>The device to be answered; see <see cref="RequestCells.GuardDevice"/>.</summary>
    public uint Device;

    /// <summary>The message's length in bytes.</summary>
    public int Length;

    /// <summary>Whether a signal has come for its caller: the kernel says so once.</summary>
    public uint IsInterrupted;
}

/// <summary>A request in memory that outlives the process. <see cref="Dispose"/> once the kernel was answered, or another place has it.</summary>
internal sealed unsafe class ParkedRequest : IDisposable
{
    private readonly RequestCells _cells;
    private readonly CellHead* _head;
    private readonly KeptMemory? _own;
    private bool _freed;

    public ParkedRequest(RequestCells cells, CellHead* head, KeptMemory? own)
    {
        _cells = cells;
        _head = head;
        _own = own;
        Message = (byte*)(head + 1);
        Unique = ((fuse_in_header*)Message)->unique;
    }

    /// <summary>The request, whole.</summary>
    public byte* Message { get; }

    /// <summary>Its length in bytes.</summary>
    public int Length => _head->Length;

    /// <summary>The kernel's number of it.</summary>
    public ulong Unique { get; }

    /// <summary>The thread that waits.</summary>
    public uint Caller => ((fuse_in_header*)Message)->pid;

    /// <summary>What it waits for.</summary>
    public ParkedFor For => (ParkedFor)_head->For;

    /// <summary>See <see cref="CellHead.Device"/>.</summary>
    public uint Device => _head->Device;

    /// <summary>Whether a signal has come for its caller.</summary>
    public bool IsInterrupted
    {
        get => _head->IsInterrupted != 0;
        set => _head->IsInterrupted = value ? 1U : 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!Interlocked.Exchange(ref _freed, true))
        {
            Volatile.Write(ref _head->For, (uint)ParkedFor.Nothing);
            _cells.Free(_head, _own);
        }
    }
}
