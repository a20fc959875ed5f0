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

        byte* copy = stackalloc byte[AclIds.MaxSize];
        if (_identity.HasMap && AclIds.IsAcl(name))
        {
            if (value.Length > AclIds.MaxSize)
            {
                return -errno.E2BIG;
            }

            // SAFETY: the copy has MaxSize bytes, and lives as long as this call.
            var acl = new Span<byte>(copy, value.Length);
            value.CopyTo(acl);
            error = AclIds.ToHost(acl, _identity);
            if (error < 0)
            {
                return error;
            }

            value = acl;
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
        int size;
        fixed (byte* content = value)
        {
            size = (int)Result(getxattr(path, text, content, (nuint)value.Length));
        }

        if (size > 0 && !value.IsEmpty && _identity.HasMap && AclIds.IsAcl(name))
        {
            error = AclIds.ToPeer(value[..size], _identity);
        }

        if (size == -errno.EOPNOTSUPP && AclIds.IsAcl(name))
        {
            // The peer's kernel asks for it whenever a user's access is checked, and would refuse the user with this error.
            return -errno.ENODATA;
        }

        return error < 0 ? error : size;
    }

    /// <inheritdoc/>
    public override int ListXAttr(in FuseCaller caller, ulong node, Span<byte> list)
    {
        // The names of trusted.* are for root only, which is for the host's kernel to tell.
        using NodePin file = _nodes.Pin(node);
        int error = Begin(caller, file, IdentityUse.Checked);
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
        error = Result(removexattr(path, text));
        return error == -errno.EPERM && name.SequenceEqual("security.capability"u8) ? DropCapabilities(caller, file, path, text) : error;
    }

    // The peer's kernel takes a file's capabilities away before it writes to the file or changes its owner. Whoever may do
    // those may do this, which the host's kernel would have done by itself; nobody gains anything by it.
    private int DropCapabilities(in FuseCaller caller, in NodePin file, byte* path, byte* name)
    {
        int error = StatusOf(file.Descriptor, out statx status);
        if (error < 0)
        {
            return error;
        }

        byte* number = DescriptorPath.Format(file.Descriptor, path);
        bool may = status.stx_uid == _identity.ToHostUser(caller.Uid)
            || faccessat2(_descriptors, number, unistd.W_OK, fcntl.AT_EACCESS) == 0;
        error = may ? FuseWorkerThread.Current.BecomeAgent() : -errno.EPERM;
        return error < 0 ? error : Result(removexattr(path, name));
    }

    private int CopyAttributeName(ReadOnlySpan<byte> name, byte* text)
    {
        if (name.IsEmpty || name.Length >= AttributeNameSize)
        {
            return -errno.ERANGE;
        }

        return FileName.CopyText(name, text, AttributeNameSize);
    }

    private int KillGroupPrivilege(int descriptor)
    {
        int error = StatusOf(descriptor, out statx status);
        return error == 0 && (status.stx_mode & stat.S_ISGID) != 0
            ? ChangeMode(descriptor, status.stx_mode & ModeBits & ~stat.S_ISGID)
            : error;
    }
}
