using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// What the DPU's kernel does not check in a host's answer: a name looked up that is said to be the mount's root. The
/// kernel would take its attributes for the root's, and ruin the mount until it is made again. Pure.
/// </summary>
internal static unsafe class LookupCheck
{
    /// <summary>Whether the answer names the root, and the question was not one for '.' or '..', whose answer it may be.</summary>
    /// <param name="request">A whole FUSE request that the kernel wrote.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="reply">The host's reply, whose framing has been checked.</param>
    /// <param name="replyLength">Its length in bytes.</param>
    public static bool IsForgedRoot(byte* request, int length, byte* reply, int replyLength)
    {
        // SAFETY: both headers are whole; what follows them is read within the lengths.
        if (((fuse_in_header*)request)->opcode != (uint)fuse_opcode.FUSE_LOOKUP
            || ((fuse_out_header*)reply)->error != 0
            || replyLength < sizeof(fuse_out_header) + sizeof(fuse_entry_out)
            || ((fuse_entry_out*)(reply + sizeof(fuse_out_header)))->nodeid != FuseConstants.FUSE_ROOT_ID)
        {
            return false;
        }

        var name = new ReadOnlySpan<byte>(request + sizeof(fuse_in_header), length - sizeof(fuse_in_header));
        return !name.SequenceEqual(".\0"u8) && !name.SequenceEqual("..\0"u8);
    }
}
