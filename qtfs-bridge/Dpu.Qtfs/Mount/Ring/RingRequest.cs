using System.Runtime.InteropServices;
using Dpu.Fuse.Ring;
using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount.Ring;

/// <summary>
/// A request of a ring lane: that of a slot, or one that has lost its slot (its caller was killed) or never had one (the
/// runtime's own) and then has a copy of its message. Used by the lane's thread, but for what says otherwise.
/// </summary>
internal sealed unsafe class RingRequest : IDisposable
{
    private long _unclaimed;
    private long _interrupted;
    private long _abandoned;
    private uint _caller;
    private volatile bool _begun;
    private byte* _copy;

    /// <param name="slot">Where it lies; null for the runtime's own.</param>
    /// <param name="current">Its figures; null for the runtime's own.</param>
    public RingRequest(FuseRingSlot? slot, LaneRequest? current)
    {
        Slot = slot;
        Current = current;
    }

    /// <summary>The slot that its answer goes to; null where nobody waits for an answer.</summary>
    public FuseRingSlot? Slot { get; private set; }

    /// <summary>For figures and for the log of slow ones; read by any thread.</summary>
    public LaneRequest? Current { get; }

    /// <summary>The message, whole as long as it may still be sent; of one that has lost its slot afterwards, its header and first argument.</summary>
    public byte* Message { get; private set; }

    /// <summary>The message's size in bytes.</summary>
    public int Length { get; private set; }

    public fuse_in_header* Header => (fuse_in_header*)Message;

    public ulong Unique { get; private set; }

    public bool MayRepeat { get; private set; }

    /// <summary>How often it was sent before.</summary>
    public int Repeats { get; set; }

    /// <summary><see cref="Environment.TickCount64"/> when it was taken.</summary>
    public long Started { get; private set; }

    /// <summary>The same when it was sent last.</summary>
    public long SentAt { get; set; }

    /// <summary>The notifications that had come when it was sent (<see cref="Coherence.CacheGate"/>).</summary>
    public long Sequence { get; set; }

    /// <summary>Whether a host may have seen any of it. Read by the guard.</summary>
    public bool Begun
    {
        get => _begun;
        set => _begun = value;
    }

    /// <summary>Whether it has a request that nobody has answered. From any thread.</summary>
    public bool IsBusy => Volatile.Read(ref _unclaimed) != 0;

    /// <summary>The thread that waits for the answer. From any thread.</summary>
    public uint Caller => Volatile.Read(ref _caller);

    /// <summary>Whether a signal that ends it came before it was sent.</summary>
    public bool IsInterrupted => Volatile.Read(ref _interrupted) == (long)Unique;

    /// <summary>Whether the guard has let its caller go.</summary>
    public bool IsAbandoned => Slot is not null && Unique != 0 && Volatile.Read(ref _abandoned) == (long)Unique;

    /// <summary>The kernel has put a request into the slot.</summary>
    public void Begin()
    {
        Message = Slot!.Request;
        Length = Slot.RequestLength;
        Unique = Header->unique;
        MayRepeat = ReplayRules.MayRepeat(Message, Length);
        Started = Environment.TickCount64;
        Repeats = 0;
        _begun = false;
        Volatile.Write(ref _caller, Header->pid);
        Current!.Begin(Header, 0);
        Volatile.Write(ref _unclaimed, (long)Unique);
    }

    /// <summary>Takes a message of the runtime's own, which is copied.</summary>
    public void Begin(byte* message, int length)
    {
        Copy(message, length);
        Unique = Header->unique;
        MayRepeat = true;
    }

    /// <summary>It is answered, or about to be.</summary>
    public void End()
    {
        Volatile.Write(ref _unclaimed, 0);
        Current?.End();
        Unique = 0;
    }

    /// <summary>Goes on without its slot, which gets another request at once.</summary>
    /// <param name="whole">Whether its message is still to be sent.</param>
    public void LeaveSlot(bool whole)
    {
        // What is asked of it later is its opcode, its node and, of a lock, the range: the header and the first argument.
        Copy(Message, whole ? Length : Math.Min(Length, sizeof(fuse_in_header) + FuseUringConstants.FUSE_URING_OP_IN_OUT_SZ));
        Volatile.Write(ref _unclaimed, 0);
        Current!.Outcome(0, 0, failed: true);
        Current.End();
        Slot = null;
    }

    /// <summary>Whether it is that one, unanswered. From any thread.</summary>
    public bool Has(ulong unique) => Volatile.Read(ref _unclaimed) == (long)unique;

    /// <summary>A signal has come that ends it. From any thread; the lane is to be woken where it is news.</summary>
    /// <returns>Whether it is news.</returns>
    public bool NoteInterrupt(ulong unique) => Interlocked.Exchange(ref _interrupted, (long)unique) != (long)unique;

    /// <summary>Its caller is being killed, and has waited for long enough. From any thread; the lane is to be woken.</summary>
    public void Abandon(ulong unique) => Volatile.Write(ref _abandoned, (long)unique);

    /// <inheritdoc/>
    public void Dispose()
    {
        // SAFETY: allocated by Copy; nulled, so that a second call is harmless.
        NativeMemory.Free(_copy);
        _copy = null;
    }

    private void Copy(byte* message, int length)
    {
        // SAFETY: 'message' has 'length' bytes; the copy is freed by Dispose.
        var copy = (byte*)NativeMemory.Alloc((nuint)length);
        Buffer.MemoryCopy(message, copy, length, length);
        Message = _copy = copy;
        Length = length;
    }
}
