using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount.Coherence;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

// Answers that the kernel keeps.
internal sealed unsafe partial class MountLane
{
    /// <summary>Gives the kernel an answer, without what it must not keep; its length or a negated errno.</summary>
    private int Write(SafeFileHandle device, fuse_in_header* header, byte* reply, int replyLength, fuse_attr_out* directory)
    {
        if (_mount.Cache is not { } cache)
        {
            return FuseDevice.WriteReply(device, reply, replyLength);
        }

        cache.Gate.Enter(_number);
        try
        {
            cache.Check(header, (int)header->len, _sequence, reply, replyLength);
            cache.Fresh.Answered((byte*)header, (int)header->len, reply, replyLength);
            if (directory != null && cache.Gate.Holds(_sequence, header->nodeid, header->nodeid, many: false))
            {
                cache.Directories.Add(header->nodeid, *directory);
            }

            return FuseDevice.WriteReply(device, reply, replyLength);
        }
        finally
        {
            cache.Gate.Leave(_number);
        }
    }

    /// <summary>Answers a FUSE_GETATTR of a directory whose attributes the host has sent ahead; false where it has not.</summary>
    private bool TryAnswerAttributes(SafeFileHandle device, fuse_in_header* header)
    {
        if (header->opcode != (uint)fuse_opcode.FUSE_GETATTR || _mount.Cache is not { } cache)
        {
            return false;
        }

        cache.Gate.Enter(_number);
        try
        {
            if (!cache.Gate.IsOpen || !cache.Directories.TryTake(header->nodeid, out fuse_attr_out attributes))
            {
                return false;
            }

            int length = sizeof(fuse_out_header) + sizeof(fuse_attr_out);
            byte* reply = stackalloc byte[length];
            *(fuse_out_header*)reply = new fuse_out_header { len = (uint)length, unique = header->unique };
            *(fuse_attr_out*)(reply + sizeof(fuse_out_header)) = attributes;
            Current.Outcome(0, 0, failed: false);
            if (Claim(header->unique))
            {
                _ = FuseDevice.WriteReply(device, reply, length);
            }

            return true;
        }
        finally
        {
            cache.Gate.Leave(_number);
        }
    }
}
