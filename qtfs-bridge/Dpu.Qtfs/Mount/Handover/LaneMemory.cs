using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Keeper;

namespace Dpu.Qtfs.Mount.Handover;

/// <summary>How far a lane is with its request. In rising order.</summary>
internal enum LanePhase : uint
{
    /// <summary>It has none; what its buffer holds, if its length is not 0, was read a moment ago.</summary>
    Idle,

    /// <summary>It has one, which the host was not asked.</summary>
    Read,

    /// <summary>The host may have been asked.</summary>
    Sent,

    /// <summary>The kernel may have been answered.</summary>
    Answering,
}

/// <summary>What a lane is doing, in memory that outlives the process. Written by the lane's thread alone.</summary>
internal struct LaneState
{
    /// <summary><see cref="LanePhase"/>; written after all else.</summary>
    public uint Phase;

    /// <summary>Whether it was read from the guard's device, not from the lane's own.</summary>
    public uint IsGuards;

    /// <summary>The kernel's number of it.</summary>
    public ulong Unique;

    /// <summary>The host's number of it; 0 while it has none.</summary>
    public ulong Number;

    /// <summary>In which life of its answers the host was asked last.</summary>
    public ulong SentIn;

    /// <summary>Whether the message is a <see cref="ParkedRequest"/>, and does not lie in the lane's own buffer.</summary>
    public uint IsParked;

    /// <summary>The message's length in bytes.</summary>
    public int Length;

    /// <summary>How many bytes of requests without answers the host may lack.</summary>
    public int UnsureLength;

    /// <summary>In which life they were sent.</summary>
    public ulong UnsureLife;
}

/// <summary>
/// A lane's memory: its state, the requests without answer that the host may lack, and the buffer into which the kernel's requests are
/// read. A process that is killed leaves it as it was at any instruction.
/// </summary>
/// <remarks>
/// read(2) of /dev/fuse writes the message as one with taking it from the kernel's queue: whether there is one is seen by its
/// length, which is 0 before. That of one that is done is made 0 before the phase is.
/// </remarks>
internal sealed unsafe class LaneMemory
{
    /// <summary>How many bytes of requests without answers are remembered.</summary>
    public const int UnsureRoom = 64 << 10;

    private const int HeadSize = 4096;
    private const int OriginalAt = 1024;

    private readonly KeptMemory _memory;
    private readonly KeptState _state;

    /// <summary>That of a lane by its name, with what an earlier process left.</summary>
    public LaneMemory(KeptState state, string name)
    {
        _state = state;
        _memory = state.Memory(name, Size, out _);
    }

    /// <summary>A short request as the kernel wrote it, where what is sent differs: <see cref="OriginalRoom"/> bytes.</summary>
    public byte* Original => _memory.Address + OriginalAt;

    /// <summary>The most bytes of <see cref="Original"/>.</summary>
    public const int OriginalRoom = 128;

    /// <summary>The state.</summary>
    public ref LaneState State => ref *(LaneState*)_memory.Address;

    /// <summary>Requests without answers, <see cref="UnsureRoom"/> bytes.</summary>
    public byte* Unsure => _memory.Address + HeadSize;

    /// <summary>The buffer, <see cref="FuseLimits.MaxMessageSize"/> bytes.</summary>
    public byte* Buffer => Unsure + UnsureRoom;

    /// <summary>How far it is.</summary>
    public LanePhase Phase
    {
        get => (LanePhase)Volatile.Read(ref State.Phase);
        set => Volatile.Write(ref State.Phase, (uint)value);
    }

    /// <summary>The length of what was read into the buffer and is not done; 0 for nothing.</summary>
    public int Unread => (int)Volatile.Read(ref ((fuse_in_header*)Buffer)->len);

    private static long Size => (HeadSize + UnsureRoom + (long)FuseLimits.MaxMessageSize + 4095) & ~4095L;

    /// <summary>Before the next request is read.</summary>
    public void ClearBuffer() => Volatile.Write(ref ((fuse_in_header*)Buffer)->len, 0);

    /// <summary>Its request is done, whichever way.</summary>
    public void End()
    {
        ClearBuffer();
        Phase = LanePhase.Idle;
    }

    /// <summary>Lets go of it: the lane has ended.</summary>
    public void Free() => _state.Free(_memory);
}
