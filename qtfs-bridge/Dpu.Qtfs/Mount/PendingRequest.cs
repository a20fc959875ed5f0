using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Handover;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>A request that waits on the host, and what has been said of it. Guarded by <see cref="PendingRequests"/>'s lock; without I/O.</summary>
internal sealed class PendingRequest
{
    private readonly byte[] _message;
    private bool _interruptSent;
    private bool _interrupted;

    /// <param name="message">The kernel's FUSE_SETLKW, whole.</param>
    /// <param name="device">Where it was read: there its answer goes.</param>
    /// <param name="parked">The same in memory that outlives the process; the caller's.</param>
    /// <param name="everSent">Whether the host may have seen it.</param>
    public PendingRequest(byte[] message, SafeFileHandle device, ParkedRequest? parked = null, bool everSent = false)
    {
        _message = message;
        Parked = parked;
        EverSent = everSent;
        _interrupted = parked is { IsInterrupted: true };
        Device = device;
        fuse_in_header header = MemoryMarshal.Read<fuse_in_header>(message);
        Unique = header.unique;
        Caller = header.pid;
        Node = header.nodeid;
    }

    public SafeFileHandle Device { get; }

    public ulong Unique { get; }

    /// <summary>The file.</summary>
    public ulong Node { get; }

    /// <summary>The kernel's message.</summary>
    public ReadOnlySpan<byte> Message => _message;

    /// <summary>The thread that waits.</summary>
    public uint Caller { get; }

    /// <summary>Whether its message went out by the present connection.</summary>
    public bool Sent { get; private set; }

    /// <summary>Whether any host may have seen it.</summary>
    public bool EverSent { get; private set; }

    /// <summary>Whether a signal has come for its caller.</summary>
    public bool Interrupted
    {
        get => _interrupted;
        set
        {
            _interrupted = value;
            if (Parked is not null)
            {
                Parked.IsInterrupted = value;
            }
        }
    }

    /// <summary>The same in memory that outlives the process; to be let go once the kernel was answered.</summary>
    public ParkedRequest? Parked { get; }

    /// <summary>Whether its caller has been answered here, and the host must give back what it grants or has granted.</summary>
    public bool Orphan { get; set; }

    /// <summary>Whether the host was told to give it back.</summary>
    public bool Undone { get; private set; }

    /// <summary>To be said on another connection, or once more.</summary>
    public void AskAgain()
    {
        Sent = false;
        Undone = false;
        _interruptSent = false;
    }

    /// <summary>Writes what is to be said of it next; false where nothing is.</summary>
    public bool TryNext(Span<byte> message, out int length)
    {
        length = 0;
        if (!Sent)
        {
            _message.CopyTo(message);
            length = _message.Length;
            Sent = EverSent = true;
            if (Orphan)
            {
                Undone = true;
                WriteUnlock(message);
            }
        }
        else if (Interrupted && !_interruptSent && !Orphan)
        {
            _interruptSent = true;
            length = WriteInterrupt(message);
        }

        return length > 0;
    }

    // The same range, owner and number.
    private static void WriteUnlock(Span<byte> message)
    {
        ref fuse_in_header header = ref MemoryMarshal.AsRef<fuse_in_header>(message);
        ref fuse_lk_in range = ref MemoryMarshal.AsRef<fuse_lk_in>(message[HeaderSize..]);
        header.opcode = (uint)fuse_opcode.FUSE_SETLK;
        range.lk.type = fcntl.F_UNLCK;
    }

    private int WriteInterrupt(Span<byte> message)
    {
        int length = HeaderSize + InterruptSize;
        MemoryMarshal.AsRef<fuse_in_header>(message) = new fuse_in_header
        {
            len = (uint)length,
            opcode = (uint)fuse_opcode.FUSE_INTERRUPT,
            unique = LostReply.InternalUnique,
        };
        MemoryMarshal.AsRef<fuse_interrupt_in>(message[HeaderSize..]) = new fuse_interrupt_in { unique = Unique };
        return length;
    }

    private static unsafe int HeaderSize => sizeof(fuse_in_header);

    private static unsafe int InterruptSize => sizeof(fuse_interrupt_in);
}
