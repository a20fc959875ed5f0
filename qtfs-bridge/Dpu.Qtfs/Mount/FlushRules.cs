using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// Which FUSE_FLUSH the host need not hear of. A close has two things to tell it: that data was written by that file, and
/// that the POSIX locks of its process go. A file that was opened for reading has not been written, on most file systems of
/// the host a close says nothing of what was (the host marks them), and of a node that this mount has never locked there are
/// no locks. Written by lanes without a lock.
/// </summary>
/// <param name="state">Where it is kept which nodes were locked, for a runtime that takes the place of this one; null for nowhere.</param>
internal sealed unsafe class FlushRules(Handover.KeptState? state = null)
{
    // Ids are generation << 32 | index, of handles as of nodes; the last of an index is kept.
    private readonly KnownIds _quiet = new();
    private readonly KnownIds _locked = new(state, "locked");

    /// <summary>A request is about to be sent; call it before.</summary>
    public void Sending(byte* request, int length)
    {
        // SAFETY: the kernel writes whole messages only; the lengths are checked all the same.
        var header = (fuse_in_header*)request;
        byte* body = request + sizeof(fuse_in_header);
        switch ((fuse_opcode)header->opcode)
        {
            case fuse_opcode.FUSE_SETLK or fuse_opcode.FUSE_SETLKW when length >= sizeof(fuse_in_header) + sizeof(fuse_lk_in):
                if ((((fuse_lk_in*)body)->lk_flags & FuseConstants.FUSE_LK_FLOCK) == 0)
                {
                    _locked.Add(header->nodeid);
                }

                break;

            case fuse_opcode.FUSE_RELEASE when length >= sizeof(fuse_in_header) + sizeof(fuse_release_in):
                _quiet.Remove(((fuse_release_in*)body)->fh);
                break;
        }
    }

    /// <summary>A request was answered; call it before the kernel is. Takes the host's mark away.</summary>
    public void Answered(byte* request, int length, byte* reply, int replyLength)
    {
        var header = (fuse_in_header*)request;
        fuse_open_out* opened = OpenedReply.Find(header->opcode, reply, replyLength);
        if (opened == null)
        {
            return;
        }

        // The kernel would not even tell us, and its locks would stay.
        bool marked = (opened->open_flags & FuseConstants.FOPEN_NOFLUSH) != 0;
        opened->open_flags &= ~FuseConstants.FOPEN_NOFLUSH;

        // SAFETY: the length is compared before.
        bool reads = header->opcode == (uint)fuse_opcode.FUSE_OPEN && length >= sizeof(fuse_in_header) + sizeof(fuse_open_in)
            && (((fuse_open_in*)(request + sizeof(fuse_in_header)))->flags & (fcntl.O_ACCMODE | fcntl.O_TRUNC)) == fcntl.O_RDONLY;
        if (marked || reads)
        {
            _quiet.Add(opened->fh);
        }
        else
        {
            _quiet.Remove(opened->fh);
        }
    }

    /// <summary>Whether a request is a flush with nothing to tell.</summary>
    public bool IsNeedless(byte* request, int length)
    {
        var header = (fuse_in_header*)request;
        return header->opcode == (uint)fuse_opcode.FUSE_FLUSH
            && length >= sizeof(fuse_in_header) + sizeof(fuse_flush_in)
            && _quiet.Contains(((fuse_flush_in*)(request + sizeof(fuse_in_header)))->fh)
            && KnownIds.CanHold(header->nodeid) && !_locked.Contains(header->nodeid);
    }
}
