using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

// Open directories.
public sealed unsafe partial class FuseDispatcher
{
    private int OpenDir(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_open_in arguments))
        {
            return -errno.EINVAL;
        }

        arguments.flags = OwnFlags(arguments.flags) & ~NotForOpen;
        int result = _fileSystem.OpenDir(request.Caller, request.Node, arguments, out fuse_open_out opened);
        return result < 0 ? result : reply.Put(opened);
    }

    private int ReadDir(ref FuseRequest request, FuseReply reply, bool plus)
    {
        if (!request.TryTake(out fuse_read_in arguments) || arguments.size > (uint)reply.Capacity)
        {
            return -errno.EINVAL;
        }

        arguments.flags = OwnFlags(arguments.flags);
        var entries = new FuseDirectoryWriter(reply.Span(arguments.size));
        int result = _fileSystem.ReadDir(request.Caller, request.Node, arguments, plus, ref entries);

        // Entries that were added may hold references on nodes: they are sent, and the error comes at the next position.
        return result < 0 && entries.Written == 0 ? result : entries.Written;
    }

    private int ReleaseDir(ref FuseRequest request)
    {
        if (!request.TryTake(out fuse_release_in arguments))
        {
            return -errno.EINVAL;
        }

        arguments.flags = OwnFlags(arguments.flags);
        return StatusOf(_fileSystem.ReleaseDir(request.Caller, request.Node, arguments));
    }

    private int FSyncDir(ref FuseRequest request) =>
        request.TryTake(out fuse_fsync_in arguments) ? StatusOf(_fileSystem.FSyncDir(request.Caller, request.Node, arguments)) : -errno.EINVAL;
}
