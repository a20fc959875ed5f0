using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// What changes names of files that exist.
public sealed unsafe partial class PassthroughFileSystem
{
    /// <inheritdoc/>
    public override int ReadLink(in FuseCaller caller, ulong node, Span<byte> target)
    {
        using NodePin link = _nodes.Pin(node);
        int error = Begin(caller, link);
        if (error < 0)
        {
            return error;
        }

        if (link.Type != stat.S_IFLNK)
        {
            return -errno.EINVAL;
        }

        // SAFETY: the kernel writes at most the span's length, and the span stays pinned meanwhile.
        byte empty = 0;
        fixed (byte* buffer = target)
        {
            int length = (int)Result(readlinkat(link.Descriptor, &empty, buffer, (nuint)target.Length));
            return link.Tree == TreeKind.Processes && length > 0 ? ProcNames.Redirect(target, length) : length;
        }
    }

    /// <inheritdoc/>
    public override int Unlink(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name) => Remove(caller, parent, name, 0);

    /// <inheritdoc/>
    public override int RmDir(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name) => Remove(caller, parent, name, fcntl.AT_REMOVEDIR);

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int Rename(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, uint flags)
    {
        if ((flags & ~(stdio.RENAME_NOREPLACE | stdio.RENAME_EXCHANGE | stdio.RENAME_WHITEOUT)) != 0)
        {
            return -errno.EINVAL;
        }

        byte* from = stackalloc byte[FileName.MaxSize];
        byte* to = stackalloc byte[FileName.MaxSize];
        int error = FileName.Copy(name, from);
        if (error >= 0)
        {
            error = FileName.Copy(newName, to);
        }

        if (error < 0)
        {
            return error;
        }

        using NodePin source = _nodes.Pin(parent);
        using NodePin target = _nodes.Pin(newParent);

        // A whiteout is a node of its own, which belongs to the caller.
        IdentityUse use = (flags & stdio.RENAME_WHITEOUT) != 0 ? IdentityUse.Creation : IdentityUse.Ordinary;
        error = BeginChange(caller, source, use);
        if (error >= 0)
        {
            error = BeginChange(caller, target, use);
        }

        return error < 0 ? error : Result(renameat2(source.Descriptor, from, target.Descriptor, to, flags));
    }

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int Link(in FuseCaller caller, ulong node, ulong newParent, ReadOnlySpan<byte> newName, out fuse_entry_out entry)
    {
        entry = default;
        byte* text = stackalloc byte[FileName.MaxSize];
        int error = FileName.Copy(newName, text);
        if (error < 0)
        {
            return error;
        }

        using NodePin file = _nodes.Pin(node);
        using NodePin directory = _nodes.Pin(newParent);
        error = BeginChange(caller, file);
        if (error >= 0)
        {
            error = BeginChange(caller, directory);
        }

        if (error < 0)
        {
            return error;
        }

        // AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH, which a squashed caller has not.
        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        error = Result(linkat(_descriptors, DescriptorPath.Format(file.Descriptor, path), directory.Descriptor, text, fcntl.AT_SYMLINK_FOLLOW));
        if (error < 0)
        {
            return error;
        }

        error = StatusOf(file.Descriptor, out statx status);
        if (error < 0)
        {
            return error;
        }

        _nodes.Reference(file);
        Fill(file, status, out entry);
        return 0;
    }

    [SkipLocalsInit]
    private int Remove(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, int flags)
    {
        byte* text = stackalloc byte[FileName.MaxSize];
        int error = FileName.Copy(name, text);
        if (error < 0)
        {
            return error;
        }

        using NodePin directory = _nodes.Pin(parent);
        error = BeginChange(caller, directory);
        return error < 0 ? error : Result(unlinkat(directory.Descriptor, text, flags));
    }
}
