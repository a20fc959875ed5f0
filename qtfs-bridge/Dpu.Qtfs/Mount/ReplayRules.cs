using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// Which requests may be sent again when a connection broke after they were sent and before their answer came. Pure.
/// </summary>
/// <remarks>
/// A request that is executed twice must leave what one execution leaves. This rule is for a host that does not know any more what it has
/// answered (an agent that was restarted, or is older): everything else ends with EIO there and is counted as an unknown outcome.
/// In the same life of its answers (<c>FsResult.life</c>) everything is sent again and executed once.
/// </remarks>
public static unsafe class ReplayRules
{
    private const uint O_TRUNC = 0x200;
    private const uint O_APPEND = 0x400;

    /// <summary>Whether executing the message twice does the same as executing it once.</summary>
    /// <param name="message">A whole FUSE request that the kernel wrote.</param>
    /// <param name="length">Its length in bytes.</param>
    public static bool MayRepeat(byte* message, int length)
    {
        // SAFETY: requests read from /dev/fuse have a whole header; bodies are read only where the length has them.
        var header = (fuse_in_header*)message;
        byte* body = message + sizeof(fuse_in_header);
        int bodyLength = length - sizeof(fuse_in_header);
        switch ((fuse_opcode)header->opcode)
        {
            case fuse_opcode.FUSE_LOOKUP:
            case fuse_opcode.FUSE_GETATTR:
            case fuse_opcode.FUSE_STATX:
            case fuse_opcode.FUSE_READLINK:
            case fuse_opcode.FUSE_READ:
            case fuse_opcode.FUSE_STATFS:
            case fuse_opcode.FUSE_FSYNC:
            case fuse_opcode.FUSE_FSYNCDIR:
            case fuse_opcode.FUSE_SYNCFS:
            case fuse_opcode.FUSE_GETXATTR:
            case fuse_opcode.FUSE_LISTXATTR:
            case fuse_opcode.FUSE_FLUSH:
            case fuse_opcode.FUSE_INIT:
            case fuse_opcode.FUSE_OPENDIR:
            case fuse_opcode.FUSE_READDIR:
            case fuse_opcode.FUSE_READDIRPLUS:
            case fuse_opcode.FUSE_ACCESS:
            case fuse_opcode.FUSE_GETLK:
            case fuse_opcode.FUSE_POLL:

            // The owner that has a lock takes it once more, or gives back what it has not. Nobody else could take it between:
            // the host knows the owner by the session, and a host that lost it answers EBADF.
            case fuse_opcode.FUSE_SETLK:
            case fuse_opcode.FUSE_SETLKW:
            case fuse_opcode.FUSE_LSEEK:
            case fuse_opcode.FUSE_INTERRUPT:

            // The handle may be gone already; the second answer, EBADF, is seen by nobody.
            case fuse_opcode.FUSE_RELEASE:
            case fuse_opcode.FUSE_RELEASEDIR:
                return true;
            case fuse_opcode.FUSE_WRITE:
                return bodyLength >= sizeof(fuse_write_in) && (((fuse_write_in*)body)->flags & O_APPEND) == 0;
            case fuse_opcode.FUSE_OPEN:
                return bodyLength >= sizeof(fuse_open_in) && (((fuse_open_in*)body)->flags & O_TRUNC) == 0;
            case fuse_opcode.FUSE_SETATTR:
                // A repeated truncation could cut off what another writer has appended meanwhile.
                return bodyLength >= sizeof(fuse_setattr_in) && (((fuse_setattr_in*)body)->valid & FuseConstants.FATTR_SIZE) == 0;
            default:
                return false;
        }
    }

    /// <summary>
    /// Whether the host keeps the answer, for a request that comes again. Not of what only reads, which is executed again: its answers
    /// are long. An fsync does not only read: it reports an error once; nor does a listing with attributes: it gives references.
    /// </summary>
    public static bool IsKept(uint opcode) => HasReply(opcode) && (fuse_opcode)opcode
        is not (fuse_opcode.FUSE_INIT or fuse_opcode.FUSE_DESTROY or fuse_opcode.FUSE_GETATTR or fuse_opcode.FUSE_STATX or fuse_opcode.FUSE_READLINK
            or fuse_opcode.FUSE_READ or fuse_opcode.FUSE_READDIR or fuse_opcode.FUSE_STATFS or fuse_opcode.FUSE_GETXATTR or fuse_opcode.FUSE_LISTXATTR
            or fuse_opcode.FUSE_ACCESS or fuse_opcode.FUSE_GETLK or fuse_opcode.FUSE_LSEEK or fuse_opcode.FUSE_POLL);

    /// <summary>Whether the kernel waits for an answer.</summary>
    public static bool HasReply(uint opcode) =>
        (fuse_opcode)opcode is not (fuse_opcode.FUSE_FORGET or fuse_opcode.FUSE_BATCH_FORGET or fuse_opcode.FUSE_INTERRUPT);
}
