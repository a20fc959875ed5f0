using Dpu.Linux;
using Dpu.Relay.Wire;

namespace Dpu.Relay.Flow;

// From the link to the local program.
internal sealed unsafe partial class Relay
{
    private bool PumpDown(byte* scratch)
    {
        for (int turn = 0; turn < Budget; turn++)
        {
            if (_making)
            {
                return false;
            }

            if (_fromLink.Length > _unskimmed)
            {
                int used;
                fixed (byte* held = _fromLink.Bytes)
                {
                    used = Feed(held, _fromLink.Length - _unskimmed, out bool waits);
                    if (_state.IsOver)
                    {
                        return false;
                    }

                    Used(used);
                    _fromLink.Gone(used);
                    if (waits && (!_state.IsLasting || _fromLink.Length >= MostHeld))
                    {
                        return false;
                    }
                }
            }

            if (!_linkReadable || !_state.ReadsLink || IsAway)
            {
                return false;
            }

            if (!ReadLink(scratch))
            {
                return false;
            }
        }

        return true;
    }

    private bool ReadLink(byte* scratch)
    {
        // Behind what is there already: part of a header or of a message, or what waits for the program.
        bool behind = _fromLink.Length > 0;
        Span<byte> room = behind ? _fromLink.Room(Math.Max(Chunk, _inFrame ? _left - _fromLink.Length : 0)) : new Span<byte>(scratch, 2 * Chunk);
        int read;
        fixed (byte* bytes = room)
        {
            // SAFETY: pinned for the call, with its length.
            read = _linkOwner.Receive(bytes, room.Length);
        }

        switch (read)
        {
            case -errno.EAGAIN:
                _linkReadable = false;
                return false;
            case -errno.EINTR:
                return true;
            case <= 0:
                LinkLost();
                return false;
        }

        // Less than there was room for is all (epoll(7)), but for the end.
        _linkReadable = read == room.Length || _linkHasEnd;
        if (behind)
        {
            int before = _fromLink.Length - _unskimmed;
            _fromLink.Filled(read);
            _fromLink.Cut(before + Skim(_fromLink.Bytes[before..]));
            return !_state.IsOver;
        }

        read = Skim(new Span<byte>(scratch, read));
        if (_state.IsOver)
        {
            return false;
        }

        int used = Feed(scratch, read - _unskimmed, out bool waits);
        if (_state.IsOver)
        {
            return false;
        }

        Used(used);
        if (used < read)
        {
            _fromLink.Add(new ReadOnlySpan<byte>(scratch + used, read - used));
        }

        return !waits || _state.IsLasting;
    }

    /// <summary>Takes frames; returns how many bytes were used, and whether the rest waits for the local program.</summary>
    private int Feed(byte* bytes, int count, out bool waits)
    {
        waits = false;
        int at = 0;
        while (!_state.IsOver)
        {
            if (!_inFrame)
            {
                if (count - at < RelayFrame.HeaderSize)
                {
                    return at;
                }

                if (!RelayFrame.TryRead(new ReadOnlySpan<byte>(bytes + at, RelayFrame.HeaderSize), out RelayFrameKind kind, out _left))
                {
                    Do(_state.Broken());
                    return at;
                }

                at += RelayFrame.HeaderSize;
                _isRights = kind == RelayFrameKind.Rights;
                if (kind != RelayFrameKind.Data && !_isRights)
                {
                    Do(_state.Received(kind));
                    continue;
                }

                if (_state.LinkEnded)
                {
                    Do(_state.Broken());
                    return at;
                }

                _inFrame = true;
            }

            int ready = Math.Min(_left, count - at);
            if (_messages || _isRights ? ready < _left : ready == 0 && _left > 0)
            {
                return at;
            }

            if (_isRights)
            {
                (at, _left, _inFrame, _isRights) = (at + ready, 0, false, false);
                waits = Make(new ReadOnlySpan<byte>(bytes + at - ready, ready));
                if (waits)
                {
                    return at;
                }

                continue;
            }

            int sent = _state.WritesLocal && (_messages || ready > 0) ? SendLocal(bytes + at, ready) : ready;
            if (sent < 0)
            {
                waits = true;
                return at;
            }

            at += sent;
            _left -= sent;
            _inFrame = _left > 0;
        }

        return at;
    }

    // How many bytes have gone, be it into the void; below 0 where the program must read first.
    private int SendLocal(byte* bytes, int size)
    {
        if (!_localWritable)
        {
            return -1;
        }

        bool raised = false;
        while (true)
        {
            int sent = _end != LocalEnd.Socket ? LocalFile.Write(_local, bytes, size, _end) : LocalSocket.Send(_local, bytes, size, _speaker, _given);
            switch (sent)
            {
                case >= 0:
                    Interlocked.Add(ref _received, sent);
                    Moved(isFromHere: false, sent);
                    LetGo();
                    return sent;
                case -errno.EINTR:
                    continue;
                case -errno.EAGAIN:
                    LocalIsFull();
                    return -1;
                case -errno.EMSGSIZE when !raised:
                    // A message of a program that may send longer ones than the system's default.
                    raised = true;
                    _ = LocalSocket.SetOption(_localHandle, sys_socket.SO_SNDBUFFORCE, 2 * RelayFrame.MaxContentSize);
                    continue;
                case -errno.ETOOMANYREFS when _given is not null:
                    // Programs here hold too many in their sockets: the data go without.
                    _hub.DescriptorsDropped(this, _given.Length);
                    LetGo();
                    continue;
                case -errno.EPIPE or -errno.ENOTCONN:
                    LocalStopped();
                    return size;
                default:
                    _state.LocalReset();
                    return size;
            }
        }
    }
}
