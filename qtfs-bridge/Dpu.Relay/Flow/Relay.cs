using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Wire;

namespace Dpu.Relay.Flow;

/// <summary>
/// One connection through the link: a local unix socket and a connection of the link that carries its <see cref="RelayFrame"/>s. Where one
/// side cannot take more the other is not read, so that the kernel's own buffers hold up who sends. Used by its loop's thread.
/// </summary>
/// <remarks>
/// A lasting relay (<see cref="RelayContinuity"/>) always reads the link, for acknowledgements come between the frames; the other end has at
/// most <see cref="Window"/> bytes, and a message, on their way to here.
/// </remarks>
internal sealed unsafe partial class Relay : ILoopSource
{
    /// <summary>Bytes of a stream that are moved at once: large enough that the calls do not count, small enough for the cache.</summary>
    private const int Chunk = 128 << 10;

    // Turns of one direction before others have theirs.
    private const int Budget = 16;
    // Programs that have taken so many turns are taken to go on so: each waits for the other.
    private const int Conversation = 8;
    private const uint LocalSide = 0;
    private const uint LinkSide = 1;
    private const uint Events = epoll.EPOLLIN | epoll.EPOLLRDHUP | epoll.EPOLLET;

    // Only while something waits for room: a unix socket tells of room each time that its other end has read.
    private const uint EventsWithRoom = Events | epoll.EPOLLOUT;

    private readonly SafeHandle _localHandle;
    private readonly RelayHub _hub;
    private readonly ucred? _speaker;
    private readonly bool _messages;
    private readonly IDescriptorPassing? _passing;
    private readonly LocalEnd _end;
    private readonly int _local;
    private IRelayLink _linkOwner;
    private int _link;
    private RelayLoop? _loop;
    private uint _slot;
    private RelayState _state;
    private RelayOutbox _toLink;
    private RelayBuffer _fromLink;
    private bool _localReadable = true;
    private bool _localWritable = true;
    private bool _linkReadable = true;
    private bool _linkWritable = true;
    private bool _localHasEnd;
    private bool _linkHasEnd;
    private RelayFrameKind _announced;
    private bool _inFrame;
    private int _left;
    private long _sent;
    private long _received;
    private int _turns;
    private bool _spokeLast;
    private bool _moved;
    private bool _broken;
    private bool _isSecondLink;
    private byte[]? _behind;
    private volatile bool _aborted;

    public Relay(
        RelayHub hub, long id, SafeHandle local, IRelayLink link, RelayInfo info, DateTimeOffset started, ucred? speaker, RelayContinuity? continuity, IDescriptorPassing? passing)
    {
        Continuity = continuity;
        _state = continuity is null ? default : RelayState.Lasting;
        _toLink = new RelayOutbox(continuity is not null);

        // Of datagrams the programs are behind another socket still (DatagramProxy).
        _passing = info.Kind == SocketKind.Datagram ? null : passing;
        _end = info.End;
        _hub = hub;
        Id = id;
        _localHandle = local;
        _linkOwner = link;
        Info = info;
        Started = started;
        _speaker = speaker;
        _messages = info.Kind != SocketKind.Stream;
        _local = (int)local.DangerousGetHandle();
        _link = link.Descriptor;
        if (_end == LocalEnd.FileToRead)
        {
            _state.LocalStopped();
        }
        else if (info.Kind == SocketKind.SeqPacket)
        {
            // Tells an empty message from the end: only the former has a sender.
            _ = LocalSocket.SetOption(local, sys_socket.SO_PASSCRED, 1);
        }
    }

    public long Id { get; }

    /// <summary>The loop that it was given to; before that nobody else knows of it.</summary>
    public RelayLoop Home { get; set; } = null!;

    public RelayInfo Info { get; }

    public DateTimeOffset Started { get; }

    /// <summary>Called once when it is over, on the loop's thread; true where it was not the programs that ended it.</summary>
    public Action<bool>? Ended { get; init; }

    /// <summary>
    /// Given the link when it can carry another relay, with what has come on it behind this one: when each end knows that the other has everything. On the
    /// loop's thread, last of all. Null where the link ends with the relay.
    /// </summary>
    public Action<IRelayLink, byte[]>? Spare { get; init; }

    public RelaySnapshot Snapshot() => new(Id, Info, Started, Interlocked.Read(ref _sent), Interlocked.Read(ref _received), IsAway);

    /// <summary>Breaks it off; from any thread.</summary>
    public void Abort()
    {
        // Before it has its loop: then it looks when it has.
        _aborted = true;
        Interlocked.MemoryBarrier();
        Volatile.Read(ref _loop)?.Post(BreakOff);
    }

    /// <inheritdoc/>
    public void Enter(RelayLoop loop, uint slot)
    {
        _slot = slot;
        Volatile.Write(ref _loop, loop);
        Interlocked.MemoryBarrier();
        if (_aborted || loop.Watch(_local, Events, slot, LocalSide) < 0 || loop.Watch(_link, Events, slot, LinkSide) < 0)
        {
            BreakOff();
        }
    }

