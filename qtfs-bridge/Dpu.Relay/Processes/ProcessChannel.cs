using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Relay.Flow;

namespace Dpu.Relay.Processes;

/// <summary>What a <see cref="ProcessChannel"/> tells its owner, on the loop's thread, which must not be kept.</summary>
public interface IProcessChannelOwner
{
    /// <summary>A frame that is not the streams' own has come.</summary>
    void FrameCame(ProcessFrameKind kind, ReadOnlySpan<byte> content);

    /// <summary>The connection has ended, and why where it was the other end's fault; the streams wait for another one.</summary>
    void LinkLost(string? violation);

    /// <summary>Bytes have gone on, or streams have ended.</summary>
    void Moved();

    /// <summary>A descriptor's local end failed with that errno, as a file on a full disk does: what was on its way is lost, and nothing more goes that way.</summary>
    void StreamFailed(int number, int error);

    /// <summary>What <see cref="ProcessChannel.Watch"/> was given can be read.</summary>
    void Readable();
}

/// <summary>
/// One process at one end of the link: its streams and its connection, where there is one. Goes on without it, within the pipes' bounds. What is
/// under way is never lost nor doubled, whichever end or link dies (<see cref="JournaledPipe"/>). Public calls from any thread.
/// </summary>
public sealed unsafe partial class ProcessChannel : ILoopSource, IDisposable
{
    private const uint LinkSide = RelayLoop.MaxSides - 1;
    private const uint WatchedSide = RelayLoop.MaxSides - 2;
    private const uint LinkEvents = epoll.EPOLLIN | epoll.EPOLLRDHUP | epoll.EPOLLET;

    // Frames of the link that are read before others have their turn.
    private const int Budget = 16;

    private readonly IProcessChannelOwner _owner;
    private readonly RelayLoop _loop;
    private readonly List<ProcessStream> _streams;
    private uint _slot;
    private bool _entered;
    private bool _left;
    private SafeHandle? _watched;
    private IRelayLink? _link;
    private ExecConnection? _connection;

    // The last frame was Forget: this end says nothing more of the process on that connection.
    private bool _hasParted;
    private bool _linkReadable;
    private bool _linkWritable;
    private RelayBuffer _out;
    private RelayBuffer _in;
    private int _dataLeft;
    private int _dataStream;
    private ulong _dataPosition;
    private bool _ticks;

    internal ProcessChannel(RelayLoop loop, IProcessChannelOwner owner, List<ProcessStream> streams)
    {
        (_loop, _owner, _streams) = (loop, owner, streams);
        streams.ForEach(stream => stream.Failed = (failed, error) => owner.StreamFailed(failed.Number, error));
    }

    /// <summary>Whether all streams are over. On the loop's thread.</summary>
    public bool AreStreamsOver => _streams.TrueForAll(stream => stream.IsOver);

    /// <summary>Whether there is a connection. On the loop's thread.</summary>
    public bool IsConnected => _link is not null;

    /// <summary>Bytes of frames that wait for the link. On the loop's thread.</summary>
    public int Unsent => _out.Length;

    /// <summary>Bytes that have left this machine, and that have come to it.</summary>
    public (ulong Sent, ulong Received) Bytes => (Sum(sends: true), Sum(sends: false));

    /// <summary>Begins; from here on the owner is called.</summary>
    public void Begin() => _loop.Add(this);

    /// <summary>Has something done on the loop's thread; where the channel has ended, something else, or nothing.</summary>
    public void Post(Action action, Action? otherwise = null) => _loop.Post(() =>
    {
        if (_left)
        {
            otherwise?.Invoke();
            return;
        }

        action();
        Wake();
    });

    /// <summary>Goes on with a connection of service <c>exec</c>, after what is said first; an older one ends. It is the channel's own from now on.</summary>
    public void Connect(ExecConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        Connect(connection.Polled, connection);
    }

    internal void Connect(IRelayLink link, ExecConnection? connection = null) => _loop.Post(() =>
    {
        if (_left)
        {
            link.Dispose();
            return;
        }

        DropLink();
        _ = LibC.SetNonBlocking(link.Descriptor);
        (_link, _connection) = (link, connection);
        (_linkReadable, _linkWritable) = (true, true);
        foreach (ProcessStream stream in _streams)
        {
            stream.Reconnected();
        }

        if (_entered && _loop.Watch(link.Descriptor, LinkEvents, _slot, LinkSide) < 0)
        {
            Lose(null);
        }

        Wake();
    });

