using System.Runtime.CompilerServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount.Coherence;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

// Answers that the kernel keeps.
internal sealed unsafe partial class MountLane
{
    /// <summary>Gives the kernel an answer, without what it must not keep; its length or a negated errno.</summary>
    private int Write(SafeFileHandle device, fuse_in_header* header, byte* reply, int replyLength, fuse_attr_out* directory, ReadOnlySpan<byte> content)
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
            if ((directory != null || !content.IsEmpty) && cache.Gate.Holds(_sequence, header->nodeid, header->nodeid, many: false))
            {
                if (directory != null)
                {
                    cache.Directories.Add(header->nodeid, *directory);
                }
                else
                {
                    cache.Contents.Add(header->nodeid, _changes, content);
                }
            }

            return FuseDevice.WriteReply(device, reply, replyLength);
        }
        finally
        {
            cache.Gate.Leave(_number);
        }
    }

    /// <summary>Answers a FUSE_GETATTR of a directory whose attributes the host has sent ahead; false where it has not.</summary>
    private bool TryAnswerAttributes(CacheKeeper cache, SafeFileHandle device, fuse_in_header* header)
    {
        if (header->opcode != (uint)fuse_opcode.FUSE_GETATTR)
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

            cache.Granting(header->nodeid);
            byte* reply = stackalloc byte[sizeof(fuse_out_header) + sizeof(fuse_attr_out)];
            *(fuse_attr_out*)(reply + sizeof(fuse_out_header)) = attributes;
            AnswerAhead(device, header, reply, sizeof(fuse_attr_out));
            return true;
        }
        finally
        {
            cache.Gate.Leave(_number);
        }
    }

    /// <summary>Answers a FUSE_READ of a file whose content the host has sent ahead; false where it has not.</summary>
    private bool TryAnswerRead(CacheKeeper cache, SafeFileHandle device, byte* request, int length) =>
        cache.Contents.MayAnswer(request, length) && AnswerRead(cache, device, request);

    [SkipLocalsInit]
    private bool AnswerRead(CacheKeeper cache, SafeFileHandle device, byte* request)
    {
        // SAFETY: MayAnswer has compared the length.
        var header = (fuse_in_header*)request;
        uint size = ((fuse_read_in*)(request + sizeof(fuse_in_header)))->size;
        byte* reply = stackalloc byte[sizeof(fuse_out_header) + ReplyTail.MostContent];
        cache.Gate.Enter(_number);
        try
        {
            int content = cache.Gate.IsOpen ? cache.Contents.Take(header->nodeid, size, reply + sizeof(fuse_out_header)) : 0;
            if (content != 0)
            {
                cache.Granting(header->nodeid);
                AnswerAhead(device, header, reply, content);
            }

            return content != 0;
        }
        finally
        {
            cache.Gate.Leave(_number);
        }
    }

    // The reply's body is there, behind the room for its header.
    private void AnswerAhead(SafeFileHandle device, fuse_in_header* header, byte* reply, int bodyLength)
    {
        int length = sizeof(fuse_out_header) + bodyLength;
        *(fuse_out_header*)reply = new fuse_out_header { len = (uint)length, unique = header->unique };
        Current.Outcome(0, 0, failed: false);
        if (Claim(header->unique))
        {
            _ = FuseDevice.WriteReply(device, reply, length);
        }
    }
}
