using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Qtfs.Export.Coherence;

/// <summary>
/// Lets the DPU's kernel keep what a reply says until it is told otherwise, where changes are sure to be noticed: first
/// what the request names is watched, then it is read, so that no change falls in between. Thread-safe.
/// </summary>
/// <remarks>
/// A name, and the attributes of a file with one name, are covered by the mark on the directory in which it was found. A
/// directory's attributes change with its entries, and a file with several names is changed through any of them: both
/// need a mark of their own. Sockets have no grants: whether someone listens changes without an event. Nor have strict files, nor
/// the kernel's own trees (procfs, sysfs, cgroups), wherever they are mounted inside of an export.
/// </remarks>
internal sealed unsafe class CacheGrants(PassthroughFileSystem files, MountChanges changes, StrictPaths strict)
{
    /// <summary>Ten years, in seconds: as good as for ever, and no kernel's clock arithmetic overflows.</summary>
    private const ulong Unlimited = 315_360_000;

    private const uint TypeMask = stat.S_IFMT;

    /// <summary>Watches what the request is about to read.</summary>
    /// <param name="request">A whole request.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <returns>For <see cref="Grant"/>.</returns>
    public Ticket Prepare(byte* request, int length) => new(changes.Moves, Watches(request, length));

    private bool Watches(byte* request, int length)
    {
        // SAFETY: FuseChannel gives whole headers. The node id is the peer's, and checked by Watch.
        var header = (fuse_in_header*)request;
        switch ((fuse_opcode)header->opcode)
        {
            case FUSE_LOOKUP or FUSE_MKDIR or FUSE_MKNOD or FUSE_SYMLINK or FUSE_CREATE or FUSE_READDIRPLUS:
                return files.Watch(header->nodeid);

            case FUSE_LINK when length >= sizeof(fuse_in_header) + sizeof(fuse_link_in):
                // The file has a second name from now on, by which it can be changed.
                return files.Watch(((fuse_link_in*)(request + sizeof(fuse_in_header)))->oldnodeid) & files.Watch(header->nodeid);

            case FUSE_RENAME when length >= sizeof(fuse_in_header) + sizeof(fuse_rename_in):
                return files.Watch(((fuse_rename_in*)(request + sizeof(fuse_in_header)))->newdir);

            case FUSE_RENAME2 when length >= sizeof(fuse_in_header) + sizeof(fuse_rename2_in):
                return files.Watch(((fuse_rename2_in*)(request + sizeof(fuse_in_header)))->newdir);

            default:
                return false;
        }
    }

    /// <summary>Puts the grants into the reply, which the dispatcher wrote; returns its length.</summary>
    /// <param name="request">A whole request.</param>
    /// <param name="ticket">What <see cref="Prepare"/> returned.</param>
    /// <param name="reply">The reply, with room for an entry at least.</param>
    /// <param name="replyLength">Its length in bytes.</param>
    public int Grant(byte* request, Ticket ticket, byte* reply, int replyLength)
    {
        bool watched = ticket.Watched;
        var header = (fuse_in_header*)request;
        var answer = (fuse_out_header*)reply;
        byte* body = reply + sizeof(fuse_out_header);
        int size = replyLength - sizeof(fuse_out_header);
        var opcode = (fuse_opcode)header->opcode;
        if (answer->error != 0)
        {
            bool absent = opcode == FUSE_LOOKUP && answer->error == -errno.ENOENT && watched && !IsStrict(header->nodeid, NameOf(request));
            return absent ? GrantAbsence(answer) : replyLength;
        }

        switch (opcode)
        {
            case FUSE_LOOKUP or FUSE_MKDIR or FUSE_MKNOD or FUSE_SYMLINK or FUSE_LINK or FUSE_CREATE when size >= sizeof(fuse_entry_out):
                GrantEntry((fuse_entry_out*)body, ticket);
                if (opcode == FUSE_CREATE && watched && !IsStrict(((fuse_entry_out*)body)->nodeid) && size >= sizeof(fuse_entry_out) + sizeof(fuse_open_out))
                {
                    ((fuse_open_out*)(body + sizeof(fuse_entry_out)))->open_flags |= FuseConstants.FOPEN_KEEP_CACHE;
                }

                break;

            case FUSE_GETATTR or FUSE_SETATTR when size >= sizeof(fuse_attr_out):
                var attributes = (fuse_attr_out*)body;
                if (HasAttributesCovered(header->nodeid, attributes->attr))
                {
                    attributes->attr_valid = Unlimited;
                }

                break;

            case FUSE_STATX when size >= sizeof(fuse_statx_out):
                var status = (fuse_statx_out*)body;
                if (HasAttributesCovered(header->nodeid, new fuse_attr { mode = status->stat.mode, nlink = status->stat.nlink }))
                {
                    status->attr_valid = Unlimited;
                }

                break;

            case FUSE_OPEN when size >= sizeof(fuse_open_out):
                (bool own, bool covered) = files.WatchOf(header->nodeid);
                if ((own || covered) && !IsStrict(header->nodeid))
                {
                    ((fuse_open_out*)body)->open_flags |= FuseConstants.FOPEN_KEEP_CACHE;
                }

                break;

            case FUSE_READDIRPLUS when watched:
                GrantList(body, size, ticket);
                break;
        }

        return replyLength;
    }

