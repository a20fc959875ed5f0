using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

// Locks.
public sealed unsafe partial class PassthroughFileSystem
{
    /// <summary>Owners of record locks, each with a descriptor.</summary>
    public int LockOwners => _locks.Owners;

    /// <summary>Requests that wait for a lock.</summary>
    public int LockWaits => _locks.Waits;

    /// <inheritdoc/>
    public override int GetLk(in FuseCaller caller, ulong node, in fuse_lk_in request, out fuse_lk_out reply)
    {
        reply = default;
        return !_options.HostLocks ? -errno.ENOSYS
            : LockRequest.TryRead(caller.Unique, node, request, out LockRequest wanted) && !wanted.IsFlock ? _locks.Get(wanted, out reply)
            : -errno.EINVAL;
    }

    /// <inheritdoc/>
    public override int SetLk(in FuseCaller caller, ulong node, in fuse_lk_in request, bool wait) =>
        !_options.HostLocks ? -errno.ENOSYS
        : LockRequest.TryRead(caller.Unique, node, request, out LockRequest wanted) ? _locks.Set(wanted, wait, caller.Late)
        : -errno.EINVAL;

    /// <inheritdoc/>
    public override void Interrupt(ulong unique)
    {
        if (_options.HostLocks)
        {
            _locks.Interrupt(unique);
        }
    }

    /// <summary>The connection that takes these answers is gone: what waits for a lock by it waits no longer, unanswered.</summary>
    public void Abandon(IFuseLateReplies late) => _locks.Abandon(late);
}
