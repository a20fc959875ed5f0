using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// Gives back what a successful reply carried when nobody takes the reply any more (its caller was killed): the
/// reference of a node that was looked up, the handle of a file that was opened. Pure.
/// </summary>
internal static unsafe class LostReply
{
    /// <summary>The most bytes that <see cref="Compensate"/> writes.</summary>
    public static readonly int MaxLength =
        (2 * sizeof(fuse_in_header)) + sizeof(fuse_release_in) + sizeof(fuse_forget_in);

    /// <summary>Writes the requests that undo the reply's references: RELEASE or RELEASEDIR (which has a reply), then FORGET.</summary>
    /// <param name="opcode">The opcode of the request that was answered.</param>
    /// <param name="node">The node of that request.</param>
    /// <param name="reply">The host's reply, whose framing has been checked.</param>
    /// <param name="length">The reply's length in bytes.</param>
    /// <param name="message">Room for <see cref="MaxLength"/> bytes.</param>
    /// <param name="release">The bytes of a release, to be answered by the host; 0 for none.</param>
    /// <param name="forget">The bytes of a forget after it, not answered; 0 for none.</param>
    public static void Compensate(uint opcode, ulong node, byte* reply, int length, byte* message, out int release, out int forget)
    {
        release = 0;
        forget = 0;

        // SAFETY: every read is bounded by 'length'; every write by MaxLength, which is the sum of both messages.
        if (((fuse_out_header*)reply)->error != 0)
        {
            return;
        }

        byte* body = reply + sizeof(fuse_out_header);
        int bodyLength = length - sizeof(fuse_out_header);
        ulong looked = 0;
        switch ((fuse_opcode)opcode)
        {
            case fuse_opcode.FUSE_OPEN when bodyLength >= sizeof(fuse_open_out):
                release = Release(message, fuse_opcode.FUSE_RELEASE, node, ((fuse_open_out*)body)->fh);
                break;
            case fuse_opcode.FUSE_OPENDIR when bodyLength >= sizeof(fuse_open_out):
                release = Release(message, fuse_opcode.FUSE_RELEASEDIR, node, ((fuse_open_out*)body)->fh);
                break;
            case fuse_opcode.FUSE_CREATE or fuse_opcode.FUSE_TMPFILE when bodyLength >= sizeof(fuse_entry_out) + sizeof(fuse_open_out):
                looked = ((fuse_entry_out*)body)->nodeid;
                release = Release(message, fuse_opcode.FUSE_RELEASE, looked, ((fuse_open_out*)(body + sizeof(fuse_entry_out)))->fh);
                break;
            case fuse_opcode.FUSE_LOOKUP or fuse_opcode.FUSE_MKNOD or fuse_opcode.FUSE_MKDIR or fuse_opcode.FUSE_SYMLINK or fuse_opcode.FUSE_LINK
                when bodyLength >= sizeof(fuse_entry_out):
                looked = ((fuse_entry_out*)body)->nodeid;
                break;
            default:
                return;
        }

        // Node 0 is a negative entry: there is no reference to give back.
        if (looked != 0)
        {
            forget = Forget(message + release, looked);
        }
    }

    /// <summary>Makes of a request for a lock that was granted the one that gives it back; other requests stay.</summary>
    /// <param name="request">The kernel's request, whole.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="error">What the host answered.</param>
    /// <returns>Whether it is to be sent, and answered by the host.</returns>
    public static bool TryUnlock(byte* request, int length, int error)
    {
        var header = (fuse_in_header*)request;
        if ((fuse_opcode)header->opcode is not (fuse_opcode.FUSE_SETLK or fuse_opcode.FUSE_SETLKW) || error != 0
            || length < sizeof(fuse_in_header) + sizeof(fuse_lk_in))
        {
            return false;
        }

        // SAFETY: the body is whole, as was just seen; the request is no longer needed.
        ((fuse_lk_in*)(request + sizeof(fuse_in_header)))->lk.type = fcntl.F_UNLCK;
        header->opcode = (uint)fuse_opcode.FUSE_SETLK;
        header->unique = InternalUnique;
        return true;
    }

    private static int Release(byte* message, fuse_opcode opcode, ulong node, ulong handle)
    {
        int length = sizeof(fuse_in_header) + sizeof(fuse_release_in);
        *(fuse_in_header*)message = new fuse_in_header { len = (uint)length, opcode = (uint)opcode, unique = InternalUnique, nodeid = node };
        *(fuse_release_in*)(message + sizeof(fuse_in_header)) = new fuse_release_in { fh = handle };
        return length;
    }

    private static int Forget(byte* message, ulong node)
    {
        int length = sizeof(fuse_in_header) + sizeof(fuse_forget_in);
        *(fuse_in_header*)message = new fuse_in_header { len = (uint)length, opcode = (uint)fuse_opcode.FUSE_FORGET, unique = InternalUnique, nodeid = node };
        *(fuse_forget_in*)(message + sizeof(fuse_in_header)) = new fuse_forget_in { nlookup = 1 };
        return length;
    }

    /// <summary>The number of requests that the runtime makes itself: the kernel's are even and never reach it.</summary>
    public const ulong InternalUnique = 0x7fff_ffff_ffff_ffff;
}
