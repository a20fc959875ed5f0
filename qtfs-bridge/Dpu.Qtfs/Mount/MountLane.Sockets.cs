using System.Runtime.CompilerServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Linux.Sockets;
using Dpu.Qtfs.Export.Sockets;
using Dpu.Qtfs.Mount.Fifos;
using Dpu.Qtfs.Mount.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

// Sockets of the host, which programs here connect to, and those that programs here bind.
internal sealed unsafe partial class MountLane
{
    // The socket that waits in bind(2) for the file of the request under way.
    private BindingSocket? _bindingSocket;

    private static readonly int EntryLength = sizeof(fuse_out_header) + sizeof(fuse_entry_out);

    private static bool IsSocket(fuse_in_header* header, byte* reply, int replyLength)
    {
        // SAFETY: the length is compared before the entry is read.
        return header->opcode == (uint)fuse_opcode.FUSE_LOOKUP && replyLength == EntryLength
            && ((fuse_entry_out*)(reply + sizeof(fuse_out_header)))->nodeid != 0
            && (((fuse_entry_out*)(reply + sizeof(fuse_out_header)))->attr.mode & stat.S_IFMT) == stat.S_IFSOCK;
    }

    /// <summary>Delivers the answer to the look-up of a socket: when the kernel has it, who connects must find a listener.</summary>
    [SkipLocalsInit]
    private void DeliverSocket(MountSockets sockets, SafeFileHandle device, byte* request, int length, byte* reply)
    {
        // SAFETY: the length is that of an entry. Copied: what is asked next comes into the same buffer.
        byte* copy = stackalloc byte[EntryLength];
        new ReadOnlySpan<byte>(reply, EntryLength).CopyTo(new Span<byte>(copy, EntryLength));
        var entry = (fuse_entry_out*)(copy + sizeof(fuse_out_header));
        BoundSocket bound = BoundSocket.FromWire(_connection!.Link.Reply.Fs.Sockets ? entry->attr.rdev : 0);
        entry->attr.rdev = 0;
        (entry->entry_valid, entry->entry_valid_nsec) = (0, 0);
        if (entry->attr_valid == 0 && entry->attr_valid_nsec == 0)
        {
            // Until the kernel's next tick: connect(2) asks at once for the owner and mode which it has just been told. The path is looked up each time.
            entry->attr_valid_nsec = 1;
        }

        if (!sockets.IsKnown(entry->nodeid, bound))
        {
            Bind(sockets, request, length, *entry, bound);
        }

        Deliver(device, (fuse_in_header*)request, length, copy, EntryLength);
    }

    /// <summary>The host has answered the look-up of a FIFO: before the kernel knows, who opens it is known.</summary>
    private void TakeFifo(fuse_in_header* header, byte* reply, int replyLength)
    {
        // SAFETY: the length is compared before the entry is read.
        var entry = (fuse_entry_out*)(reply + sizeof(fuse_out_header));
        if (header->opcode != (uint)fuse_opcode.FUSE_LOOKUP || replyLength != EntryLength || (entry->attr.mode & stat.S_IFMT) != stat.S_IFIFO)
        {
            return;
        }

        bool given = entry->attr.rdev != 0;
        entry->attr.rdev = 0;
        (entry->entry_valid, entry->entry_valid_nsec) = (0, 0);
        if (given && OwnSockets.IsOrdinary(entry->nodeid) && _mount.Sockets is { } sockets && FifoOpener.TryFind(header->pid, header->uid, header->gid) is { } opener)
        {
            // Copied: what is asked meanwhile comes into another buffer.
            sockets.Fifos.Opening(*entry, opener);
        }
    }

    /// <summary>Before a request goes to the host: of a socket's file the host is told for which type of socket it is.</summary>
    private void FindBinding(byte* request, int length)
    {
        // SAFETY: the length is compared before the arguments are read.
        var header = (fuse_in_header*)request;
        _bindingSocket?.Dispose();
        _bindingSocket = null;
        if (header->opcode == (uint)fuse_opcode.FUSE_MKNOD && _mount.Sockets is not null && length > sizeof(fuse_in_header) + sizeof(fuse_mknod_in)
            && (((fuse_mknod_in*)(request + sizeof(fuse_in_header)))->mode & stat.S_IFMT) == stat.S_IFSOCK)
        {
            _bindingSocket = BindingSocket.TryFind(header->pid);
            _mount.TellUnknownBinding(_bindingSocket is null, header->pid);
            TellBinding(request);
        }
    }

    private void TellBinding(byte* request)
    {
        // An older host would take it for a device's number.
        bool told = _connection?.Link.Reply.Fs.BindsSockets == true;
        if (_bindingSocket is { } socket)
        {
            ((fuse_mknod_in*)(request + sizeof(fuse_in_header)))->rdev = told ? (uint)socket.Type : 0;
        }
    }

    /// <summary>The host has answered: what it has bound is watched from before the kernel knows.</summary>
    private void TakeBinding(byte* request, byte* reply, int replyLength)
    {
        if (_bindingSocket is not { } socket || replyLength < EntryLength || ((fuse_mknod_in*)(request + sizeof(fuse_in_header)))->rdev == 0)
        {
            return;
        }

        // SAFETY: the length was compared. Its name is not kept: the kernel forgets the file when the socket is closed.
        var entry = (fuse_entry_out*)(reply + sizeof(fuse_out_header));
        (entry->entry_valid, entry->entry_valid_nsec, entry->attr.rdev) = (0, 0, 0);
        if (!OwnSockets.IsOrdinary(entry->nodeid) || (entry->attr.mode & stat.S_IFMT) != stat.S_IFSOCK)
        {
            return;
        }

        _bindingSocket = null;
        _mount.Sockets!.Own.Add(*entry, socket, *(fuse_in_header*)request);
    }

    // The kernel gets the node a second time, under the name where the socket is bound, and will give back both references: the
    // second has to be the host's too.
    private void Bind(MountSockets sockets, byte* request, int length, in fuse_entry_out entry, BoundSocket bound)
    {
        var header = (fuse_in_header*)request;
        _requestNumber = NextNumber();
        Send(request, length);
        int againLength = Receive(header, out byte* again);
        bool same = IsSocket(header, again, againLength) && ((fuse_entry_out*)(again + sizeof(fuse_out_header)))->nodeid == entry.nodeid;
        _mount.Held.Answered((byte*)header, length, again, againLength, _connection!.State);
        if (!same || !sockets.Bind(entry, bound))
        {
            GiveBack(header, again, againLength);
        }
    }
}
