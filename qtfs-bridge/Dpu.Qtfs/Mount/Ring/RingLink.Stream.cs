using Dpu.Fuse;
using Dpu.Fuse.Ring;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount.Ring;

// Sending and receiving. Sends never wait and are made by the thread itself, as many messages at once as there are;
// for answers the ring waits.
internal sealed unsafe partial class RingLink
{
    /// <summary>Messages of one sendmsg(2) at most.</summary>
    private const int MaxPieces = 16;

    /// <summary>The rest of an answer from which on it is received into its slot, in bytes.</summary>
    private const int DirectFrom = 16 << 10;

    /// <summary>Sends what waits, as far as the socket takes it; dials where there is no connection.</summary>
    public void Flush()
    {
        while (_waiting.Count > 0 || _connection?.Partial is not null)
        {
            if (_connection is null)
            {
                Dial();
                return;
            }

            if (_connection.Epoch != _mount.Connector.Epoch)
            {
                Break(null);
                continue;
            }

            if (_connection.SendBlocked || !SendSome(_connection))
            {
                return;
            }
        }
    }

    /// <summary>Sends once; false where nothing more can be sent now.</summary>
    private bool SendSome(RingConnection connection)
    {
        iovec* pieces = stackalloc iovec[MaxPieces];
        int count = 0;
        bool repeatable = true;
        long total = 0;
        if (connection.Partial is { } partial)
        {
            pieces[count++] = new iovec { iov_base = partial.Message + connection.PartialSent, iov_len = (nuint)(partial.Length - connection.PartialSent) };
        }

        long sequence = _mount.Cache?.Gate.Sequence ?? 0;
        foreach (RingRequest request in _waiting)
        {
            if (count == MaxPieces || total >= FuseLimits.MaxWrite)
            {
                break;
            }

            // Before it is seen to be interrupted or not: the guard looks in the other order.
            request.Begun = true;
            request.Sequence = sequence;
            repeatable &= request.MayRepeat;
            total += request.Length;
            pieces[count++] = new iovec { iov_base = request.Message, iov_len = (nuint)request.Length };
        }

        // Not to send on a connection that is dead already spares a request that must not be repeated its EIO.
        if (!repeatable && connection.IsClosedByPeer)
        {
            // Not while answers may still lie in the socket: their requests were carried out.
            if (_sent.Count > 0)
            {
                TakeBack();
                return false;
            }

            Break(null);
            return true;
        }

        int sent = connection.Send(pieces, count);
        if (sent < 0 && sent != -errno.EAGAIN && sent != -errno.EINTR)
        {
            Break(new IOException($"sending to the host failed: errno {-sent}"));
            return true;
        }

        long now = Environment.TickCount64;
        int left = Math.Max(sent, 0);
        if (connection.Partial is { } begun)
        {
            int rest = begun.Length - connection.PartialSent;
            if (left < rest)
            {
                connection.PartialSent += left;
                return Blocked(connection);
            }

            left -= rest;
            connection.Partial = null;
            Sent(connection, begun, now);
        }

        while (_waiting.Count > 0 && left >= _waiting.Peek().Length)
        {
            RingRequest request = _waiting.Dequeue();
            left -= request.Length;
            Sent(connection, request, now);
        }

        if (left > 0)
        {
            connection.Partial = _waiting.Dequeue();
            connection.PartialSent = left;
        }

        if (left > 0 || sent < 0)
        {
            return Blocked(connection);
        }

        return true;
    }

    private bool Blocked(RingConnection connection)
    {
        TakeBack();
        connection.SendBlocked = true;
        connection.Expected++;
        _ring.Poll(connection.Descriptor, poll.POLLOUT, RingTag.Pack(_index, connection.Generation, RingTag.MaySend));
        return false;
    }

    // What has not gone at all can still end as if it had never been.
    private void TakeBack()
    {
        foreach (RingRequest request in _waiting)
        {
            request.Begun = false;
        }
    }

    private void Sent(RingConnection connection, RingRequest request, long now)
    {
        request.SentAt = now;
        if (request.Slot is not null || request.Unique != LostReply.InternalUnique)
        {
            _sent.Add(request);
            return;
        }

        connection.InternalAnswers += ReplayRules.HasReply(request.Header->opcode) ? 1 : 0;
        request.Dispose();
    }

