using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

// Open files: their handles, data, space.
public sealed unsafe partial class FuseDispatcher
{
    /// <summary>O_PATH and the bit that makes O_TMPFILE of O_DIRECTORY: no FUSE request carries them, and opening with them would do something else.</summary>
    private const uint NeverOpened = fcntl.O_PATH | TmpFileBit;

    /// <summary>What creates or acts on the server's terminal; the kernel removes them from FUSE_OPEN (fuse_send_open).</summary>
    private const uint NotForOpen = fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_NOCTTY | NeverOpened;

    private const uint TmpFileBit = 0x400000;

    private int Open(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_open_in arguments))
        {
            return -errno.EINVAL;
        }

        arguments.flags = OwnFlags(arguments.flags) & ~NotForOpen;
        int result = _fileSystem.Open(request.Caller, request.Node, arguments, out fuse_open_out opened);
        return result < 0 ? result : reply.Put(opened);
    }

    private int Create(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_create_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = request.TakeName(out ReadOnlySpan<byte> name);
        if (result < 0)
        {
            return result;
        }

        arguments.flags = OwnFlags(arguments.flags) & ~NeverOpened;
        result = _fileSystem.Create(request.Caller, request.Node, name, arguments, out fuse_entry_out entry, out fuse_open_out opened);
        return result < 0 ? result : reply.Put(entry, opened);
    }

    /// <summary>The request also carries a name, which the kernel makes up ("/") and which means nothing.</summary>
    private int TmpFile(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_create_in arguments))
        {
            return -errno.EINVAL;
        }

        arguments.flags = OwnFlags(arguments.flags) & ~(uint)fcntl.O_PATH;
        int result = _fileSystem.TmpFile(request.Caller, request.Node, arguments, out fuse_entry_out entry, out fuse_open_out opened);
        return result < 0 ? result : reply.Put(entry, opened);
    }

    private int Read(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_read_in arguments) || arguments.size > (uint)reply.Capacity || arguments.offset > long.MaxValue)
        {
            return -errno.EINVAL;
        }

        arguments.flags = OwnFlags(arguments.flags);

        // SAFETY: the size has been compared with the capacity.
        var piece = new iovec { iov_base = reply.Payload, iov_len = arguments.size };
        int result = _fileSystem.Read(request.Caller, request.Node, arguments, &piece, 1);
        return Bounded(result, arguments.size);
    }

    private int Write(ref FuseRequest request, FuseReply reply, FuseNegotiation negotiation)
    {
        if (!request.TryTake(out fuse_write_in arguments) || arguments.size > (uint)request.Left || arguments.size > negotiation.MaxWrite
            || arguments.offset > long.MaxValue)
        {
            return -errno.EINVAL;
        }

        arguments.flags = OwnFlags(arguments.flags);

        // SAFETY: the size has been compared with what is left of the message.
        var piece = new iovec { iov_base = request.Position, iov_len = arguments.size };
        int result = Bounded(_fileSystem.Write(request.Caller, request.Node, arguments, &piece, 1), arguments.size);
        return result < 0 ? result : reply.Put(new fuse_write_out { size = (uint)result });
    }

    private int Flush(ref FuseRequest request) =>
        request.TryTake(out fuse_flush_in arguments) ? StatusOf(_fileSystem.Flush(request.Caller, request.Node, arguments)) : -errno.EINVAL;

    private int Release(ref FuseRequest request)
    {
        if (!request.TryTake(out fuse_release_in arguments))
        {
            return -errno.EINVAL;
        }

        arguments.flags = OwnFlags(arguments.flags);
        return StatusOf(_fileSystem.Release(request.Caller, request.Node, arguments));
    }

    private int FSync(ref FuseRequest request) =>
        request.TryTake(out fuse_fsync_in arguments) ? StatusOf(_fileSystem.FSync(request.Caller, request.Node, arguments)) : -errno.EINVAL;

    private int FAllocate(ref FuseRequest request) =>
        request.TryTake(out fuse_fallocate_in arguments) && arguments.offset <= long.MaxValue && arguments.length <= long.MaxValue
            ? StatusOf(_fileSystem.FAllocate(request.Caller, request.Node, arguments))
            : -errno.EINVAL;

    private int LSeek(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_lseek_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = _fileSystem.LSeek(request.Caller, request.Node, arguments, out fuse_lseek_out found);
        return result < 0 ? result : reply.Put(found);
    }

    private int CopyFileRange(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_copy_file_range_in arguments) || arguments.off_in > long.MaxValue || arguments.off_out > long.MaxValue)
        {
            return -errno.EINVAL;
        }

        // The reply counts in 32 bits and the call may copy less than asked: as the kernel bounds it (MAX_RW_COUNT).
        arguments.len = Math.Min(arguments.len, int.MaxValue & ~4095);
        int result = Bounded(_fileSystem.CopyFileRange(request.Caller, request.Node, arguments), (uint)arguments.len);
        return result < 0 ? result : reply.Put(new fuse_write_out { size = (uint)result });
    }

    private int Ioctl(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_ioctl_in arguments) || !request.TryTake(arguments.in_size, out ReadOnlySpan<byte> input))
        {
            return -errno.EINVAL;
        }

        int room = reply.Capacity - sizeof(fuse_ioctl_out);
        if (arguments.out_size > (uint)room)
        {
            return -errno.EINVAL;
        }

        // SAFETY: behind the fixed part, and out_size has been compared with the room there.
        var output = new Span<byte>(reply.Payload + sizeof(fuse_ioctl_out), (int)arguments.out_size);
        int result = Bounded(_fileSystem.Ioctl(request.Caller, request.Node, arguments, input, output, out int returned), arguments.out_size);
        return result < 0 ? result : reply.Put(new fuse_ioctl_out { result = returned }) + result;
    }

    private int Poll(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_poll_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = _fileSystem.Poll(request.Caller, request.Node, arguments, out uint events);
        return result < 0 ? result : reply.Put(new fuse_poll_out { revents = events });
    }

    /// <summary>A file system that claims more than was asked for is wrong, and its data is not to be believed.</summary>
    private int Bounded(int result, uint most)
    {
        if (result >= 0 && (uint)result > most)
        {
            Counters.CountBug();
            return -errno.EIO;
        }

        return result;
    }

    private uint OwnFlags(uint flags) => FuseOpenFlags.Translate(flags, _peer, _own);
}
