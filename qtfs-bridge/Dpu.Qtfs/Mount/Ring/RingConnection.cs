using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount.Ring;

/// <summary>
/// A connection to the host on which several requests are under way: what of the bytes has come and gone. The kernel
/// writes into its buffer alone, never into a slot, which may get another request at any time.
/// </summary>
internal sealed unsafe class RingConnection : IDisposable
{
    /// <summary>Room for the longest answer that is not put together in its slot: a value of an extended attribute.</summary>
    public const int Capacity = 128 << 10;

    private readonly LaneConnection _lane;
    private byte* _buffer;
    private readonly bool _held;

    /// <summary>See <see cref="LaneConnection.State"/>.</summary>
    public ulong State => _lane.State;

    public RingConnection(LaneConnection lane, uint generation)
    {
        _lane = lane;
        Generation = generation;
        Link.Socket.SafeHandle.DangerousAddRef(ref _held);
        Descriptor = (int)Link.Socket.SafeHandle.DangerousGetHandle();

        // SAFETY: freed in Dispose, once the ring has nothing under way with it.
        _buffer = (byte*)NativeMemory.AlignedAlloc(Capacity, 4096);
    }

    public Dpu.Link.LinkConnection Link => _lane.Link;

    /// <summary>The connector's epoch when it was made.</summary>
    public long Epoch => _lane.Epoch;

    /// <summary>Tells it from other connections of its link.</summary>
    public uint Generation { get; }

    public int Descriptor { get; }

    public byte* Buffer => _buffer;

    /// <summary>Bytes in <see cref="Buffer"/> that have not been looked at.</summary>
    public int Available { get; set; }

    /// <summary>Events of the ring that are still to come for it.</summary>
    public int Expected { get; set; }

    /// <summary>Whether it has ended; only its events are awaited.</summary>
    public bool Closed { get; private set; }

    /// <summary>The request that was sent in part; null where none was.</summary>
    public RingRequest? Partial { get; set; }

    /// <summary>How much of it was sent, in bytes.</summary>
    public int PartialSent { get; set; }

    /// <summary>Whether the socket takes no more at the moment.</summary>
    public bool SendBlocked { get; set; }

    /// <summary>The request whose answer is being received into its slot; null where none is.</summary>
    public RingRequest? Body { get; set; }

    /// <summary>How much of that answer has come, and how long it is, in bytes with its header.</summary>
    public int BodyReceived { get; set; }

    public int BodyLength { get; set; }

    /// <summary>Bytes to come that nobody wants any more.</summary>
    public int Skip { get; set; }

    /// <summary>Answers to come to the runtime's own requests.</summary>
    public int InternalAnswers { get; set; }

    /// <summary>Whether the host has closed it already; costs a system call. Bytes that have come do not count.</summary>
    public bool IsClosedByPeer => (poll.Now(Link.Socket.SafeHandle, poll.POLLRDHUP) & (poll.POLLRDHUP | poll.POLLHUP | poll.POLLERR)) != 0;

    /// <summary>Sends without waiting; bytes or a negated errno.</summary>
    public int Send(iovec* pieces, int count)
    {
        var message = new msghdr { msg_iov = pieces, msg_iovlen = (nuint)count };

        // SAFETY: the caller's pieces stay as they are during the call; the descriptor is held.
        return (int)LibC.Result(LibC.sendmsg(Descriptor, &message, msg_flags.MSG_DONTWAIT | msg_flags.MSG_NOSIGNAL));
    }

    /// <summary>Receives without waiting; bytes, 0 at the end, or a negated errno.</summary>
    public int Receive(byte* buffer, int size) => (int)LibC.Result(LibC.recv(Descriptor, buffer, (nuint)size, msg_flags.MSG_DONTWAIT));

    /// <summary>Ends it: what the ring has under way with it comes back soon.</summary>
    public void Close()
    {
        Closed = true;
        _lane.Cut();
    }

    /// <summary>Breaks it from any thread; its lane finds that out.</summary>
    public void Cut() => _lane.Cut();

    /// <summary>Checks what a host has sent in an answer's header.</summary>
    /// <exception cref="FuseChannelException">No host may answer so.</exception>
    public static void Check(fuse_out_header* header, int length)
    {
        if (header->error is > 0 or <= -512 || (header->error != 0 && length != sizeof(fuse_out_header)))
        {
            throw new FuseChannelException($"the host answered with error {header->error} in {length} bytes");
        }

        if (length > Dpu.Fuse.Ring.FuseRingSlot.PayloadCapacity + sizeof(fuse_out_header))
        {
            throw new FuseChannelException($"the host answered with {length} bytes; {FuseLimits.MaxWrite} and a header are the most");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_buffer == null)
        {
            return;
        }

        if (_held)
        {
            Link.Socket.SafeHandle.DangerousRelease();
        }

        _lane.Dispose();

        // SAFETY: allocated by the constructor; nothing is under way with it.
        NativeMemory.AlignedFree(_buffer);
        _buffer = null;
    }
}