    private void Receive(RingConnection connection)
    {
        connection.Expected++;
        _ring.Receive(connection.Descriptor, connection.Buffer + connection.Available, Math.Min(_atOnce, RingConnection.Capacity - connection.Available),
            RingTag.Pack(_index, connection.Generation, RingTag.Received));
    }

    private void Received(RingConnection connection, int result)
    {
        if (result is -errno.EAGAIN or -errno.EINTR)
        {
            Receive(connection);
            return;
        }

        if (result <= 0)
        {
            throw connection.Available > 0
                ? new FuseChannelException($"the peer closed the connection inside a message, after {connection.Available} bytes")
                : new IOException(result == 0 ? "the host closed the connection" : $"receiving from the host failed: errno {-result}");
        }

        connection.Available += result;
        Parse(connection);
    }

    // Answers frame themselves: each begins with its length. It is read once, and bounded before it is used.
    private void Parse(RingConnection connection)
    {
        byte* at = connection.Buffer;
        byte* end = at + connection.Available;
        while (end - at >= sizeof(fuse_out_header))
        {
            var header = (fuse_out_header*)at;
            uint length = header->len;
            if (length < (uint)sizeof(fuse_out_header) || length > (uint)FuseLimits.MaxMessageSize)
            {
                throw new FuseChannelException($"the peer announced a FUSE message of {length} bytes; allowed are {sizeof(fuse_out_header)} to {FuseLimits.MaxMessageSize}");
            }

            int here = (int)(end - at);
            if (here >= (int)length)
            {
                Answered(connection, at, (int)length);
                at += length;
                continue;
            }

            RingConnection.Check(header, (int)length);
            RingRequest? request = (int)length - here >= DirectFrom ? FindSent(header->unique) : null;
            if (request is { Slot: null })
            {
                // Data that nobody waits for any more.
                _sent.Remove(request);
                request.Dispose();
                connection.Skip = (int)length - here;
                connection.Available = 0;
                ReceiveBody(connection);
                return;
            }

            if (request is { Slot.ReplyIsApart: true })
            {
                // The rest goes where the kernel takes it from.
                Buffer.MemoryCopy(at, request.Slot.Reply, length, here);
                connection.Body = request;
                connection.BodyReceived = here;
                connection.BodyLength = (int)length;
                connection.Available = 0;
                ReceiveBody(connection);
                return;
            }

            if (length > RingConnection.Capacity)
            {
                throw new FuseChannelException($"the host answered request {header->unique}, which has no such answer, with {length} bytes");
            }

            break;
        }

        connection.Available = (int)(end - at);
        if (connection.Available > 0 && at != connection.Buffer)
        {
            // SAFETY: both ranges lie in the buffer; MemoryCopy allows overlap.
            Buffer.MemoryCopy(at, connection.Buffer, RingConnection.Capacity, connection.Available);
        }

        Receive(connection);
    }

    private void ReceiveBody(RingConnection connection)
    {
        while (connection.Body is not null || connection.Skip > 0)
        {
            RingRequest? request = connection.Body;
            int wanted = request is null ? Math.Min(connection.Skip, RingConnection.Capacity) : connection.BodyLength - connection.BodyReceived;
            byte* target = request is null ? connection.Buffer : request.Slot!.Reply + connection.BodyReceived;
            int received = connection.Receive(target, wanted);
            if (received == -errno.EAGAIN)
            {
                connection.Expected++;
                _ring.Poll(connection.Descriptor, poll.POLLIN, RingTag.Pack(_index, connection.Generation, RingTag.MayReceive));
                return;
            }

            if (received <= 0 && received != -errno.EINTR)
            {
                throw new FuseChannelException("the peer closed the connection inside a message");
            }

            received = Math.Max(received, 0);
            if (request is null)
            {
                connection.Skip -= received;
                continue;
            }

            connection.BodyReceived += received;
            if (connection.BodyReceived == connection.BodyLength)
            {
                connection.Body = null;
                Answered(connection, request.Slot!.Reply, connection.BodyLength);
            }
        }

        Receive(connection);
    }