    /// <inheritdoc/>
    public void Ready(uint events, uint side)
    {
        bool readable = (events & (epoll.EPOLLIN | epoll.EPOLLRDHUP | epoll.EPOLLHUP | epoll.EPOLLERR)) != 0;
        bool writable = (events & (epoll.EPOLLOUT | epoll.EPOLLHUP | epoll.EPOLLERR)) != 0;
        bool ends = (events & (epoll.EPOLLRDHUP | epoll.EPOLLHUP | epoll.EPOLLERR)) != 0;
        if (side == LinkSide)
        {
            // Of a connection that was lost meanwhile, perhaps: then it only looks in vain.
            _linkReadable |= readable;
            _linkHasEnd |= ends;
            if (readable)
            {
                _linkOwner.Tell();
            }

            if (writable && !_linkWritable && !IsAway)
            {
                _linkWritable = true;
                _loop!.Change(_link, Events, _slot, LinkSide);
            }

            return;
        }

        _localReadable |= readable;
        _localHasEnd |= ends;
        if (writable && !_localWritable)
        {
            _localWritable = true;
            _loop!.Change(_local, Events, _slot, LocalSide);
        }

        if ((events & epoll.EPOLLHUP) != 0 || (_end == LocalEnd.FileToWrite && ends))
        {
            // Closed, not only shut down for writing: it reads no more either.
            LocalStopped();
        }
    }

    // Of what is only written nothing else is to come: its end is told with that, for who has ended is heard no more.
    private void LocalStopped()
    {
        _state.LocalStopped();
        if (_end == LocalEnd.FileToWrite)
        {
            _state.LocalEnded();
        }
    }

    private void LinkIsFull()
    {
        _linkWritable = false;
        _loop!.Change(_link, EventsWithRoom, _slot, LinkSide);
    }

    private void LocalIsFull()
    {
        _localWritable = false;
        _loop!.Change(_local, EventsWithRoom, _slot, LocalSide);
    }

    /// <inheritdoc/>
    public bool Work(byte* scratch)
    {
        bool wasFull = _toLink.Kept >= Window;
        _moved = false;
        bool more = PumpUp(scratch);
        more |= !_state.IsOver && PumpDown(scratch);
        if (_held.Length > 0 && !_state.IsOver && !IsAway && _linkWritable)
        {
            ReleaseOrWait();
        }

        SettleUp();
        if (_moved && _turns >= Conversation)
        {
            _loop!.Expect();
        }

        // What has come may call for a frame, or make room for more.
        return !_state.IsOver && !IsAway
            && (more || (wasFull && _toLink.Kept < Window && _localReadable) || ((_state.NextFrame != RelayFrameKind.None || OwesAck) && _toLink.Unsent == 0 && _linkWritable));
    }

    /// <inheritdoc/>
    public void Leave()
    {
        bool broken = !_state.IsOver || _broken;
        bool spares = Spare is not null && !broken && !IsAway && !_isSecondLink && !_linkHasEnd && _toLink.IsSettled && _used == _acked && !_linkOwner.IsFull;
        if (!_state.IsOver)
        {
            TellReset();
        }

        _ = _state.Broken();
        HasLeft = true;
        _awayLimit?.Dispose();
        _localHandle.Dispose();
        if (spares)
        {
            // What is left is behind the last acknowledgement.
            _behind ??= _fromLink.Bytes.ToArray();
            _loop!.Unwatch(_link);
        }
        else
        {
            _linkOwner.Dispose();
        }

        _toLink.Free();
        _fromLink.Free();
        _held.Free();
        _gone = true;
        LetGo();
        _hub.Ended(this, broken, _sent, _received);
        Ended?.Invoke(broken);
        if (spares)
        {
            Spare!(_linkOwner, _behind!);
        }
    }

    // Data have gone one way. What fills a chunk is no turn of a conversation, and nobody's answer is near.
    private void Moved(bool isFromHere, int size)
    {
        _moved = true;
        _turns = size >= Chunk ? 0 : _turns + (_spokeLast != isFromHere && _turns < Conversation ? 1 : 0);
        _spokeLast = isFromHere;
    }

    private void Do(RelayStep step)
    {
        switch (step)
        {
            case RelayStep.ShutRead or RelayStep.ShutWrite when _end != LocalEnd.Socket:
                // A pipe has one direction; what is said of the other one is nothing new.
                if (_end == (step == RelayStep.ShutRead ? LocalEnd.FileToRead : LocalEnd.FileToWrite))
                {
                    _state.LocalEnded();
                }

                break;
            case RelayStep.ShutWrite:
                _ = sys_socket.shutdown(_localHandle, sys_socket.SHUT_WR);
                break;
            case RelayStep.ShutRead:
                _ = sys_socket.shutdown(_localHandle, sys_socket.SHUT_RD);
                _localReadable = true;
                break;
            case RelayStep.Close or RelayStep.Abort:
                _broken = step == RelayStep.Abort;
                _loop!.Remove(this, _slot);
                break;
            default:
                break;
        }
    }
}
