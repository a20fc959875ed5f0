using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Coherence;
using Dpu.Qtfs.Mount.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// One thread of a mount: reads a request of the kernel, sends it to the host, waits for the answer, gives it to the
/// kernel. While it waits, <see cref="MountGuard"/> may answer in its place when the caller was killed.
/// </summary>
internal sealed unsafe partial class MountLane : IDisposable
{
    // A request that breaks its connection this often breaks the host: it ends with EIO, so that it cannot do so for ever.
    private const int MaxRepeats = 5;
    private static readonly TimeSpan WaitSlice = TimeSpan.FromMilliseconds(50);

    private readonly RemoteMount _mount;
    private readonly uint _number;
    private readonly ProcessListing? _listing;
    private byte* _request;
    private LaneConnection? _connection;
    private SafeFileHandle? _device;
    private long _unclaimed;
    private long _busySince;
    private uint _caller;
    private volatile bool _sent;
    private long _interrupted;
    private long _sequence;
    private int _changes;

    public MountLane(RemoteMount mount, uint number)
    {
        _mount = mount;
        _number = number;
        Current = new LaneRequest(mount.Counters, mount.Slow);
        _listing = mount.Merge is { } merge ? new ProcessListing(merge) : null;

        // SAFETY: freed in Dispose, by the thread that runs the lane.
        _request = (byte*)NativeMemory.AlignedAlloc((nuint)FuseLimits.MaxMessageSize, 4096);
    }

    /// <summary><see cref="Environment.TickCount64"/> since when the lane has had its request; 0 while it has none.</summary>
    public long BusySince => Volatile.Read(ref _busySince);

    /// <summary>The lane's request, for figures and for the log of slow ones.</summary>
    public LaneRequest Current { get; }