    /// <summary>Tells the owner each time that something comes on a descriptor, which must stay open while it is watched; closing it ends that.</summary>
    public void Watch(SafeHandle descriptor) => Post(() =>
    {
        if (descriptor.IsClosed)
        {
            return;
        }

        _watched = descriptor;
        if (_loop.Watch((int)descriptor.DangerousGetHandle(), epoll.EPOLLIN | epoll.EPOLLRDHUP | epoll.EPOLLET, _slot, WatchedSide) >= 0)
        {
            _owner.Readable();
        }
    });

    /// <summary>Ends the connection; the streams wait for another one.</summary>
    public void Disconnect() => Post(() => Lose(null));

    /// <summary>Sends a frame; without a connection it is lost. On the loop's thread.</summary>
    public void Send(ProcessFrameKind kind, ReadOnlySpan<byte> content)
    {
        if (_link is null)
        {
            return;
        }

        _hasParted = kind == ProcessFrameKind.Forget;
        ProcessFrame.Write(_out.Room(ProcessFrame.HeaderSize), kind, content.Length);
        _out.Filled(ProcessFrame.HeaderSize);
        _out.Add(content);
        Wake();
    }

    /// <summary>Ends it: the connection, and the local ends of all streams.</summary>
    public void Dispose() => End(() => { });

    /// <inheritdoc/>
    void ILoopSource.Enter(RelayLoop loop, uint slot)
    {
        (_slot, _entered) = (slot, true);
        foreach (ProcessStream stream in _streams)
        {
            stream.Watch(loop, slot);
        }

        if (_link is not null && loop.Watch(_link.Descriptor, LinkEvents, slot, LinkSide) < 0)
        {
            Lose(null);
        }
    }

    /// <inheritdoc/>
    void ILoopSource.Ready(uint events, uint side)
    {
        if (side != LinkSide)
        {
            if (side == WatchedSide)
            {
                _owner.Readable();
            }
            else if (side < _streams.Count)
            {
                _streams[(int)side].Ready(events);
            }

            return;
        }

        _linkReadable |= (events & ~epoll.EPOLLOUT) != 0;
        if ((events & epoll.EPOLLOUT) != 0 && !_linkWritable && _link is not null)
        {
            _linkWritable = true;
            _loop.Change(_link.Descriptor, LinkEvents, _slot, LinkSide);
        }
    }

    /// <inheritdoc/>
    bool ILoopSource.Work(byte* scratch)
    {
        bool more = ReadLink(scratch);
        foreach (ProcessStream stream in _streams)
        {
            more |= stream.Work();
            _ticks |= stream.WaitsForTick;
        }

        CutTerminal();
        more |= WriteLink();
        if (_ticks && !_left)
        {
            _loop.TickLater(this, _slot);
            _ticks = false;
        }

        _owner.Moved();
        return more && !_left;
    }

    /// <inheritdoc/>
    void ILoopSource.Tick() => _streams.ForEach(stream => stream.Tick());

    /// <inheritdoc/>
    void ILoopSource.Leave()
    {
        _left = true;
        DropLink();
        _streams.ForEach(stream => stream.Dispose());
        if (_watched is { IsClosed: false })
        {
            _loop.Unwatch((int)_watched.DangerousGetHandle());
        }
    }

    private ulong Sum(bool sends)
    {
        ulong sum = 0;
        foreach (ProcessStream stream in _streams)
        {
            sum += stream.Sends == sends ? stream.Moved : 0;
        }

        return sum;
    }

    private void Wake()
    {
        if (_entered && !_left)
        {
            _loop.Schedule(this, _slot);
        }
    }

    private void DropLink()
    {
        if (_link is not null)
        {
            _loop.Unwatch(_link.Descriptor);
            _link.Dispose();
        }

        (_link, _connection, _hasParted) = (null, null, false);
        _out.Free();
        _in.Free();
        _dataLeft = 0;
    }

    private void Lose(string? violation)
    {
        if (_link is not null)
        {
            DropLink();
            _owner.LinkLost(violation);
        }
    }

    private bool ReadLink(byte* scratch)
    {
        for (int i = 0; i < Budget && _link is not null && _linkReadable; i++)
        {
            // SAFETY: the loop's scratch, of that size.
            long got = _link.Receive(scratch, RelayLoop.ScratchSize);
            if (got == -errno.EAGAIN)
            {
                _linkReadable = false;
            }
            else if (got is <= 0 and not -errno.EINTR)
            {
                Lose(null);
            }
            else if (got > 0 && !Parse(scratch, (int)got))
            {
                Lose("a frame of a process that does not fit");
            }
        }

        return _link is not null && _linkReadable;
    }

