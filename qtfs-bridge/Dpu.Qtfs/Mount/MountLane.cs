using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Coherence;
using Dpu.Qtfs.Mount.Handover;
using Dpu.Qtfs.Mount.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// One thread of a mount: reads a request of the kernel, sends it to the host, waits for the answer, gives it to the
/// kernel. While it waits, <see cref="MountGuard"/> may answer in its place when the caller was killed.
/// </summary>
internal sealed unsafe partial class MountLane : IDisposable
{
    private readonly RemoteMount _mount;
    private readonly uint _number;
    private readonly ProcessListing? _listing;
    private readonly LaneMemory _memory;
    private readonly UnsureForgets _forgets;
    private readonly byte* _request;
    private LaneConnection? _connection;
    private SafeFileHandle? _device;
    private long _unclaimed;
    private long _busySince;
    private uint _caller;
    private volatile bool _sent;
    private long _interrupted;
    private long _sequence;
    private int _changes;
    private ulong _requestNumber;

    public MountLane(RemoteMount mount, uint number)
    {
        _mount = mount;
        _number = number;
        Current = new LaneRequest(mount.Counters, mount.Slow);
        _listing = mount.Merge is { } merge ? new ProcessListing(merge) : null;

        _memory = new LaneMemory(mount.State, $"lane/{number}");
        _forgets = new UnsureForgets(_memory);
        _request = _memory.Buffer;
    }

    /// <summary><see cref="Environment.TickCount64"/> since when the lane has had its request; 0 while it has none.</summary>
    public long BusySince => Volatile.Read(ref _busySince);

    /// <summary>The lane's request, for figures and for the log of slow ones.</summary>
    public LaneRequest Current { get; }

    /// <summary>Serves the kernel until the mount is gone.</summary>
    public void Run(SafeFileHandle device)
    {
        Recover(device);
        while (true)
        {
            if (_mount.Guard.TryTake() is { } waiting)
            {
                ServeOverflow(waiting);
                continue;
            }

            if (!ServeNext(device))
            {
                return;
            }
        }
    }

    /// <summary>Serves what waits for a lane, and what the kernel asks, until there has been nothing for a while.</summary>
    /// <param name="device">A clone of /dev/fuse, non-blocking.</param>
    /// <param name="idle">How long to wait for a request.</param>
    public void RunRelief(SafeFileHandle device, TimeSpan idle)
    {
        Recover(device);
        while (!_mount.Stopping)
        {
            if (_mount.Guard.TryTake() is { } waiting)
            {
                ServeOverflow(waiting);
            }
            else if (!poll.WaitReadable(device, idle))
            {
                return;
            }
            else if (!ServeNext(device))
            {
                return;
            }
        }
    }

    /// <summary>Opens the connection ahead of the first request, so that a refusal is seen where the mount is asked for.</summary>
    /// <exception cref="LinkException">The host is not reachable or refused.</exception>
    public LinkConnection Connect() => Dial().Link;

    /// <summary>Tells the host that the mount has ended, if the connection still stands.</summary>
    /// <returns>Whether the host knows.</returns>
    public bool SendDestroy()
    {
        if (_connection is null || _connection.Epoch != _mount.Connector.Epoch)
        {
            return false;
        }

        var destroy = new fuse_in_header
        {
            len = (uint)sizeof(fuse_in_header),
            opcode = (uint)fuse_opcode.FUSE_DESTROY,
            unique = LostReply.InternalUnique,
        };
        try
        {
            _connection.Link.SetTimeouts(TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(2));
            _connection.Send((byte*)&destroy, sizeof(fuse_in_header));
            _connection.Receive(LostReply.InternalUnique, out _);
            return true;
        }
        catch (Exception e) when (IsBroken(e))
        {
            // Expected: the host is away, or has ended the mount itself. Its grace time ends the mount there.
            _mount.LaneBroke(e.Message);
            return false;
        }
    }

    /// <summary>Whether the lane has that request, unanswered.</summary>
    public bool Has(ulong unique) => Volatile.Read(ref _unclaimed) == (long)unique;

    /// <summary>
    /// A signal has interrupted the request. One that was never sent ends with EINTR where <see cref="CallerState.EndsUnsent"/>. One that
    /// was sent may have happened, so a caller that lives is told the host's answer; only a caller that is being killed is let go, once
    /// it has waited for the grace.
    /// </summary>
    /// <returns>Whether the lane still has the request.</returns>
    public bool Interrupt(ulong unique, bool expired)
    {
        if (!Has(unique))
        {
            return false;
        }

        if (!_sent)
        {
            if (Current.TryRead(out RequestUnderWay under) && under.Unique == unique && CallerState.EndsUnsent(under.Opcode, under.Caller))
            {
                // By its number: the lane may have gone on to another request meanwhile.
                Volatile.Write(ref _interrupted, (long)unique);
            }
        }
        else if (expired && _device is { } device && CallerState.IsDying(Volatile.Read(ref _caller)) && Claim(unique))
        {
            _mount.Counters.CountInterrupted();
            _mount.Reply(device, unique, -errno.EINTR);
            return false;
        }

        return true;
    }

    /// <summary>Breaks the connection, so that a lane that waits for an answer goes on.</summary>
    public void Cut() => _connection?.Cut();

    /// <inheritdoc/>
    public void Dispose()
    {
        _connection?.Dispose();
        _bindingSocket?.Dispose();
        _listing?.Dispose();
        _memory.Free();
    }

    // Cancelled: the mount ended while the lane dialled.
    private static bool IsBroken(Exception e) => e is IOException or FuseChannelException or ObjectDisposedException or OperationCanceledException;

