using Dpu.Linux;
using Dpu.Relay.Wire;

namespace Dpu.Relay.Flow;

// What makes a relay outlive the connection that carries it.
internal sealed unsafe partial class Relay
{
    /// <summary>Bytes that one end sends without knowing that they have been used up.</summary>
    private const int Window = 512 << 10;

    // Acknowledged at once from here on; less when it has been quiet.
    private const int AckEvery = 128 << 10;

    // What an honest peer sends at most: a window, as much again after a resumption, and a message.
    private const int MostHeld = (2 * Window) + RelayFrame.HeaderSize + RelayFrame.MaxContentSize;

    private int _unskimmed;
    private int _skimLeft;
    private ulong _come;
    private ulong _used;
    private ulong _acked;
    private bool _waitsForTick;
    private bool _ackNow;
    private ITimer? _awayLimit;
    private volatile bool _away;
    private volatile bool _hasLeft;

    /// <summary>How it outlives its link; null where it does not.</summary>
    public RelayContinuity? Continuity { get; }

    /// <summary>Bytes that it keeps until the other end says to have them; of one moment, from any thread.</summary>
    public int Kept => _toLink.Kept;

    /// <summary>Whether it is over.</summary>
    public bool HasLeft
    {
        get => _hasLeft;
        private set => _hasLeft = value;
    }

    /// <summary>Whether it has no connection.</summary>
    public bool IsAway
    {
        get => _away;
        private set => _away = value;
    }

    private bool OwesAck => _used != _acked && (_ackNow || _used - _acked >= AckEvery || _state.LinkEnded);

    /// <inheritdoc/>
    public void Tick()
    {
        _waitsForTick = false;
        _ackNow = _used != _acked;
    }

    /// <summary>It goes on with another connection; from any thread.</summary>
    /// <param name="link">The connection.</param>
    /// <param name="received">How many bytes of frames the other end has.</param>
    /// <param name="answer">Whether it is to say first how many have come here.</param>
    public void Resume(IRelayLink link, ulong received, bool answer) => Home.Post(() =>
    {
        if (_state.IsOver)
        {
            link.Dispose();
            return;
        }

        // The other end has noticed first.
        LeaveLink();
        (_linkOwner, _link, _isSecondLink) = (link, link.Descriptor, true);
        _awayLimit?.Dispose();
        _awayLimit = null;
        if (!_toLink.TryRewind(received))
        {
            _hub.Violated(this, "it has of a relay what was not sent");
            Do(_state.Broken());
            return;
        }

        IsAway = false;
        _linkReadable = _linkWritable = true;

        // What was said last may not have come.
        _ackNow = true;
        _acked = 0;
        if ((answer && !Say(RelayFrameKind.Resumed, _come)) || _loop!.Watch(_link, Events, _slot, LinkSide) < 0)
        {
            LinkLost();
            return;
        }

        _hub.Resumed(this);
        _loop!.Schedule(this, _slot);
    });

    /// <summary>There will be no other connection; from any thread.</summary>
    public void GiveUp() => Home.Post(() =>
    {
        if (!_state.IsOver && IsAway)
        {
            Do(_state.LinkGone());
        }
    });

    // Broken off here, which the other end is told where that can be; else it waits in vain for a while.
    private void BreakOff()
    {
        if (!_state.IsOver)
        {
            TellReset();
            Do(_state.Broken());
        }
    }

    private void TellReset()
    {
        if (_state.IsLasting && !IsAway && _toLink.Unsent == 0 && Release() == 0)
        {
            byte* frame = stackalloc byte[RelayFrame.HeaderSize];
            RelayFrame.Write(new Span<byte>(frame, RelayFrame.HeaderSize), RelayFrameKind.Reset, 0);

            // SAFETY: bytes on this stack. Nothing follows.
            _ = _linkOwner.Send(frame, RelayFrame.HeaderSize);
        }
    }

    // What has come before may still be read: that the other end broke it off, perhaps.
    private void LinkTakesNoMore(int error)
    {
        if (!_state.IsLasting || error is not (-errno.EPIPE or -errno.ECONNRESET))
        {
            LinkLost();
            return;
        }

        _linkWritable = false;
        _linkReadable = true;
        _linkHasEnd = true;
    }

