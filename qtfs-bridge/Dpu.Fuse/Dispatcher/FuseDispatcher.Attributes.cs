using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

// Attributes of nodes and of the file system, links' targets, extended attributes.
public sealed unsafe partial class FuseDispatcher
{
    private const uint XAttrFlags = 3;

    /// <summary>Size of fuse_setxattr_in before FUSE_SETXATTR_EXT (<c>FUSE_COMPAT_SETXATTR_IN_SIZE</c>).</summary>
    private const uint OldSetXAttrSize = FuseConstants.FUSE_COMPAT_SETXATTR_IN_SIZE;

    private int GetAttr(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_getattr_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = _fileSystem.GetAttr(request.Caller, request.Node, arguments, out fuse_attr_out attributes);
        return result < 0 ? result : reply.Put(attributes);
    }

    private int StatX(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_statx_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = _fileSystem.StatX(request.Caller, request.Node, arguments, out fuse_statx_out attributes);
        return result < 0 ? result : reply.Put(attributes);
    }

    private int SetAttr(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_setattr_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = _fileSystem.SetAttr(request.Caller, request.Node, arguments, out fuse_attr_out attributes);
        return result < 0 ? result : reply.Put(attributes);
    }

    private int ReadLink(ref FuseRequest request, FuseReply reply) =>
        _fileSystem.ReadLink(request.Caller, request.Node, reply.Span(FuseLimits.MaxLinkTargetLength));

    private int StatFs(ref FuseRequest request, FuseReply reply)
    {
        int result = _fileSystem.StatFs(request.Caller, request.Node, out fuse_statfs_out state);
        return result < 0 ? result : reply.Put(state);
    }

    private int Access(ref FuseRequest request) =>
        request.TryTake(out fuse_access_in arguments) ? StatusOf(_fileSystem.Access(request.Caller, request.Node, arguments.mask)) : -errno.EINVAL;

    private int SetXAttr(ref FuseRequest request, FuseNegotiation negotiation)
    {
        fuse_setxattr_in arguments;
        if (negotiation.ExtendedSetXAttr)
        {
            if (!request.TryTake(out arguments))
            {
                return -errno.EINVAL;
            }
        }
        else
        {
            if (!request.TryTake(OldSetXAttrSize, out ReadOnlySpan<byte> old))
            {
                return -errno.EINVAL;
            }

            arguments = new fuse_setxattr_in { size = BitConverter.ToUInt32(old), flags = BitConverter.ToUInt32(old[4..]) };
        }

        int result = request.TakeXAttrName(out ReadOnlySpan<byte> name);
        if (result < 0)
        {
            return result;
        }

        if (arguments.size > FuseLimits.MaxXAttrSize)
        {
            return -errno.E2BIG;
        }

        return (arguments.flags & ~XAttrFlags) == 0 && request.TryTake(arguments.size, out ReadOnlySpan<byte> value)
            ? StatusOf(_fileSystem.SetXAttr(request.Caller, request.Node, name, value, arguments))
            : -errno.EINVAL;
    }

    private int GetXAttr(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_getxattr_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = request.TakeXAttrName(out ReadOnlySpan<byte> name);
        if (result < 0)
        {
            return result;
        }

        if (!XAttrReplyFits(arguments.size, reply))
        {
            return -errno.EINVAL;
        }

        result = _fileSystem.GetXAttr(request.Caller, request.Node, name, XAttrReply(arguments.size, reply));
        return FinishXAttr(arguments.size, result, reply);
    }

    private int ListXAttr(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_getxattr_in arguments) || !XAttrReplyFits(arguments.size, reply))
        {
            return -errno.EINVAL;
        }

        int result = _fileSystem.ListXAttr(request.Caller, request.Node, XAttrReply(arguments.size, reply));
        return FinishXAttr(arguments.size, result, reply);
    }

    private int RemoveXAttr(ref FuseRequest request)
    {
        int result = request.TakeXAttrName(out ReadOnlySpan<byte> name);
        return result < 0 ? result : StatusOf(_fileSystem.RemoveXAttr(request.Caller, request.Node, name));
    }

    /// <summary>A size of 0 asks for the size, which comes in a fuse_getxattr_out; another one for the bytes themselves.</summary>
    private static bool XAttrReplyFits(uint size, FuseReply reply) =>
        (size == 0 ? (uint)sizeof(fuse_getxattr_out) : Math.Min(size, FuseLimits.MaxXAttrSize)) <= (uint)reply.Capacity;

    private static Span<byte> XAttrReply(uint size, FuseReply reply) => reply.Span(Math.Min(size, FuseLimits.MaxXAttrSize));

    private static int FinishXAttr(uint size, int result, FuseReply reply) =>
        result < 0 ? result
        : size == 0 ? reply.Put(new fuse_getxattr_out { size = (uint)result })
        : (uint)result > size ? -errno.ERANGE : result;
}