    /// <summary>Reads a request and serves it; false where the mount is gone.</summary>
    private bool ServeNext(SafeFileHandle device)
    {
        _memory.ClearBuffer();
        int length = FuseDevice.ReadRequest(device, _request, FuseLimits.MaxMessageSize);
        if (length > 0)
        {
            Serve(_request, length, device);
        }
        else if (length is not (-errno.EINTR or -errno.EAGAIN or -errno.ENOENT))
        {
            // ENODEV: unmounted. ECONNABORTED: aborted through fusectl. Nothing else is documented in fuse(4).
            _mount.DeviceEnded(length);
            return false;
        }

        return true;
    }

    private void ServeOverflow(OverflowRequest waiting)
    {
        using (waiting)
        {
            Serve(waiting.Message, waiting.Length, waiting.Device, waiting.ReadAt, parked: true);
        }
    }

    private void Serve(byte* request, int length, SafeFileHandle device, long readAt = 0, bool parked = false, bool again = false)
    {
        // SAFETY: the kernel writes whole messages only.
        var header = (fuse_in_header*)request;
        if (header->opcode == (uint)fuse_opcode.FUSE_INTERRUPT)
        {
            ulong interrupted = ((fuse_interrupt_in*)(request + sizeof(fuse_in_header)))->unique;
            _mount.Guard.Note(interrupted);
            _ = _mount.Pending.Interrupt(interrupted, expired: false);
            return;
        }

        Current.Begin(header, readAt);
        if (!again)
        {
            Begin(request, length, device, parked);
        }

        // What an earlier runtime has begun may have been sent.
        _sent = again;
        Volatile.Write(ref _interrupted, 0);
        _device = device;
        Volatile.Write(ref _caller, header->pid);
        Volatile.Write(ref _busySince, Environment.TickCount64);
        Volatile.Write(ref _unclaimed, (long)header->unique);
        try
        {
            if (_mount.Sockets?.TryAnswer(request, ref length, device) == true)
            {
                _ = Claim(header->unique);
                return;
            }

            if (_listing is null || !AnswerOwn(request, ref length, device))
            {
                Exchange(request, length, device, again);
            }
        }
        finally
        {
            _memory.End();
            Volatile.Write(ref _unclaimed, 0);
            Volatile.Write(ref _busySince, 0);
            Current.End();
        }
    }

    private void Deliver(SafeFileHandle device, fuse_in_header* header, int length, byte* reply, int replyLength)
    {
        int error = ((fuse_out_header*)reply)->error;
        bool hasDirectory = ReplyTail.TryTakeDirectory(header, reply, ref replyLength, out fuse_attr_out directory);
        ReadOnlySpan<byte> content = ReplyTail.TakeContent((byte*)header, length, reply, ref replyLength);
        _mount.Cache?.Contents.Answered((byte*)header, length, reply, replyLength);
        if (error == -errno.EAGAIN && PendingRequests.Takes(header->opcode))
        {
            // It must wait, which a lane does not.
            Current.Outcome(length, replyLength, failed: false);
            if (Claim(header->unique) && !_mount.Pending.TryAdd((byte*)header, length, device))
            {
                _mount.Reply(device, header->unique, -errno.ENOLCK);
            }

            return;
        }

        Current.Outcome(length, replyLength, error != 0);
        if (header->opcode == (uint)fuse_opcode.FUSE_POLL)
        {
            _mount.Polls.Answered((byte*)header, length, reply, replyLength);
        }
        else if (header->opcode == (uint)fuse_opcode.FUSE_INIT)
        {
            _mount.InitExchange.Agree((byte*)header, length, reply, ref replyLength);
            _mount.Agreed();
        }
        else if (LookupCheck.IsForgedRoot((byte*)header, length, reply, replyLength))
        {
            throw new FuseChannelException("the host answered the look-up of a name with the mount's own root");
        }
        else if (_mount.Sockets?.IsForged(header->opcode, reply, replyLength) == true)
        {
            throw new FuseChannelException("the host named a node that is this machine's own");
        }

        _mount.Flushes.Answered((byte*)header, length, reply, replyLength);
        _mount.Held.Answered((byte*)header, length, reply, replyLength, _connection!.State);

        // The kernel says ENOENT where nobody waits any more, EINVAL where the reply is none to its request: the caller
        // then has its EIO already.
        _memory.Phase = LanePhase.Answering;
        int written = !Claim(header->unique) ? -errno.ENOENT
            : _mount.Grants?.TryAdd(device, header, reply, replyLength) == true ? replyLength
            : Write(device, header, reply, replyLength, hasDirectory ? &directory : null, content);
        _mount.Delivered(header->opcode);

        // Where the last runtime died while it answered, the kernel may have had that answer.
        if (written == -errno.ENOENT && !_mayBeAnswered)
        {
            GiveBack(header, reply, replyLength);
        }
        else if (written == -errno.EINVAL)
        {
            _mount.HostViolated($"its answer of {replyLength} bytes to opcode {header->opcode} was refused by the kernel");
        }
    }

    private void Answer(SafeFileHandle device, fuse_in_header* header, int error)
    {
        Current.Outcome(0, 0, error != 0);
        if (ReplayRules.HasReply(header->opcode) && Claim(header->unique))
        {
            _mount.Reply(device, header->unique, error);
        }
    }

    // Whoever turns the number into 0 answers; nobody else does.
    private bool Claim(ulong unique) => Interlocked.CompareExchange(ref _unclaimed, 0, (long)unique) == (long)unique;
}
