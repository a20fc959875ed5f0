using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Directories.
public sealed unsafe partial class PassthroughFileSystem
{
    /// <summary>Files of one listing that a peer gets references to, which cost memory at both ends.</summary>
    public const int MostListed = 16_384;

    /// <inheritdoc/>
    public override int OpenDir(in FuseCaller caller, ulong node, in fuse_open_in request, out fuse_open_out reply)
    {
        reply = default;
        using NodePin directory = _nodes.Pin(node);
        int error = Begin(caller, directory);
        if (error < 0)
        {
            return error;
        }

        if (directory.Type != stat.S_IFDIR)
        {
            return -errno.ENOTDIR;
        }

        int opened = Reopen(directory.Descriptor, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC);
        if (opened < 0)
        {
            return HandleLimit(opened);
        }

        reply.fh = _handles.Add(opened, node, isDirectory: true, directory.Tree);
        if (reply.fh == 0)
        {
            _ = close(opened);
            return -errno.ENFILE;
        }

        return 0;
    }

    /// <inheritdoc/>
    public override int ReadDir(in FuseCaller caller, ulong node, in fuse_read_in request, bool plus, ref FuseDirectoryWriter entries)
    {
        using HandlePin directory = _handles.Pin(request.fh, node, isDirectory: true);
        if (!directory.Valid)
        {
            return -errno.EBADF;
        }

        int error = _boundary.Check(directory.Descriptor);
        if (error >= 0)
        {
            error = _identity.Assume(caller, UseFor(directory.Tree, IdentityUse.Ordinary));
        }

        if (error < 0)
        {
            return error;
        }

        // A peer that reads one handle twice at once waits for itself only.
        lock (_directoryLocks[directory.Index % LockCount])
        {
            var stream = new DirectoryStream(ref directory.Record, (long)request.offset);
            while (stream.Error == 0 && stream.MoveNext())
            {
                if (IsHidden(directory, stream.Name))
                {
                    stream.Consume();
                    continue;
                }

                if (!entries.Fits(stream.Name.Length, plus))
                {
                    // Not even one fits: an empty reply would be the end of the directory.
                    return entries.Written == 0 ? -errno.EINVAL : 0;
                }

                error = Add(caller, directory, node, stream, plus, ref entries);
                if (error < 0)
                {
                    break;
                }

                stream.Consume();
            }

            // An error after some entries comes up again with the next request.
            error = error < 0 ? error : stream.Error;
            return entries.Written == 0 ? error : 0;
        }
    }

    /// <inheritdoc/>
    public override int ReleaseDir(in FuseCaller caller, ulong node, in fuse_release_in request) =>
        _handles.Remove(request.fh, node, isDirectory: true) ? 0 : -errno.EBADF;

    /// <inheritdoc/>
    public override int FSyncDir(in FuseCaller caller, ulong node, in fuse_fsync_in request)
    {
        using HandlePin directory = _handles.Pin(request.fh, node, isDirectory: true);
        if (!directory.Valid)
        {
            return -errno.EBADF;
        }

        int error = _boundary.Check(directory.Descriptor);
        return error < 0 ? error : Sync(directory.Descriptor, request.fsync_flags);
    }

    /// <inheritdoc/>
    public override int StatFs(in FuseCaller caller, ulong node, out fuse_statfs_out reply)
    {
        reply = default;
        using NodePin file = _nodes.Pin(node);
        int error = Begin(caller, file);
        if (error < 0)
        {
            return error;
        }

        statfs state;
        error = Result(fstatfs(file.Descriptor, &state));
        if (error == 0)
        {
            reply.st.blocks = state.f_blocks;
            reply.st.bfree = state.f_bfree;
            reply.st.bavail = state.f_bavail;
            reply.st.files = state.f_files;
            reply.st.ffree = state.f_ffree;
            reply.st.bsize = (uint)state.f_bsize;
            reply.st.namelen = (uint)state.f_namelen;
            reply.st.frsize = (uint)state.f_frsize;
        }

        return error;
    }

    /// <inheritdoc/>
    public override int SyncFs(in FuseCaller caller, ulong node)
    {
        using NodePin root = _nodes.Pin(NodeTable.RootId);
        if (!root.Valid)
        {
            return -errno.ESTALE;
        }

        // The agent's own act: the caller need not be able to read the root. syncfs takes no O_PATH descriptor.
        int error = FuseWorkerThread.Current.BecomeAgent();
        if (error < 0)
        {
            return error;
        }

        int opened = Reopen(root.Descriptor, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC);
        if (opened < 0)
        {
            return HandleLimit(opened);
        }

        error = Result(syncfs(opened));
        _ = close(opened);
        return error;
    }

    // The caller has checked that the entry fits.
    private int Add(in FuseCaller caller, in HandlePin directory, ulong node, in DirectoryStream stream, bool plus, ref FuseDirectoryWriter entries)
    {
        bool dots = stream.Name.SequenceEqual("."u8) || stream.Name.SequenceEqual(".."u8);
        var line = new fuse_dirent { ino = stream.Entry.d_ino, off = (ulong)stream.Entry.d_off, type = stream.Entry.d_type };
        if (dots && node == NodeTable.RootId)
        {
            // What is above the export is none of the peer's business.
            line.ino = _nodes[(int)NodeTable.RootId].Inode;
        }

        if (!plus)
        {
            _ = entries.TryAdd(line, stream.Name);
            return 0;
        }

        // The dots take no reference; neither does what cannot be looked up now, or comes late in a long list: the peer asks for it
        // when it needs it.
        fuse_entry_out entry = default;
        if (!dots && stream.TryCount(MostListed))
        {
            int error = EnterListed(caller, directory, node, stream.Name, out entry);
            if (error == -errno.ESTALE)
            {
                return error;
            }
        }

        _ = entries.TryAdd(entry, line, stream.Name);
        return 0;
    }

    [SkipLocalsInit]
    private int EnterListed(in FuseCaller caller, in HandlePin directory, ulong node, ReadOnlySpan<byte> name, out fuse_entry_out entry)
    {
        entry = default;
        byte* text = stackalloc byte[FileName.MaxSize];
        int error = FileName.Copy(name, text);
        if (error >= 0)
        {
            // Each time: the check of an entry before may have had to act as the agent.
            error = _identity.Assume(caller, UseFor(directory.Tree, IdentityUse.Ordinary));
        }

        return error < 0 ? error : Enter(directory.Descriptor, text, out entry, node);
    }
}
