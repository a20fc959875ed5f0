using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount.Held;

// Requests by open files that the host has lost.
internal sealed unsafe partial class HeldFiles
{
    /// <summary>Answers a request by an open file that a host has lost; false where that is not lost. Costs a comparison where none is.</summary>
    public bool TryAnswer(byte* request, int length, out int answer)
    {
        answer = 0;
        return Volatile.Read(ref _lost) != 0 && AnswerLost(request, length, out answer);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool AnswerLost(byte* request, int length, out int answer)
    {
        answer = 0;
        var header = (fuse_in_header*)request;
        if (HandleOf(header, length) is not 0 and ulong handle && IsLost(handle, out answer))
        {
            switch ((fuse_opcode)header->opcode)
            {
                case fuse_opcode.FUSE_RELEASE or fuse_opcode.FUSE_RELEASEDIR:
                    // The host does not know it.
                    answer = 0;
                    lock (_lock)
                    {
                        End(header->nodeid, handle);
                    }

                    return true;

                case fuse_opcode.FUSE_FLUSH when HasLocks(header, length):
                    // They go, as they were locked since by other files of the node.
                    answer = 0;
                    return false;

                default:
                    return true;
            }
        }

        return header->opcode == (uint)fuse_opcode.FUSE_COPY_FILE_RANGE && length >= sizeof(fuse_in_header) + sizeof(fuse_copy_file_range_in)
            && IsLost(((fuse_copy_file_range_in*)(request + sizeof(fuse_in_header)))->fh_out, out answer);
    }

    private bool HasLocks(fuse_in_header* header, int length)
    {
        if (length < sizeof(fuse_in_header) + sizeof(fuse_flush_in))
        {
            return false;
        }

        lock (_lock)
        {
            return _locks.HandlesOf(header->nodeid, ((fuse_flush_in*)(header + 1))->lock_owner).Length > 0;
        }
    }

    private bool IsLost(ulong handle, out int error)
    {
        error = _unlocked.Contains(handle) ? -errno.EIO : _stale.Contains(handle) ? -errno.ESTALE : 0;
        return error != 0;
    }

    // The open file that a request names; 0 where none. In most bodies it comes first.
    private static ulong HandleOf(fuse_in_header* header, int length)
    {
        byte* body = (byte*)(header + 1);
        int size = length - sizeof(fuse_in_header);
        switch ((fuse_opcode)header->opcode)
        {
            case fuse_opcode.FUSE_READ or fuse_opcode.FUSE_WRITE or fuse_opcode.FUSE_READDIR or fuse_opcode.FUSE_READDIRPLUS
                or fuse_opcode.FUSE_RELEASE or fuse_opcode.FUSE_RELEASEDIR or fuse_opcode.FUSE_FLUSH or fuse_opcode.FUSE_FSYNC or fuse_opcode.FUSE_FSYNCDIR
                or fuse_opcode.FUSE_GETLK or fuse_opcode.FUSE_SETLK or fuse_opcode.FUSE_SETLKW or fuse_opcode.FUSE_FALLOCATE or fuse_opcode.FUSE_LSEEK
                or fuse_opcode.FUSE_POLL or fuse_opcode.FUSE_IOCTL or fuse_opcode.FUSE_COPY_FILE_RANGE:
                return size >= sizeof(ulong) ? *(ulong*)body : 0;

            case fuse_opcode.FUSE_GETATTR when size >= sizeof(fuse_getattr_in) && (((fuse_getattr_in*)body)->getattr_flags & FuseConstants.FUSE_GETATTR_FH) != 0:
                return ((fuse_getattr_in*)body)->fh;

            case fuse_opcode.FUSE_SETATTR when size >= sizeof(fuse_setattr_in) && (((fuse_setattr_in*)body)->valid & FuseConstants.FATTR_FH) != 0:
                return ((fuse_setattr_in*)body)->fh;

            default:
                return 0;
        }
    }
}
