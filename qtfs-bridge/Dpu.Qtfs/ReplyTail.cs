using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Qtfs;

/// <summary>
/// What an agent sends behind its answer to a request of the kernel: what the kernel will ask for next. The runtime takes it off, and
/// tells the kernel when it asks. The host is not trusted: lengths are checked. Pure.
/// </summary>
internal static unsafe class ReplyTail
{
    /// <summary>How much of a file is sent behind the answer to its opening, in bytes: what Linux reads first of one (4 pages).</summary>
    public const int MostContent = 16384;

    /// <summary>Of <see cref="fuse_open_in.open_flags"/>, between runtime and agent (<c>opened_content</c> of link.proto): send what is in it.</summary>
    public const uint WantsContent = 1u << 31;

    /// <summary>Whether a directory's attributes may follow the answer to the opcode (<c>directory_attributes</c> of link.proto).</summary>
    public static bool MayHaveDirectory(uint opcode) => (fuse_opcode)opcode
        is FUSE_CREATE or FUSE_MKNOD or FUSE_MKDIR or FUSE_SYMLINK or FUSE_LINK or FUSE_UNLINK or FUSE_RMDIR;

    /// <summary>Takes a directory's attributes off the host's answer, if they are there.</summary>
    /// <param name="request">The kernel's request.</param>
    /// <param name="reply">The host's answer.</param>
    /// <param name="length">Its length in bytes; afterwards without the attributes.</param>
    /// <param name="attributes">The attributes.</param>
    public static bool TryTakeDirectory(fuse_in_header* request, byte* reply, ref int length, out fuse_attr_out attributes)
    {
        attributes = default;
        int without = sizeof(fuse_out_header) + (fuse_opcode)request->opcode switch
        {
            FUSE_CREATE => sizeof(fuse_entry_out) + sizeof(fuse_open_out),
            FUSE_UNLINK or FUSE_RMDIR => 0,
            _ => sizeof(fuse_entry_out),
        };
        if (!MayHaveDirectory(request->opcode) || ((fuse_out_header*)reply)->error != 0 || length != without + sizeof(fuse_attr_out))
        {
            return false;
        }

        // SAFETY: the length says that it is there.
        attributes = Unsafe.ReadUnaligned<fuse_attr_out>(reply + without);
        Shorten(reply, ref length, without);
        return true;
    }

    /// <summary>Whether a request opens a file and wants its content behind the answer.</summary>
    /// <param name="request">A whole request.</param>
    /// <param name="length">Its length in bytes.</param>
    public static bool IsContentWanted(byte* request, int length) =>
        ((fuse_in_header*)request)->opcode == (uint)FUSE_OPEN && length >= sizeof(fuse_in_header) + sizeof(fuse_open_in)
        && (((fuse_open_in*)(request + sizeof(fuse_in_header)))->open_flags & WantsContent) != 0;

    /// <summary>Takes a file's content off the answer to its opening, if it is there.</summary>
    /// <param name="request">A whole request of the kernel.</param>
    /// <param name="requestLength">Its length in bytes.</param>
    /// <param name="reply">The host's answer; where the content lies stays as it is.</param>
    /// <param name="length">Its length in bytes; afterwards without the content.</param>
    /// <returns>The content, or nothing.</returns>
    public static ReadOnlySpan<byte> TakeContent(byte* request, int requestLength, byte* reply, ref int length)
    {
        int without = sizeof(fuse_out_header) + sizeof(fuse_open_out);
        int content = length - without;
        if (content is <= 0 or > MostContent || !IsContentWanted(request, requestLength) || ((fuse_out_header*)reply)->error != 0)
        {
            return default;
        }

        // SAFETY: the length says that it is there.
        Shorten(reply, ref length, without);
        return new ReadOnlySpan<byte>(reply + without, content);
    }

    private static void Shorten(byte* reply, ref int length, int to)
    {
        ((fuse_out_header*)reply)->len = (uint)to;
        length = to;
    }
}
