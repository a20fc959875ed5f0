using Dpu.Relay.Wire;

namespace Dpu.Relay.Flow;

/// <summary>What is to be done to the local socket after something has happened.</summary>
internal enum RelayStep
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>shutdown(SHUT_WR): its program reads the end.</summary>
    ShutWrite,

    /// <summary>shutdown(SHUT_RD): its program gets EPIPE.</summary>
    ShutRead,

    /// <summary>Both directions are over: close it, and the link's connection.</summary>
    Close,

    /// <summary>The other end has broken off, or cannot be reached: close it without reading what is left, so that its program is told (ECONNRESET).</summary>
    Abort,
}

/// <summary>
/// One end of a relay, without any I/O: what was said by the local program and by the other end, and what follows from it. The two
/// directions end for themselves, as those of a socket do.
/// </summary>
/// <remarks>
/// Who drives it keeps the order: a frame that <see cref="NextFrame"/> names is sent after all data read before, and a frame from the
/// link is told when all data before it are with the local socket.
/// </remarks>
internal struct RelayState
{
    private bool _localEnded;
    private bool _endSent;
    private bool _linkEnded;
    private bool _localStopped;
    private bool _stopSent;
    private bool _linkStopped;
    private bool _resetDue;

    /// <summary>A relay that outlives its link: it ends when each end knows that the other has everything (<see cref="Settle"/>).</summary>
    public static RelayState Lasting => new() { IsLasting = true };

    /// <summary>Whether it is one that outlives its link.</summary>
    public bool IsLasting { get; private init; }

    /// <summary>Whether the relay is over.</summary>
    public bool IsOver { get; private set; }

    /// <summary>Whether the local socket is to be read.</summary>
    public readonly bool ReadsLocal => !_localEnded && !_resetDue && !IsOver;

    /// <summary>Whether data from the link go to the local socket; else they are dropped.</summary>
    public readonly bool WritesLocal => !_localStopped && !_resetDue && !IsOver;

    /// <summary>Whether the link is to be read.</summary>
    public readonly bool ReadsLink => !_resetDue && !IsOver;

    /// <summary>Whether all that the other end has to say was said.</summary>
    public readonly bool LinkEnded => _linkEnded;

    /// <summary>The frame that is to be sent now, if any.</summary>
    public readonly RelayFrameKind NextFrame =>
        IsOver ? RelayFrameKind.None
        : _resetDue ? RelayFrameKind.Reset
        : _localStopped && !_stopSent && !_linkEnded ? RelayFrameKind.Stop
        : _localEnded && !_endSent ? RelayFrameKind.End
        : RelayFrameKind.None;

    /// <summary>The local program writes no more: its data have been read to the end.</summary>
    public void LocalEnded() => _localEnded = true;

    /// <summary>The local program reads no more.</summary>
    public void LocalStopped() => _localStopped = true;

    /// <summary>The local connection broke off.</summary>
    public void LocalReset() => _resetDue = true;

    /// <summary>A frame is with the link.</summary>
    public RelayStep Sent(RelayFrameKind frame)
    {
        switch (frame)
        {
            case RelayFrameKind.Reset:
                IsOver = true;
                return RelayStep.Abort;
            case RelayFrameKind.Stop:
                _stopSent = true;
                return RelayStep.None;
            case RelayFrameKind.End:
                _endSent = true;
                return CloseIfDone(RelayStep.None);
            default:
                return RelayStep.None;
        }
    }

    /// <summary>A frame without data has come.</summary>
    public RelayStep Received(RelayFrameKind frame)
    {
        if (IsOver || _resetDue)
        {
            return RelayStep.None;
        }

        switch (frame)
        {
            case RelayFrameKind.End when !_linkEnded:
                _linkEnded = true;
                return CloseIfDone(_localStopped ? RelayStep.None : RelayStep.ShutWrite);
            case RelayFrameKind.Stop when !_linkStopped:
                _linkStopped = true;
                return _localEnded ? RelayStep.None : RelayStep.ShutRead;
            case RelayFrameKind.Reset:
                return Broken();
            default:
                // Said twice, or in the wrong place: the peer does not keep to it.
                return Broken();
        }
    }

    /// <summary>Whether the other end is known to have all that was sent, and to know that all it sent has come.</summary>
    public RelayStep Settle(bool settled) => settled && !IsOver ? CloseIfDone(RelayStep.None, settled: true) : RelayStep.None;

    /// <summary>The link does not come back. Where both programs have ended nothing more can be told.</summary>
    public RelayStep LinkGone() => CloseIfDone(RelayStep.None, settled: true) == RelayStep.Close ? RelayStep.Close : Broken();

    /// <summary>The link's connection has ended for good, or the peer broke the protocol.</summary>
    public RelayStep Broken()
    {
        IsOver = true;
        return RelayStep.Abort;
    }

    private RelayStep CloseIfDone(RelayStep otherwise, bool settled = false)
    {
        if (!_endSent || !_linkEnded || (IsLasting && !settled))
        {
            return otherwise;
        }

        IsOver = true;
        return RelayStep.Close;
    }
}
