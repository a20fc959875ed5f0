using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Handover;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// Whoever has got a lock must see what its earlier holders did. The host's answer to the lock and its notifications of that
/// come by two connections, in any order. So the caller is told that it has the lock once the kernel has been told of the
/// notifications that came before. Where they do not come, the kernel forgets what it has cached of the locked file, as NFS
/// clients do (RFC 7530, section 10.3.2).
/// </summary>
/// <remarks>
/// A thread of its own: the kernel may wait, before it forgets a page or a name, for requests that lanes are to serve.
/// A notification that came after the caller knows would be worse than late: the kernel drops what a FUSE_GETATTR under way
/// tells of a file that it is told to forget (fuse_change_attributes), and the caller would read no further than the old size.
/// Thread-safe.
/// </remarks>
internal sealed unsafe class GrantedLocks
{
    // While the connection stands they come; a machine that is overloaded takes its time.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly RemoteMount _mount;
    private readonly CacheKeeper _cache;
    private readonly object _lock = new();
    private readonly Queue<Grant> _waiting = new();
    private bool _stopped;

    public GrantedLocks(RemoteMount mount, CacheKeeper cache)
    {
        _mount = mount;
        _cache = cache;
    }

    /// <summary>Takes over the host's reply where it grants a lock; the caller has the claim to answer.</summary>
    /// <param name="device">Where the request was read.</param>
    /// <param name="request">A whole request.</param>
    /// <param name="reply">The host's answer, whose framing has been checked.</param>
    /// <param name="replyLength">Its length in bytes.</param>
    /// <returns>False where it is no lock, or was not granted: then the caller answers.</returns>
    public bool TryAdd(SafeFileHandle device, fuse_in_header* request, byte* reply, int replyLength)
    {
        // SAFETY: the kernel writes whole requests, and of these opcodes with this body.
        if ((fuse_opcode)request->opcode is not (fuse_opcode.FUSE_SETLK or fuse_opcode.FUSE_SETLKW)
            || request->len < sizeof(fuse_in_header) + sizeof(fuse_lk_in)
            || ((fuse_lk_in*)(request + 1))->lk.type == fcntl.F_UNLCK
            || ((fuse_out_header*)reply)->error != 0
            || !TryAfter(reply, replyLength, out ulong after))
        {
            return false;
        }

        Add(device, request->unique, request->nodeid, after, _mount.Cells.Park((byte*)request, (int)request->len, ParkedFor.Host, _mount.NumberOf(device)));
        return true;
    }

    /// <summary>What the host's answer to a lock says: the number of the last notification before; 0 where it says none.</summary>
    /// <returns>False where it is no such answer.</returns>
    public static bool TryAfter(byte* reply, int replyLength, out ulong after)
    {
        after = replyLength == sizeof(GrantedLock) ? ((GrantedLock*)reply)->after : 0;
        return replyLength == sizeof(fuse_out_header) || replyLength == sizeof(GrantedLock);
    }

    /// <summary>Answers a lock that was granted.</summary>
    /// <param name="device">Where its request was read.</param>
    /// <param name="unique">The kernel's number of it.</param>
    /// <param name="node">The file.</param>
    /// <param name="after">The last notification before.</param>
    /// <param name="parked">The request, until it is answered.</param>
    public void Add(SafeFileHandle device, ulong unique, ulong node, ulong after, ParkedRequest? parked)
    {
        lock (_lock)
        {
            _waiting.Enqueue(new Grant(device, unique, node, after, Environment.TickCount64, parked));
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>Runs until <see cref="Stop"/>; on a thread of its own.</summary>
    public void Run() => _cache.Run(turn =>
    {
        while (TryTake(out Grant grant))
        {
            if (!_cache.AwaitTold(grant.After, grant.At + (long)Patience.TotalMilliseconds))
            {
                turn.TellNow(Invalidation.Content(grant.Node));
            }

            _mount.Reply(grant.Device, grant.Unique, 0);
            grant.Parked?.Dispose();
        }
    });

    /// <summary>Ends <see cref="Run"/> soon; the mount has ended.</summary>
    public void Stop()
    {
        lock (_lock)
        {
            _stopped = true;
            Monitor.PulseAll(_lock);
        }
    }

    private bool TryTake(out Grant grant)
    {
        lock (_lock)
        {
            while (!_stopped && _waiting.Count == 0)
            {
                Monitor.Wait(_lock);
            }

            grant = default;
            return !_stopped && _waiting.TryDequeue(out grant);
        }
    }

    private readonly record struct Grant(SafeFileHandle Device, ulong Unique, ulong Node, ulong After, long At, ParkedRequest? Parked);
}
