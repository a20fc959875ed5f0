using Dpu.Linux;
using Dpu.Relay.Wire;

namespace Dpu.Relay.Flow;

// From the local program to the link.
internal sealed unsafe partial class Relay
{
    // So many bytes of frames wait for others of the same turn; larger ones are worth a message of their own.
    private const int MostHeldBack = 1024;

    private RelayBuffer _held;

    private bool PumpUp(byte* scratch)
    {
        for (int turn = 0; turn < Budget; turn++)
        {
            if (IsAway)
            {
                return false;
            }

            if (_linkWritable && _linkOwner.IsFull && !_linkOwner.TryFlush())
            {
                LinkIsFull();
            }

            if (_linkWritable && _held.Length >= MostHeldBack)
            {
                ReleaseOrWait();
                if (IsAway)
                {
                    return false;
                }
            }

            if (_toLink.Unsent > 0)
            {
                if (!Flush())
                {
                    return false;
                }

                continue;
            }

            if (OwesAck && _linkWritable)
            {
                SendAck();
                continue;
            }

            RelayFrameKind frame = _state.NextFrame;
            if (frame != RelayFrameKind.None)
            {
                RelayFrame.Write(new Span<byte>(scratch, RelayFrame.HeaderSize), frame, 0);
                bool goesOn = SendToLink(scratch, RelayFrame.HeaderSize);
                if (!_state.IsOver)
                {
                    Announce(frame);
                }

                if (!goesOn || _state.IsOver)
                {
                    return false;
                }
            }
            else if (_describing || !_linkWritable || !_localReadable || !_state.ReadsLocal || _toLink.Kept >= Window || !ReadLocal(scratch))
            {
                return false;
            }
        }

        return true;
    }

    // A frame counts as sent when the kernel has all of it.
    private void Announce(RelayFrameKind frame)
    {
        if (_toLink.Unsent > 0)
        {
            _announced = frame;
            return;
        }

        Do(_state.Sent(frame));
    }

    private bool ReadLocal(byte* scratch)
    {
        byte* content = scratch + RelayFrame.HeaderSize;
        int flags = 0;
        bool isMessage = false;
        int[]? descriptors = null;
        int read = _end != LocalEnd.Socket ? LocalFile.Read(_local, content, Chunk, _end)
            : _messages || _passing is null ? LocalSocket.Receive(_local, content, _messages ? RelayFrame.MaxContentSize : Chunk, out flags, out isMessage, out descriptors)
            : ReadStream(content, out flags, out descriptors);
        if ((flags & msg_flags.MSG_CTRUNC) != 0)
        {
            _hub.DescriptorsDropped(this, 1);
        }

        bool cut = (flags & msg_flags.MSG_TRUNC) != 0;
        if (descriptors is not null && (_passing is null || cut || read < 0))
        {
            _hub.DescriptorsDropped(this, descriptors.Length);
            Array.ForEach(descriptors, one => LibC.close(one));
            descriptors = null;
        }

        switch (read)
        {
            case > 0 when !cut:
            case 0 when _messages && (isMessage || Info.Kind == SocketKind.Datagram):
                Interlocked.Add(ref _sent, read);
                Moved(isFromHere: true, read);

                // Less than there was room for is all (epoll(7)), but for descriptors, before and behind which reading stops, for
                // files, which give what was written at once, and for the end.
                _localReadable = _messages || read == Chunk || descriptors is not null || _rightsAhead || _end != LocalEnd.Socket || _localHasEnd;
                RelayFrame.Write(new Span<byte>(scratch, RelayFrame.HeaderSize), RelayFrameKind.Data, read);
                if (descriptors is not null)
                {
                    Describe(descriptors, new ReadOnlySpan<byte>(scratch, RelayFrame.HeaderSize + read));
                    return false;
                }

                return SendToLink(scratch, RelayFrame.HeaderSize + read);
            case > 0:
                _hub.MessageTooLong(this);
                _state.LocalReset();
                return true;
            case 0:
                _state.LocalEnded();
                return true;
            case -errno.EAGAIN:
                _localReadable = false;
                return false;
            case -errno.EINTR:
                return true;
            default:
                // ECONNRESET: it was closed with data unread; ECONNREFUSED: nobody receives datagrams there any more.
                _state.LocalReset();
                return true;
        }
    }

