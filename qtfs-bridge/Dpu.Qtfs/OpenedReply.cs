using Dpu.Fuse.Wire;

namespace Dpu.Qtfs;

/// <summary>Answers by which a file is open.</summary>
internal static unsafe class OpenedReply
{
    /// <summary>The part of an answer that says how a file was opened; null where it has none.</summary>
    /// <param name="opcode">What was asked.</param>
    /// <param name="reply">A whole answer.</param>
    /// <param name="length">Its length in bytes.</param>
    public static fuse_open_out* Find(uint opcode, byte* reply, int length)
    {
        int at = sizeof(fuse_out_header) + (fuse_opcode)opcode switch
        {
            fuse_opcode.FUSE_OPEN => 0,
            fuse_opcode.FUSE_CREATE or fuse_opcode.FUSE_TMPFILE => sizeof(fuse_entry_out),
            _ => int.MaxValue / 2,
        };
        return ((fuse_out_header*)reply)->error == 0 && length >= at + sizeof(fuse_open_out) ? (fuse_open_out*)(reply + at) : null;
    }
}