    /// <summary>Serves the kernel until the mount is gone.</summary>
    public void Run(SafeFileHandle device)
    {
        while (true)
        {
            if (_mount.Overflow.TryTake() is { } waiting)
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
    /// <param name="device">The lane's own clone of /dev/fuse, non-blocking.</param>
    /// <param name="idle">How long to wait for a request.</param>
    public void RunRelief(SafeFileHandle device, TimeSpan idle)
    {
        while (!_mount.Stopping)
        {
            if (_mount.Overflow.TryTake() is { } waiting)
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
    /// A signal has interrupted the request. One that was never sent ends at once with EINTR. One that was sent may have
    /// happened, so a caller that lives is told the host's answer; only a caller that is being killed is let go, once it
    /// has waited for the grace.
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
            // By its number: the lane may have gone on to another request meanwhile.
            Volatile.Write(ref _interrupted, (long)unique);
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
        _listing?.Dispose();

        // SAFETY: allocated by the constructor; the lane's thread has ended.
        NativeMemory.AlignedFree(_request);
        _request = null;
    }

    // Cancelled: the mount ended while the lane dialled.
    private static bool IsBroken(Exception e) => e is IOException or FuseChannelException or ObjectDisposedException or OperationCanceledException;

    /// <summary>Reads a request and serves it; false where the mount is gone.</summary>
    private bool ServeNext(SafeFileHandle device)
    {
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
            Serve(waiting.Message, waiting.Length, waiting.Device, waiting.ReadAt);
        }
    }

    private void Serve(byte* request, int length, SafeFileHandle device, long readAt = 0)
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
        _sent = false;
        Volatile.Write(ref _interrupted, 0);
        _device = device;
        Volatile.Write(ref _caller, header->pid);
        Volatile.Write(ref _busySince, Environment.TickCount64);
        Volatile.Write(ref _unclaimed, (long)header->unique);
        try
        {
            if (_listing is null || !AnswerOwn(request, ref length, device))
            {
                Exchange(request, length, device);
            }
        }
        finally
        {
            Volatile.Write(ref _unclaimed, 0);
            Volatile.Write(ref _busySince, 0);
            Current.End();
        }
    }

    private void Exchange(byte* request, int length, SafeFileHandle device)
    {
        var header = (fuse_in_header*)request;
        ulong unique = header->unique;
        bool hasReply = ReplayRules.HasReply(header->opcode);
        bool mayRepeat = ReplayRules.MayRepeat(request, length);
        if (_mount.Cache is { } kept && (TryAnswerAttributes(kept, device, header) || TryAnswerRead(kept, device, request, length)))
        {
            return;
        }

        if (AnswersHere.TryAnswer(_mount, request, length, out int known))
        {
            Answer(device, header, known);
            return;
        }

        AnswersHere.Sending(_mount, request, length);
        long started = Environment.TickCount64;
        for (int attempt = 0; ; attempt++)
        {
            int error = EnsureConnection(header->opcode, started, mayRepeat);
            if (error != 0)
            {
                Answer(device, header, error);
                return;
            }

            bool sent = false;
            try
            {
                _sent = true;
                _sequence = _mount.Cache?.Gate.Sequence ?? 0;
                _changes = _mount.Cache?.Contents.ChangesOf(header->nodeid) ?? 0;
                _connection!.Send(request, length);
                sent = true;
                if (!hasReply)
                {
                    Current.Outcome(length, 0, failed: false);
                    return;
                }

                int replyLength = _connection.Receive(unique, out byte* reply);
                if (_listing is not null)
                {
                    replyLength = Merge(request, length, ref reply, replyLength);
                }

                Deliver(device, header, length, reply, replyLength);
                return;
            }
            catch (Exception e) when (IsBroken(e))
            {
                // Expected when the link breaks, or when the host breaks the protocol.
                Drop(e);
                if (sent && !mayRepeat)
                {
                    _mount.Cache?.Contents.Passes(request, length);
                    _mount.Counters.CountUnknownOutcome();
                    _mount.OutcomeUnknown(header->opcode, header->nodeid);
                    Answer(device, header, -errno.EIO);
                    return;
                }

                if (attempt == MaxRepeats && header->opcode != (uint)fuse_opcode.FUSE_INIT)
                {
                    Answer(device, header, -errno.EIO);
                    return;
                }

                _sent = false;
                _mount.Counters.CountRepeated();
            }
        }
    }

    /// <summary>Returns 0 with a connection, or the negated errno that the request ends with.</summary>
    private int EnsureConnection(uint opcode, long started, bool mayRepeat)
    {
        while (true)
        {
            // Not to send on a connection that is dead already spares a request that must not be repeated its EIO.
            if (_connection is not null
                && _connection.Epoch == _mount.Connector.Epoch
                && (mayRepeat || !_connection.IsClosedByPeer))
            {
                return 0;
            }

            Drop(null);
            if (_mount.Stopping)
            {
                return -errno.EIO;
            }

            if (Volatile.Read(ref _interrupted) is not 0 and long interrupted && interrupted == Volatile.Read(ref _unclaimed))
            {
                _mount.Counters.CountInterrupted();
                return -errno.EINTR;
            }

            try
            {
                if (_mount.Connector.WaitUp(WaitSlice))
                {
                    // Without another look whether it is closed: a host that closes each connection at once would be
                    // dialled for ever, and Exchange counts its attempts.
                    _ = Dial();
                    _mount.Connected();
                    return 0;
                }
            }
            catch (LinkException e)
            {
                _mount.DialFailed(e);
            }
            catch (Exception e) when (IsBroken(e))
            {
                // Expected: the link broke during FUSE_INIT.
                _mount.LaneBroke(e.Message);
            }

            // FUSE_INIT never gives up: an error would break the mount for good. Without a caller that waits, what the
            // host keeps for us ends with its grace time.
            long limit = (long)_mount.Options.GiveUpAfter.TotalMilliseconds;
            bool waits = ReplayRules.HasReply(opcode) && Environment.TickCount64 - started <= limit && !_mount.HasGivenUp;
            if (!waits && opcode != (uint)fuse_opcode.FUSE_INIT)
            {
                return -errno.EIO;
            }

            if (_mount.Connector.IsUp)
            {
                // Up, but the lane was refused: do not dial in a tight loop.
                _mount.PauseAfterRefusal(WaitSlice);
            }
        }
    }

    private LaneConnection Dial()
    {
        Drop(null);
        long epoch = _mount.Connector.Epoch;
        var connection = new LaneConnection(_mount.DialLane(_number), epoch);

        // Before the host is asked anything, so that a cut reaches it.
        _connection = connection;
        try
        {
            _mount.InitExchange.Restore(connection);
        }
        catch
        {
            _connection = null;
            connection.Dispose();
            throw;
        }

        return connection;
    }

    private void Drop(Exception? why)
    {
        if (_connection is null)
        {
            return;
        }

        if (why is FuseChannelException)
        {
            _mount.HostViolated(why.Message);
        }
        else if (why is not null)
        {
            _mount.LaneBroke(why.Message);
        }

        _connection.Dispose();
        _connection = null;
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
        }
        else if (LookupCheck.IsForgedRoot((byte*)header, length, reply, replyLength))
        {
            throw new FuseChannelException("the host answered the look-up of a name with the mount's own root");
        }

        _mount.Flushes.Answered((byte*)header, length, reply, replyLength);

        // The kernel says ENOENT where nobody waits any more, EINVAL where the reply is none to its request: the caller
        // then has its EIO already.
        int written = !Claim(header->unique) ? -errno.ENOENT
            : _mount.Grants?.TryAdd(device, header, reply, replyLength) == true ? replyLength
            : Write(device, header, reply, replyLength, hasDirectory ? &directory : null, content);
        _mount.Delivered(header->opcode);
        if (written == -errno.ENOENT)
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