    private bool Parse(byte* bytes, int size)
    {
        int at = 0;
        while (at < size && _link is not null)
        {
            if (_dataLeft > 0)
            {
                // The bytes of a stream go into their pipe as they come.
                int some = Math.Min(_dataLeft, size - at);
                _streams[_dataStream].Take(_dataPosition, bytes + at, some);
                at += some;
                _dataLeft -= some;
                _dataPosition += (ulong)some;
                continue;
            }

            int wanted = ProcessFrame.HeaderSize;
            if (_in.Length >= wanted)
            {
                wanted += MemoryMarshal.Read<int>(_in.Bytes);
            }

            int part = Math.Min(wanted - _in.Length, size - at);
            _in.Add(new ReadOnlySpan<byte>(bytes + at, part));
            at += part;
            if (_in.Length == wanted && !Take())
            {
                return false;
            }
        }

        return true;
    }

    // A header, or a whole frame, is there.
    private bool Take()
    {
        if (!ProcessFrame.TryRead(_in.Bytes, out ProcessFrameKind kind, out int size, out int stream, out byte flags, out ulong position))
        {
            return false;
        }

        if (kind is ProcessFrameKind.Data or ProcessFrameKind.Ack or ProcessFrameKind.End)
        {
            _in.Free();
            if (stream >= _streams.Count)
            {
                return false;
            }

            switch (kind)
            {
                case ProcessFrameKind.Data:
                    (_dataLeft, _dataStream, _dataPosition) = (size, stream, position);
                    return _streams[stream].MayTake(position);
                case ProcessFrameKind.Ack:
                    return _streams[stream].Acknowledged(position, (ProcessAckFlags)flags);
                default:
                    return _streams[stream].EndAt(position);
            }
        }

        if (_in.Length == ProcessFrame.HeaderSize + size)
        {
            byte[] content = _in.Bytes[ProcessFrame.HeaderSize..].ToArray();
            _in.Free();
            _owner.FrameCame(kind, content);
        }

        return true;
    }

    private bool WriteLink()
    {
        bool more = false;
        Span<byte> header = stackalloc byte[ProcessFrame.HeaderSize];
        while (_link is not null && _linkWritable && Flush())
        {
            bool any = false;
            foreach (ProcessStream stream in _streams)
            {
                // A part of a frame is not acknowledged: the other end would send the rest, which is on its way, again.
                if (_dataLeft > 0 && stream.Index == _dataStream)
                {
                    continue;
                }

                if (stream.NextFrame(header, out int data) != ProcessFrameKind.None)
                {
                    any |= Put(stream, header, data);
                }
            }

            if (!any)
            {
                break;
            }

            more = true;
        }

        return more;
    }

    // False where it has to wait.
    private bool Put(ProcessStream stream, ReadOnlySpan<byte> header, int data)
    {
        Span<byte> room = _out.Room(header.Length + data);
        header.CopyTo(room);
        if (data > 0)
        {
            int skipped = (int)(stream.Sent - stream.Pipe.First);
            int copied = stream.Pipe.Peek(room.Slice(header.Length, data), skipped);
            if (copied == 0 && skipped > 0)
            {
                // A machine whose limits leave the copy no room for those before them (pipe-user-pages-soft).
                return false;
            }

            if (copied <= 0)
            {
                throw new IOException($"bytes that wait in a pipe could not be copied: errno {-copied}");
            }

            // tee(2) may stop before the last ones.
            ProcessFrame.Write(room, ProcessFrameKind.Data, copied, stream.Index, 0, stream.Sent);
            stream.Went(copied);
            data = copied;
        }

        _hasParted = false;
        _out.Filled(header.Length + data);
        return true;
    }

    /// <summary>Writes what waits; whether all is gone.</summary>
    private bool Flush()
    {
        while (_out.Length > 0 || _link!.IsFull)
        {
            fixed (byte* bytes = _out.Bytes)
            {
                // SAFETY: pinned, with its length.
                long gone = !_link!.TryFlush() ? -errno.EAGAIN : _out.Length == 0 ? 0 : _link.Send(bytes, _out.Length);
                if (gone == -errno.EAGAIN)
                {
                    _linkWritable = false;
                    _loop.Change(_link.Descriptor, LinkEvents | epoll.EPOLLOUT, _slot, LinkSide);
                    return false;
                }

                if (_out.Length == 0)
                {
                    break;
                }

                if (gone is <= 0 and not -errno.EINTR)
                {
                    Lose(null);
                    return false;
                }

                _out.Gone((int)Math.Max(0, gone));
            }
        }

        return true;
    }
}
