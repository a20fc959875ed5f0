using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>One FUSE_SETLK, FUSE_SETLKW or FUSE_GETLK, checked.</summary>
/// <param name="Unique">The request's number.</param>
/// <param name="Node">The file.</param>
/// <param name="Handle">The open file that it came by.</param>
/// <param name="Owner">For whom: the DPU's kernel makes it of the process (POSIX) or of the open file (OFD, flock).</param>
/// <param name="Start">The first byte.</param>
/// <param name="End">The last byte, <see cref="long.MaxValue"/> for all that follow.</param>
/// <param name="Type">F_RDLCK, F_WRLCK or F_UNLCK.</param>
/// <param name="Process">The process that asks, on the DPU.</param>
/// <param name="IsFlock">Whether it is flock(2)'s.</param>
internal readonly record struct LockRequest(
    ulong Unique, ulong Node, ulong Handle, ulong Owner, ulong Start, ulong End, int Type, uint Process, bool IsFlock)
{
    /// <summary>Whether it may be shared with nobody.</summary>
    public bool Exclusive => Type == fcntl.F_WRLCK;

    /// <summary>Takes a request from the wire; false where no kernel would send it.</summary>
    public static bool TryRead(ulong unique, ulong node, in fuse_lk_in message, out LockRequest request)
    {
        fuse_file_lock range = message.lk;
        request = new LockRequest(
            unique, node, message.fh, message.owner, range.start, range.end, (int)range.type, range.pid, (message.lk_flags & FuseConstants.FUSE_LK_FLOCK) != 0);
        return range.type <= fcntl.F_UNLCK && range.start <= range.end && range.end <= long.MaxValue;
    }

    /// <summary>The same for fcntl(2).</summary>
    public flock ToNative() => Native(Start, End, Type);

    /// <summary>A range for fcntl(2).</summary>
    public static flock Native(ulong start, ulong end, int type) => new()
    {
        l_type = (short)type,
        l_whence = unistd.SEEK_SET,
        l_start = (long)start,
        l_len = end == long.MaxValue ? 0 : (long)(end - start) + 1,
    };
}