    private void LinkLost()
    {
        if (Continuity is not { } continuity)
        {
            Do(_state.Broken());
            return;
        }

        // What came last may have settled it.
        SettleUp();
        if (IsAway || _state.IsOver)
        {
            return;
        }

        LeaveLink();
        if (_hub.IsSuperseded(this))
        {
            Do(_state.LinkGone());
            return;
        }

        _awayLimit = _hub.Time.CreateTimer(_ => GiveUp(), null, continuity.Within, Timeout.InfiniteTimeSpan);
        continuity.Redial?.Invoke(new LostRelay(this, _come));
    }

    private void LeaveLink()
    {
        if (IsAway)
        {
            return;
        }

        _linkOwner.Dispose();
        _held.Free();
        _link = -1;
        IsAway = true;
        _linkReadable = _linkWritable = _linkHasEnd = false;

        // Of a header that has come in part; it comes again.
        _fromLink.Cut(_fromLink.Length - _unskimmed);
        _unskimmed = 0;
    }

    /// <summary>Takes the acknowledgements out of what has come; how many bytes are left, of which the last may be part of a header.</summary>
    private int Skim(Span<byte> fresh)
    {
        int at = 0;
        int count = fresh.Length;
        _unskimmed = 0;
        while (!_state.IsOver && at < count)
        {
            if (_skimLeft > 0)
            {
                int step = Math.Min(_skimLeft, count - at);
                at += step;
                _come += (ulong)step;
                _skimLeft -= step;
                continue;
            }

            if (count - at < RelayFrame.HeaderSize)
            {
                break;
            }

            if (!RelayFrame.TryRead(fresh[at..], out RelayFrameKind kind, out int length) || (kind == RelayFrameKind.Ack && !_state.IsLasting))
            {
                Do(_state.Broken());
                break;
            }

            if (kind == RelayFrameKind.Next)
            {
                // The other end knows that this relay is over here, which what came just before has said.
                _behind = fresh[at..count].ToArray();
                SettleUp();
                if (_state.IsOver)
                {
                    return at;
                }

                _hub.Violated(this, "it asked for another relay before the end of this one");
                Do(_state.Broken());
                break;
            }

            if (kind != RelayFrameKind.Ack)
            {
                at += RelayFrame.HeaderSize;
                _come += RelayFrame.HeaderSize;
                _skimLeft = length;
                continue;
            }

            if (count - at < RelayFrame.CountedSize)
            {
                break;
            }

            if (!_toLink.TryAcknowledge(RelayFrame.TotalOf(fresh[at..])))
            {
                _hub.Violated(this, "it acknowledged what was not sent");
                Do(_state.Broken());
                break;
            }

            fresh[(at + RelayFrame.CountedSize)..count].CopyTo(fresh[at..]);
            count -= RelayFrame.CountedSize;
        }

        _unskimmed = count - at;
        return count;
    }

    // So many bytes that had come are used up.
    private void Used(int count)
    {
        if (!_state.IsLasting || count == 0)
        {
            return;
        }

        _used += (uint)count;
        if (!_waitsForTick)
        {
            _waitsForTick = true;
            _loop!.TickLater(this, _slot);
        }
    }

    private void SendAck()
    {
        if (Say(RelayFrameKind.Ack, _used))
        {
            _acked = _used;
            _ackNow = false;
        }
    }

    // Between frames; false where the link takes no more.
    private bool Say(RelayFrameKind kind, ulong total)
    {
        byte* frame = stackalloc byte[RelayFrame.CountedSize];
        RelayFrame.Counted(new Span<byte>(frame, RelayFrame.CountedSize), kind, total);
        int sent;
        do
        {
            // SAFETY: bytes on this stack.
            sent = Give(frame, RelayFrame.CountedSize);
        }
        while (sent == -errno.EINTR);
        switch (sent)
        {
            case RelayFrame.CountedSize:
                return true;
            case -errno.EAGAIN:
                LinkIsFull();
                return false;
            case < 0:
                LinkTakesNoMore(sent);
                return false;
            default:
                // A part, which cannot be told from what follows: another connection begins between frames again.
                LinkLost();
                return false;
        }
    }

    // Over only when each end knows that the other has everything.
    private void SettleUp()
    {
        if (_state.IsLasting && !_state.IsOver && !IsAway)
        {
            Do(_state.Settle(_toLink.IsSettled && _used == _acked && _held.Length == 0));
        }
    }
}
