using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// The parts of a host's reply by which the kernel may cache: how long names and attributes hold, and whether an opened
/// file keeps its pages. The host is not trusted: lengths are checked. Pure.
/// </summary>
internal static unsafe class GrantedReply
{
    /// <summary>Whether replies to the opcode can grant something.</summary>
    public static bool IsGrant(uint opcode) => (fuse_opcode)opcode
        is FUSE_LOOKUP or FUSE_GETATTR or FUSE_SETATTR or FUSE_SYMLINK or FUSE_MKNOD or FUSE_MKDIR or FUSE_LINK or FUSE_OPEN or FUSE_CREATE or FUSE_TMPFILE or FUSE_READDIRPLUS or FUSE_STATX;

    /// <summary>The node that the reply names; 0 where there is none or they are many.</summary>
    public static ulong NodeOf(uint opcode, byte* reply, int length) => HasEntry(opcode, length) ? ((fuse_entry_out*)(reply + sizeof(fuse_out_header)))->nodeid : 0;

    /// <summary>Tells the set each node of which the kernel has something by the reply.</summary>
    public static void Remember(fuse_in_header* request, byte* reply, int length, KnownIds nodes)
    {
        uint opcode = request->opcode;
        if (HasEntry(opcode, length))
        {
            nodes.Add(NodeOf(opcode, reply, length));
        }
        else if ((fuse_opcode)opcode is FUSE_GETATTR or FUSE_SETATTR or FUSE_STATX or FUSE_OPEN)
        {
            nodes.Add(request->nodeid);
        }
        else if (opcode == (uint)FUSE_READDIRPLUS)
        {
            for (fuse_direntplus* line = First(reply, length, out int left); line is not null; line = Next(line, ref left))
            {
                nodes.Add(line->entry_out.nodeid);
            }
        }
    }

    /// <summary>Tells the set each name that the kernel believes by the reply; false where there was no room for all of them.</summary>
    /// <param name="request">A whole request of the kernel.</param>
    /// <param name="requestLength">Its length in bytes.</param>
    /// <param name="reply">The host's answer, without an error.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="names">The set.</param>
    public static bool Remember(fuse_in_header* request, int requestLength, byte* reply, int length, KnownNames names)
    {
        switch ((fuse_opcode)request->opcode)
        {
            case FUSE_LOOKUP or FUSE_SYMLINK or FUSE_MKNOD or FUSE_MKDIR or FUSE_LINK or FUSE_CREATE:
                var entry = (fuse_entry_out*)(reply + sizeof(fuse_out_header));
                return length < sizeof(fuse_out_header) + sizeof(fuse_entry_out) || entry->entry_valid == 0
                    || names.Add(request->nodeid, NameAt(request, requestLength, ArgumentSize((fuse_opcode)request->opcode), out _));

            case FUSE_READDIRPLUS:
                bool all = true;
                for (fuse_direntplus* line = First(reply, length, out int left); line is not null; line = Next(line, ref left))
                {
                    all &= line->entry_out.entry_valid == 0 || names.Add(request->nodeid, NameOf(line, left));
                }

                return all;

            case FUSE_RENAME or FUSE_RENAME2 when requestLength >= sizeof(fuse_in_header) + sizeof(fuse_rename_in):
                // The kernel moves what it believed of the old name to the new one, and of the new one to the old (RENAME_EXCHANGE).
                ReadOnlySpan<byte> old = NameAt(request, requestLength, ArgumentSize((fuse_opcode)request->opcode), out int next);
                return names.Add(request->nodeid, old, always: true)
                    & names.Add(((fuse_rename_in*)(request + 1))->newdir, NameAt(request, requestLength, next, out _), always: true);

            default:
                return true;
        }
    }