    private void Answered(RingConnection connection, byte* reply, int length)
    {
        var header = (fuse_out_header*)reply;
        RingConnection.Check(header, length);
        if (header->unique == LostReply.InternalUnique && connection.InternalAnswers > 0)
        {
            connection.InternalAnswers--;
            return;
        }

        RingRequest request = FindSent(header->unique) ?? throw new FuseChannelException($"the host answered request {header->unique}, which was not asked");
        if (request.Slot is not null && LookupCheck.IsForgedRoot(request.Message, request.Length, reply, length))
        {
            throw new FuseChannelException("the host answered the look-up of a name with the mount's own root");
        }

        _sent.Remove(request);
        if (request.Slot is null)
        {
            GiveBack(request, reply, length);
        }
        else
        {
            if (request.Header->opcode == (uint)fuse_opcode.FUSE_POLL)
            {
                _mount.Polls.Answered(request.Message, request.Length, reply, length);
            }

            _mount.Flushes.Answered(request.Message, request.Length, reply, length);
            _mount.Held.Answered(request.Message, request.Length, reply, length, connection.State);
            _lane.Deliver(request, reply, length);
        }
    }

    private RingRequest? FindSent(ulong unique)
    {
        // They are answered in order as a rule: the first is the one.
        foreach (RingRequest request in _sent)
        {
            if (request.Unique == unique)
            {
                return request;
            }
        }

        return null;
    }

    // Nobody takes this answer any more: what it gave goes back to the host.
    private void GiveBack(RingRequest request, byte* reply, int length)
    {
        byte* messages = stackalloc byte[LostReply.MaxLength];
        LostReply.Compensate(request.Header->opcode, request.Header->nodeid, reply, length, messages, out int release, out int forget);
        if (LostReply.TryUnlock(request.Message, request.Length, ((fuse_out_header*)reply)->error))
        {
            AddOwn(request.Message, request.Length);
        }

        if (release > 0)
        {
            AddOwn(messages, release);
        }

        if (forget > 0)
        {
            AddOwn(messages + release, forget);
        }

        request.Dispose();
    }

    private void AddOwn(byte* message, int length)
    {
        var request = new RingRequest(null, null);
        request.Begin(message, length);
        _waiting.Enqueue(request);
    }

    private void Dial()
    {
        _wanted = true;
        if (Interlocked.Exchange(ref _isDialling, 1) == 0)
        {
            _mount.StartThread("dial", DialUntilThere);
        }
    }

    // On a thread of its own: a handshake blocks.
    private void DialUntilThere()
    {
        try
        {
            while (_wanted && !_mount.Stopping)
            {
                try
                {
                    if (_mount.Connector.WaitUp(WaitSlice))
                    {
                        DialOnce();
                        return;
                    }
                }
                catch (LinkException e) when (_index != 0)
                {
                    // The host's limit, as a rule; the first link has what would wait here.
                    _mount.LaneBroke(e.Message);
                    Volatile.Write(ref _refusedAt, Environment.TickCount64);
                    return;
                }
                catch (LinkException e)
                {
                    _mount.DialFailed(e);
                }
                catch (Exception e) when (e is IOException or FuseChannelException or ObjectDisposedException or OperationCanceledException)
                {
                    // Expected: the link broke during FUSE_INIT, or the mount ended.
                    if (e is FuseChannelException)
                    {
                        _mount.HostViolated(e.Message);
                    }
                    else
                    {
                        _mount.LaneBroke(e.Message);
                    }
                }

                if (_mount.Connector.IsUp)
                {
                    _mount.PauseAfterRefusal(WaitSlice);
                }
            }
        }
        finally
        {
            _dialling = null;
            Volatile.Write(ref _isDialling, 0);
            _ring.Wake();
        }
    }

    private void DialOnce()
    {
        long epoch = _mount.Connector.Epoch;
        var connection = new LaneConnection(_mount.DialLane(_lane.Number), epoch);
        _dialling = connection;
        try
        {
            _mount.Restore(connection);
            if (connection.HasUnread)
            {
                throw new FuseChannelException("the host answered more than it was asked");
            }
        }
        catch
        {
            connection.Dispose();
            throw;
        }

        _mount.Connected();
        Interlocked.Exchange(ref _dialed, connection)?.Dispose();
        if (!_wanted)
        {
            // The lane has ended meanwhile.
            Interlocked.Exchange(ref _dialed, null)?.Dispose();
        }
    }
}
