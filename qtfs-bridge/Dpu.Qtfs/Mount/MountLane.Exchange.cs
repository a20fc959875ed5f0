using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Handover;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

// A request on its way to the host, over as many connections as it takes.
internal sealed unsafe partial class MountLane
{
    // A request that breaks its connection this often breaks the host: it ends with EIO, so that it cannot do so for ever.
    private const int MaxRepeats = 5;
    private static readonly TimeSpan WaitSlice = TimeSpan.FromMilliseconds(50);

    private void Exchange(byte* request, int length, SafeFileHandle device, bool again)
    {
        var header = (fuse_in_header*)request;
        bool hasReply = ReplayRules.HasReply(header->opcode);
        bool mayRepeat = ReplayRules.MayRepeat(request, length);
        if (!again && _mount.Cache is { } kept && (TryAnswerAttributes(kept, device, header) || TryAnswerRead(kept, device, request, length)))
        {
            return;
        }

        if (!again && AnswersHere.TryAnswer(_mount, request, length, out int known))
        {
            Answer(device, header, known);
            return;
        }

        FindBinding(request, length);
        AnswersHere.Sending(_mount, request, length);
        long started = Environment.TickCount64;
        bool wasSent = again && _memory.Phase >= LanePhase.Sent;
        _requestNumber = wasSent ? _memory.State.Number : NextNumber();

        // As of the first sending: the answer may be that one's.
        _sequence = _mount.Cache?.Gate.Sequence ?? 0;
        _changes = _mount.Cache?.Contents.ChangesOf(header->nodeid) ?? 0;
        ulong? sentIn = wasSent ? _memory.State.SentIn : null;
        ulong? forgotIn = wasSent ? _mount.HostState : null;
        for (int attempt = 0; ; attempt++)
        {
            int error = EnsureConnection(header->opcode, started, mayRepeat);

            // Where it was sent and must not be repeated, only the host that knows what it answered may have it again.
            bool mayBeDone = sentIn is not null && !mayRepeat;
            if (mayBeDone && (error != 0 || attempt > MaxRepeats || sentIn == 0 || _connection!.Life != sentIn))
            {
                EndUnknown(device, header, request, length);
                return;
            }

            if (error != 0)
            {
                Answer(device, header, error);
                return;
            }

            if (_mount.Held.TryAnswer(request, length, out int lost))
            {
                Answer(device, header, lost);
                return;
            }

            if (!hasReply && !MustForget(request, length, ref forgotIn))
            {
                Current.Outcome(length, 0, failed: false);
                return;
            }

            try
            {
                _sent = true;
                Sending();
                TellBinding(request);
                Send(request, length);
                sentIn = _connection!.Life;
                if (!hasReply)
                {
                    _forgets.Sent(request, length, _requestNumber, _connection.Life);
                    Current.Outcome(length, 0, failed: false);
                    return;
                }

                int replyLength = Receive(header, out byte* reply);
                if (_listing is not null)
                {
                    replyLength = Merge(request, length, ref reply, replyLength);
                }

                if (_mount.Sockets is { } sockets && IsSocket(header, reply, replyLength))
                {
                    DeliverSocket(sockets, device, request, length, reply);
                    return;
                }

                TakeFifo(header, reply, replyLength);
                TakeBinding(request, reply, replyLength);
                Deliver(device, header, length, reply, replyLength);
                return;
            }
            catch (Exception e) when (IsBroken(e))
            {
                // Expected when the link breaks, or when the host breaks the protocol.
                Drop(e);
                if (sentIn is not null && !mayRepeat)
                {
                    if (sentIn == 0)
                    {
                        EndUnknown(device, header, request, length);
                        return;
                    }
                }
                else if (attempt == MaxRepeats && header->opcode != (uint)fuse_opcode.FUSE_INIT)
                {
                    Answer(device, header, -errno.EIO);
                    return;
                }
                else
                {
                    _sent = false;
                }

                _mount.Counters.CountRepeated();
            }
        }
    }

    // A host that has returned was told of the references that are left: it need not hear of those that had been given back before.
    private bool MustForget(byte* request, int length, ref ulong? forgotIn)
    {
        ulong state = _mount.HostState;
        if (forgotIn is null)
        {
            _mount.Held.Forgetting(request, length);
            forgotIn = state;
        }

        return forgotIn == state;
    }

    private ulong NextNumber()
    {
        ulong number = _mount.NextNumber();
        _memory.State.Number = number;
        return number;
    }

    // From here on a runtime that takes the place of this one cannot say that the host was not asked.
    private void Sending()
    {
        _memory.State.SentIn = _connection!.Life;
        _memory.Phase = LanePhase.Sent;
    }

    // A host that keeps its answers knows the request by its number.
    private void Send(byte* request, int length)
    {
        var header = (fuse_in_header*)request;
        ulong unique = header->unique;
        header->unique = _connection!.Life == 0 ? unique : _requestNumber;
        try
        {
            _connection.Send(request, length);
        }
        finally
        {
            header->unique = unique;
        }
    }

    private int Receive(fuse_in_header* header, out byte* reply)
    {
        int length = _connection!.Receive(_connection.Life == 0 ? header->unique : _requestNumber, out reply);
        ((fuse_out_header*)reply)->unique = header->unique;
        _forgets.Arrived();
        return length;
    }

    // It may have been executed, and nobody can say: never again, and never as if it had.
    private void EndUnknown(SafeFileHandle device, fuse_in_header* header, byte* request, int length)
    {
        _mount.Cache?.Contents.Passes(request, length);
        _mount.Counters.CountUnknownOutcome();
        _mount.OutcomeUnknown(header->opcode, header->nodeid);
        Answer(device, header, -errno.EIO);
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

            if (!_sent && Volatile.Read(ref _interrupted) is not 0 and long interrupted && interrupted == Volatile.Read(ref _unclaimed))
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
            _mount.Restore(connection);
            _forgets.SendAgain(connection);
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
}