    /// <summary>Bounds how long names are believed, in seconds; 0 takes every grant away.</summary>
    public static void Bound(uint opcode, byte* reply, int length, ulong nameSeconds)
    {
        byte* body = reply + sizeof(fuse_out_header);
        int size = length - sizeof(fuse_out_header);
        if (HasEntry(opcode, length))
        {
            ulong valid = ((fuse_entry_out*)body)->entry_valid;
            Bound((fuse_entry_out*)body, nameSeconds);
            if (opcode == (uint)FUSE_TMPFILE)
            {
                // What has no name is under no wrong one.
                ((fuse_entry_out*)body)->entry_valid = valid;
            }

            if (nameSeconds == 0 && (fuse_opcode)opcode is FUSE_CREATE or FUSE_TMPFILE && size >= sizeof(fuse_entry_out) + sizeof(fuse_open_out))
            {
                Drop((fuse_open_out*)(body + sizeof(fuse_entry_out)));
            }
        }
        else if (opcode == (uint)FUSE_READDIRPLUS)
        {
            for (fuse_direntplus* line = First(reply, length, out int left); line is not null; line = Next(line, ref left))
            {
                Bound(&line->entry_out, nameSeconds);
            }
        }
        else if (nameSeconds == 0 && (fuse_opcode)opcode is FUSE_GETATTR or FUSE_SETATTR && size >= sizeof(fuse_attr_out))
        {
            var attributes = (fuse_attr_out*)body;
            (attributes->attr_valid, attributes->attr_valid_nsec) = (0, 0);
        }
        else if (nameSeconds == 0 && opcode == (uint)FUSE_STATX && size >= sizeof(fuse_statx_out))
        {
            var status = (fuse_statx_out*)body;
            (status->attr_valid, status->attr_valid_nsec) = (0, 0);
        }
        else if (nameSeconds == 0 && opcode == (uint)FUSE_OPEN && size >= sizeof(fuse_open_out))
        {
            Drop((fuse_open_out*)body);
        }
    }

    private static bool HasEntry(uint opcode, int length) =>
        (fuse_opcode)opcode is FUSE_LOOKUP or FUSE_SYMLINK or FUSE_MKNOD or FUSE_MKDIR or FUSE_LINK or FUSE_CREATE or FUSE_TMPFILE
        && length >= sizeof(fuse_out_header) + sizeof(fuse_entry_out);

    private static int ArgumentSize(fuse_opcode opcode) => opcode switch
    {
        FUSE_MKNOD => sizeof(fuse_mknod_in),
        FUSE_MKDIR => sizeof(fuse_mkdir_in),
        FUSE_LINK => sizeof(fuse_link_in),
        FUSE_CREATE => sizeof(fuse_create_in),
        FUSE_RENAME => sizeof(fuse_rename_in),
        FUSE_RENAME2 => sizeof(fuse_rename2_in),
        _ => 0,
    };

    // SAFETY: the kernel's request; whatever it holds, nothing behind its length is read.
    private static ReadOnlySpan<byte> NameAt(fuse_in_header* request, int requestLength, int at, out int next)
    {
        ReadOnlySpan<byte> body = new((byte*)(request + 1), requestLength - sizeof(fuse_in_header));
        ReadOnlySpan<byte> name = at < body.Length ? body[at..] : default;
        int end = name.IndexOf((byte)0);
        name = end is >= 0 and <= limits.NAME_MAX ? name[..end] : default;
        next = at + name.Length + 1;
        return name;
    }

    // SAFETY: First and Next give lines with a whole head, of which so many bytes are left with what follows it.
    private static ReadOnlySpan<byte> NameOf(fuse_direntplus* line, int left) =>
        new((byte*)(line + 1), (int)Math.Min(Math.Min(line->dirent.namelen, limits.NAME_MAX), (uint)(left - sizeof(fuse_direntplus))));

    private static void Bound(fuse_entry_out* entry, ulong nameSeconds)
    {
        if (nameSeconds == 0)
        {
            (entry->entry_valid, entry->entry_valid_nsec, entry->attr_valid, entry->attr_valid_nsec) = (0, 0, 0, 0);
        }
        else if (entry->entry_valid >= nameSeconds)
        {
            (entry->entry_valid, entry->entry_valid_nsec) = (nameSeconds, 0);
        }
    }

    private static void Drop(fuse_open_out* opened) => opened->open_flags &= ~FuseConstants.FOPEN_KEEP_CACHE;

    private static fuse_direntplus* First(byte* reply, int length, out int left)
    {
        left = length - sizeof(fuse_out_header);
        return left >= sizeof(fuse_direntplus) ? (fuse_direntplus*)(reply + sizeof(fuse_out_header)) : null;
    }

    // SAFETY: what is left is counted down by what was stepped over, and compared before the next is touched.
    private static fuse_direntplus* Next(fuse_direntplus* line, ref int left)
    {
        long step = (sizeof(fuse_direntplus) + (long)line->dirent.namelen + 7) & ~7L;
        if (left - step < sizeof(fuse_direntplus))
        {
            return null;
        }

        left -= (int)step;
        return (fuse_direntplus*)((byte*)line + step);
    }
}
