using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

// Locks, and callers that wait no longer.
public sealed unsafe partial class FuseDispatcher
{
    private int GetLk(ref FuseRequest request, FuseReply reply)
    {
        if (!request.TryTake(out fuse_lk_in arguments))
        {
            return -errno.EINVAL;
        }

        int result = _fileSystem.GetLk(request.Caller, request.Node, arguments, out fuse_lk_out found);
        return result < 0 ? result : reply.Put(found);
    }

    private int SetLk(ref FuseRequest request, bool wait) =>
        request.TryTake(out fuse_lk_in arguments) ? StatusOf(_fileSystem.SetLk(request.Caller, request.Node, arguments, wait)) : -errno.EINVAL;

    private int Interrupt(ref FuseRequest request)
    {
        if (!request.TryTake(out fuse_interrupt_in arguments))
        {
            return -errno.EINVAL;
        }

        _fileSystem.Interrupt(arguments.unique);
        return 0;
    }
}