    // One recvmsg(2) may give bytes that came without descriptors, and behind them those that came with some, without saying where
    // these begin (unix(7)). So it is looked first.
    private int ReadStream(byte* content, out int flags, out int[]? descriptors)
    {
        (flags, descriptors) = (0, null);
        int seen = LocalSocket.Peek(_local, content, Chunk, out bool rights);
        if (seen <= 0)
        {
            _rightsAhead = false;
            return seen;
        }

        if (!rights)
        {
            _rightsAhead = false;
            return (int)LibC.Result(sys_socket.recv(_local, content, (nuint)seen, msg_flags.MSG_DONTWAIT));
        }

        int plain = LocalSocket.StartOfLastPart(_local, content, seen);
        _rightsAhead = true;
        return LocalSocket.Receive(_local, content, plain > 0 ? plain : Chunk, out flags, out _, out descriptors);
    }

    // False where the link has ended. What does not go at once waits in memory, and nothing more is read meanwhile.
    private bool SendToLink(byte* bytes, int size)
    {
        while (true)
        {
            int sent = Give(bytes, size);
            switch (sent)
            {
                case >= 0:
                    _toLink.Add(new ReadOnlySpan<byte>(bytes, size), sent);
                    return true;
                case -errno.EINTR:
                    continue;
                case -errno.EAGAIN:
                    LinkIsFull();
                    _toLink.Add(new ReadOnlySpan<byte>(bytes, size), 0);
                    return true;
                default:
                    _toLink.Add(new ReadOnlySpan<byte>(bytes, size), 0);
                    LinkTakesNoMore(sent);
                    return false;
            }
        }
    }

    // As send(2). What the link has taken and its socket has not goes when that has room. What is small waits for what follows it at once, as an end
    // follows the last data: each message that goes by itself may wake the other end. Where the link is lost it is sent again as all the rest.
    private int Give(byte* bytes, int size)
    {
        if (_state.IsLasting && size <= MostHeldBack && _linkWritable && _state.NextFrame != RelayFrameKind.Reset)
        {
            _held.Add(new ReadOnlySpan<byte>(bytes, size));
            return size;
        }

        int error = Release();
        if (error < 0)
        {
            return error;
        }

        int sent = _linkOwner.Send(bytes, size);
        if (_linkOwner.IsFull)
        {
            LinkIsFull();
        }

        return sent;
    }

    // Sends what is held back: 0, or a negated errno; EAGAIN where the link takes no more of it now.
    private int Release()
    {
        while (_held.Length > 0)
        {
            int sent;
            fixed (byte* bytes = _held.Bytes)
            {
                // SAFETY: pinned for the call, with its length.
                sent = _linkOwner.Send(bytes, _held.Length);
            }

            switch (sent)
            {
                case >= 0:
                    _held.Gone(sent);
                    break;
                case -errno.EINTR:
                    continue;
                case -errno.EAGAIN:
                    return sent;
                default:
                    _held.Free();
                    return sent;
            }
        }

        return 0;
    }

    private void ReleaseOrWait()
    {
        int error = Release();
        if (error == -errno.EAGAIN || (error == 0 && _linkOwner.IsFull))
        {
            LinkIsFull();
        }
        else if (error < 0)
        {
            LinkTakesNoMore(error);
        }
    }

    private bool Flush()
    {
        while (_linkWritable)
        {
            int sent;
            ReadOnlySpan<byte> next = _toLink.Next;
            fixed (byte* bytes = next)
            {
                // SAFETY: pinned for the call, with its length.
                sent = Give(bytes, next.Length);
            }

            switch (sent)
            {
                case >= 0:
                    _toLink.Sent(sent);
                    break;
                case -errno.EINTR:
                    continue;
                case -errno.EAGAIN:
                    LinkIsFull();
                    return false;
                default:
                    LinkTakesNoMore(sent);
                    return false;
            }

            if (_toLink.Unsent == 0)
            {
                RelayFrameKind frame = _announced;
                _announced = RelayFrameKind.None;
                Do(_state.Sent(frame));
                return !_state.IsOver;
            }
        }

        return false;
    }
}
