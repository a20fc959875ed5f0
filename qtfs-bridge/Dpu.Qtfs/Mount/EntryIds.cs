using Dpu.Fuse.Wire;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Qtfs.Mount;

/// <summary>Looks at the node ids that a host gives, for those that only this machine may give. Pure.</summary>
internal static unsafe class EntryIds
{
    /// <summary>Whether a host's reply names a node with these bits. Its framing has been checked.</summary>
    public static bool Any(uint opcode, byte* reply, int length, ulong mask, ulong value)
    {
        int size = length - sizeof(fuse_out_header);
        byte* body = reply + sizeof(fuse_out_header);
        switch ((fuse_opcode)opcode)
        {
            case FUSE_LOOKUP or FUSE_MKNOD or FUSE_MKDIR or FUSE_SYMLINK or FUSE_LINK or FUSE_CREATE or FUSE_TMPFILE when size >= sizeof(fuse_entry_out):
                return (((fuse_entry_out*)body)->nodeid & mask) == value;
            case FUSE_READDIRPLUS:
                while (size >= sizeof(fuse_direntplus))
                {
                    var line = (fuse_direntplus*)body;
                    if ((line->entry_out.nodeid & mask) == value)
                    {
                        return true;
                    }

                    long step = (sizeof(fuse_direntplus) + (long)line->dirent.namelen + 7) & ~7;
                    if (step > size)
                    {
                        return false;
                    }

                    body += step;
                    size -= (int)step;
                }

                return false;
            default:
                return false;
        }
    }
}
