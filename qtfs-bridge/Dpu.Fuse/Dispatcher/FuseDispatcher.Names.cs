using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

// Requests that name directory entries, and the references that they take.
public sealed unsafe partial class FuseDispatcher
{
    /// <summary>RENAME_NOREPLACE, RENAME_EXCHANGE and RENAME_WHITEOUT of renameat2(2).</summary>
    private const uint RenameFlags = 7;

    private int Lookup(ref FuseRequest request, FuseReply reply)
    {
        int result = request.TakeName(out ReadOnlySpan<byte> name);
        if (result < 0)
        {
            return result;
        }

        result = _fileSystem.Lookup(request.Caller, request.Node, name, out fuse_entry_out entry);
        return result < 0 ? result : reply.Put(entry);
    }

    private int Forget(ref FuseRequest request)
    {
        if (!request.TryTake(out fuse_forget_in arguments))
        {
            return -errno.EINVAL;
        }

        _fileSystem.Forget(request.Node, arguments.nlookup);
        return 0;
    }

    private int BatchForget(ref FuseRequest request)
    {
        if (!request.TryTake(out fuse_batch_forget_in arguments) || arguments.count > (uint)request.Left / (uint)sizeof(fuse_forget_one))
        {
            return -errno.EINVAL;
        }

        for (uint i = 0; i < arguments.count && request.TryTake(out fuse_forget_one one); i++)
        {
            _fileSystem.Forget(one.nodeid, one.nlookup);
        }

        return 0;
    }

    private int SymLink(ref FuseRequest request, FuseReply reply)
    {
        int result = request.TakeName(out ReadOnlySpan<byte> name);
        if (result < 0)
        {
            return result;
        }

        result = request.TakeLinkTarget(out ReadOnlySpan<byte> target);
        if (result < 0)
        {
            return result;
        }

        result = _fileSystem.SymLink(request.Caller, request.Node, name, target, out fuse_entry_out entry);
        return result < 0 ? result : reply.Put(entry);
    }

    private int MkNod(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_mknod_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = request.TakeName(out ReadOnlySpan<byte> name);
        if (result < 0)
        {
            return result;
        }

        result = _fileSystem.MkNod(request.Caller, request.Node, name, arguments, out fuse_entry_out entry);
        return result < 0 ? result : reply.Put(entry);
    }

    private int MkDir(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_mkdir_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = request.TakeName(out ReadOnlySpan<byte> name);
        if (result < 0)
        {
            return result;
        }

        result = _fileSystem.MkDir(request.Caller, request.Node, name, arguments, out fuse_entry_out entry);
        return result < 0 ? result : reply.Put(entry);
    }

    private int Unlink(ref FuseRequest request)
    {
        int result = request.TakeName(out ReadOnlySpan<byte> name);
        return result < 0 ? result : StatusOf(_fileSystem.Unlink(request.Caller, request.Node, name));
    }

    private int RmDir(ref FuseRequest request)
    {
        int result = request.TakeName(out ReadOnlySpan<byte> name);
        return result < 0 ? result : StatusOf(_fileSystem.RmDir(request.Caller, request.Node, name));
    }

    private int Rename(ref FuseRequest request) =>
        request.TryTake(out fuse_rename_in arguments) ? Rename(ref request, arguments.newdir, flags: 0) : -errno.EINVAL;

    private int Rename2(ref FuseRequest request) =>
        request.TryTake(out fuse_rename2_in arguments) && (arguments.flags & ~RenameFlags) == 0
            ? Rename(ref request, arguments.newdir, arguments.flags)
            : -errno.EINVAL;

    private int Rename(ref FuseRequest request, ulong newParent, uint flags)
    {
        int result = request.TakeName(out ReadOnlySpan<byte> name);
        if (result < 0)
        {
            return result;
        }

        result = request.TakeName(out ReadOnlySpan<byte> newName);
        return result < 0 ? result : StatusOf(_fileSystem.Rename(request.Caller, request.Node, name, newParent, newName, flags));
    }

    private int Link(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_link_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = request.TakeName(out ReadOnlySpan<byte> name);
        if (result < 0)
        {
            return result;
        }

        result = _fileSystem.Link(request.Caller, arguments.oldnodeid, request.Node, name, out fuse_entry_out entry);
        return result < 0 ? result : reply.Put(entry);
    }

    /// <summary>A call without a payload: whatever the file system returns as success, nothing is sent behind the header.</summary>
    private static int StatusOf(int result) => Math.Min(result, 0);
}