    /// <summary>Puts behind the answer to a change of a directory what the peer's kernel asks for next: the directory's attributes.</summary>
    /// <returns>The reply's length.</returns>
    public int AddDirectory(byte* request, byte* reply, int replyLength)
    {
        var header = (fuse_in_header*)request;
        if (!ReplyTail.MayHaveDirectory(header->opcode) || ((fuse_out_header*)reply)->error != 0 || files.IsSpecial(header->nodeid)
            || files.GetAttr(default, header->nodeid, default, out fuse_attr_out attributes) < 0 || !HasAttributesCovered(header->nodeid, attributes.attr))
        {
            return replyLength;
        }

        // SAFETY: the lane's reply has room for far more.
        attributes.attr_valid = Unlimited;
        *(fuse_attr_out*)(reply + replyLength) = attributes;
        ((fuse_out_header*)reply)->len = (uint)(replyLength + sizeof(fuse_attr_out));
        return replyLength + sizeof(fuse_attr_out);
    }

    /// <summary>Puts behind the answer to the opening of a small file what is in it, where the peer wants it and may keep it.</summary>
    /// <returns>The reply's length.</returns>
    public int AddContent(byte* request, int length, byte* reply, int replyLength)
    {
        var header = (fuse_in_header*)request;
        fuse_open_out* opened = ReplyTail.IsContentWanted(request, length) ? OpenedReply.Find(header->opcode, reply, replyLength) : null;
        if (opened == null || (opened->open_flags & FuseConstants.FOPEN_KEEP_CACHE) == 0
            || files.GetAttr(default, header->nodeid, default, out fuse_attr_out attributes) < 0
            || (attributes.attr.mode & TypeMask) != stat.S_IFREG || attributes.attr.size is 0 or > ReplyTail.MostContent)
        {
            return replyLength;
        }

        // SAFETY: the lane's reply has room for far more. One byte more than there should be: it may be growing.
        int size = (int)attributes.attr.size;
        var content = new iovec { iov_base = reply + replyLength, iov_len = (nuint)size + 1 };
        if (files.Read(default, header->nodeid, new fuse_read_in { fh = opened->fh, size = (uint)size + 1 }, &content, 1) != size)
        {
            return replyLength;
        }

        ((fuse_out_header*)reply)->len = (uint)(replyLength + size);
        return replyLength + size;
    }

    private static int GrantAbsence(fuse_out_header* answer)
    {
        // Node 0: there is nothing of that name, and the kernel may remember that.
        int length = sizeof(fuse_out_header) + sizeof(fuse_entry_out);
        *(fuse_entry_out*)(answer + 1) = new fuse_entry_out { entry_valid = Unlimited };
        (answer->error, answer->len) = (0, (uint)length);
        return length;
    }

    private void GrantList(byte* body, int size, Ticket ticket)
    {
        // SAFETY: the dispatcher wrote whole entries, each padded to 8 bytes; the lengths are checked all the same.
        while (size >= sizeof(fuse_direntplus))
        {
            var line = (fuse_direntplus*)body;
            int step = (int)((sizeof(fuse_direntplus) + (long)line->dirent.namelen + 7) & ~7);
            if (line->entry_out.nodeid != 0)
            {
                GrantEntry(&line->entry_out, ticket);
            }

            body += step;
            size -= step;
        }
    }

    private void GrantEntry(fuse_entry_out* entry, Ticket ticket)
    {
        if (!ticket.Watched || (entry->attr.mode & TypeMask) is stat.S_IFSOCK or stat.S_IFIFO || IsStrict(entry->nodeid) || files.IsSpecial(entry->nodeid))
        {
            return;
        }

        entry->entry_valid = Unlimited;
        if (!NeedsOwnMark(entry->attr))
        {
            files.Cover(entry->nodeid, covered: true);
            if (changes.Moves != ticket.Moves)
            {
                // It may be this one that was moved away meanwhile.
                files.Cover(entry->nodeid, covered: false);
            }
        }

        if (HasAttributesCovered(entry->nodeid, entry->attr))
        {
            entry->attr_valid = Unlimited;
        }
    }

    // What is not watched yet is from now on, and granted when it is asked for again.
    private bool HasAttributesCovered(ulong node, in fuse_attr attributes)
    {
        if (IsStrict(node))
        {
            return false;
        }

        (bool own, bool covered) = files.WatchOf(node);
        if (!NeedsOwnMark(attributes))
        {
            return own || covered;
        }

        if (!own)
        {
            _ = files.Watch(node);
        }

        return own;
    }

    private bool IsStrict(ulong node, ReadOnlySpan<byte> name = default)
    {
        if (strict.IsEmpty)
        {
            return false;
        }

        Span<byte> path = stackalloc byte[limits.PATH_MAX];
        int length = files.RelativePath(node, path[..^(name.Length + 1)]);
        if (length < 0)
        {
            // Not known: then it may be.
            return true;
        }

        if (!name.IsEmpty)
        {
            int start = length == 0 ? 0 : length + 1;
            path[Math.Max(0, start - 1)] = (byte)'/';
            name.CopyTo(path[start..]);
            length = start + name.Length;
        }

        return strict.Match(path[..length]);
    }

    // SAFETY: of a request that the dispatcher has served, so that there is a name with its NUL.
    private static ReadOnlySpan<byte> NameOf(byte* request) =>
        System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(request + sizeof(fuse_in_header));

    private static bool NeedsOwnMark(in fuse_attr attributes) => (attributes.mode & TypeMask) == stat.S_IFDIR || attributes.nlink > 1;

    /// <summary>What was watched when a request came, and what had been moved until then.</summary>
    public readonly record struct Ticket(long Moves, bool Watched);
}
