using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Extended attributes. The calls take a path: the descriptor's below /proc, which the kernel follows to the very file and,
// where that is a symbolic link, no further.
public sealed unsafe partial class PassthroughFileSystem
{
    private const int AttributeNameSize = limits.XATTR_NAME_MAX + 1;

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int SetXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, in fuse_setxattr_in request)
    {
        byte* text = stackalloc byte[AttributeNameSize];
        int error = CopyAttributeName(name, text);
        if (error < 0)
        {
            return error;
        }

        using NodePin file = _nodes.Pin(node);
        error = BeginChange(caller, file);
        if (error < 0)
        {
            return error;
        }

        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        DescriptorPath.Format(file.Descriptor, path);

        // SAFETY: the kernel reads Length bytes of a span that stays pinned meanwhile.
        fixed (byte* content = value)
        {
            error = Result(setxattr(path, text, content, (nuint)value.Length, (int)request.flags));
        }

        return error >= 0 && (request.setxattr_flags & FuseConstants.FUSE_SETXATTR_ACL_KILL_SGID) != 0 ? KillGroupPrivilege(file.Descriptor) : error;
    }

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int GetXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name, Span<byte> value)
    {
        byte* text = stackalloc byte[AttributeNameSize];
        int error = CopyAttributeName(name, text);
        if (error < 0)
        {
            return error;
        }

        using NodePin file = _nodes.Pin(node);
        error = Begin(caller, file);
        if (error < 0)
        {
            return error;
        }

        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        DescriptorPath.Format(file.Descriptor, path);

        // SAFETY: the kernel writes at most Length bytes to a span that stays pinned meanwhile.
        fixed (byte* content = value)
        {
            return (int)Result(getxattr(path, text, content, (nuint)value.Length));
        }
    }

    /// <inheritdoc/>
    public override int ListXAttr(in FuseCaller caller, ulong node, Span<byte> list)
    {
        using NodePin file = _nodes.Pin(node);
        int error = Begin(caller, file);
        if (error < 0)
        {
            return error;
        }

        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        DescriptorPath.Format(file.Descriptor, path);

        // SAFETY: the kernel writes at most Length bytes to a span that stays pinned meanwhile.
        fixed (byte* content = list)
        {
            return (int)Result(listxattr(path, content, (nuint)list.Length));
        }
    }

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int RemoveXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name)
    {
        byte* text = stackalloc byte[AttributeNameSize];
        int error = CopyAttributeName(name, text);
        if (error < 0)
        {
            return error;
        }

        using NodePin file = _nodes.Pin(node);
        error = BeginChange(caller, file);
        if (error < 0)
        {
            return error;
        }

        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        DescriptorPath.Format(file.Descriptor, path);
        return Result(removexattr(path, text));
    }

    private int CopyAttributeName(ReadOnlySpan<byte> name, byte* text)
    {
        if (name.IsEmpty || name.Length >= AttributeNameSize)
        {
            return -errno.ERANGE;
        }

        // ACLs carry ids in their content, which nobody translates.
        return _identity.HasMap && name.StartsWith("system.posix_acl_"u8)
            ? -errno.EOPNOTSUPP
            : FileName.CopyText(name, text, AttributeNameSize);
    }

    private int KillGroupPrivilege(int descriptor)
    {
        int error = StatusOf(descriptor, out statx status);
        return error == 0 && (status.stx_mode & stat.S_ISGID) != 0
            ? ChangeMode(descriptor, status.stx_mode & ModeBits & ~stat.S_ISGID)
            : error;
    }
}
