using Dpu.Linux;
using Dpu.Relay.Wire;

namespace Dpu.Relay.Flow;

// From the local program to the link.
internal sealed unsafe partial class Relay
{
    private bool PumpUp(byte* scratch)
    {
        for (int turn = 0; turn < Budget; turn++)
        {
            if (IsAway)
            {
                return false;
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
            else if (!_linkWritable || !_localReadable || !_state.ReadsLocal || _toLink.Kept >= Window || !ReadLocal(scratch))
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
        int read = LocalSocket.Receive(_local, content, _messages ? RelayFrame.MaxContentSize : Chunk, out bool cut, out bool isMessage, out int descriptors);
        if (descriptors > 0)
        {
            _hub.DescriptorsDropped(this, descriptors);
        }

        switch (read)
        {
            case > 0 when !cut:
            case 0 when _messages && (isMessage || Info.Kind == SocketKind.Datagram):
                Interlocked.Add(ref _sent, read);

                // Less than there was room for is all (epoll(7)), but for descriptors, behind which reading stops, and for the end.
                _localReadable = _messages || read == Chunk || descriptors > 0 || _localHasEnd;
                RelayFrame.Write(new Span<byte>(scratch, RelayFrame.HeaderSize), RelayFrameKind.Data, read);
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

    // False where the link has ended. What does not go at once waits in memory, and nothing more is read meanwhile.
    private bool SendToLink(byte* bytes, int size)
    {
        while (true)
        {
            int sent = (int)LibC.Result(sys_socket.send(_link, bytes, (nuint)size, msg_flags.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT));
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

    private bool Flush()
    {
        while (_linkWritable)
        {
            int sent;
            ReadOnlySpan<byte> next = _toLink.Next;
            fixed (byte* bytes = next)
            {
                // SAFETY: pinned for the call, with its length.
                sent = (int)LibC.Result(sys_socket.send(_link, bytes, (nuint)next.Length, msg_flags.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT));
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
