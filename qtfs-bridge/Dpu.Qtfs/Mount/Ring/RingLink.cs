using Dpu.Fuse.Ring;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount.Ring;

/// <summary>
/// A ring lane's way to the host: requests that wait for it, those that were sent, and the connection of the moment.
/// The host answers one after the other; here any order is understood. Used by the lane's thread, but for
/// <see cref="Cut"/> and the dialling.
/// </summary>
internal sealed unsafe partial class RingLink : IDisposable
{
    // As a lane that blocks does it (MountLane): a request that breaks its connection this often breaks the host.
    private const int MaxRepeats = 5;

    /// <summary>After a refusal, which would only come again, in milliseconds.</summary>
    private const long RetryInterval = 1000;

    private static readonly TimeSpan WaitSlice = TimeSpan.FromMilliseconds(50);

    private readonly RemoteMount _mount;
    private readonly RingLane _lane;
    private readonly FuseRing _ring;
    private readonly uint _index;
    private readonly int _atOnce;
    private readonly Queue<RingRequest> _waiting = new(64);
    private readonly List<RingRequest> _sent = new(64);
    private readonly List<RingConnection> _closing = [];
    private RingConnection? _connection;
    private uint _generation;
    private LaneConnection? _dialed;
    private volatile LaneConnection? _dialling;
    private volatile bool _wanted;
    private long _refusedAt = long.MinValue / 2;
    private int _isDialling;

    /// <param name="mount">The mount.</param>
    /// <param name="lane">Whose link it is.</param>
    /// <param name="ring">The lane's ring.</param>
    /// <param name="index">The link's number in the lane.</param>
    /// <param name="atOnce">Bytes to ask the ring for at once: many for many small answers; few for large ones, whose data then goes past the buffer.</param>
    public RingLink(RemoteMount mount, RingLane lane, FuseRing ring, uint index, int atOnce)
    {
        _atOnce = atOnce;
        _mount = mount;
        _lane = lane;
        _ring = ring;
        _index = index;
    }

    /// <summary>Whether requests wait that cannot be sent at the moment, so that somebody must look at their time.</summary>
    public bool HasWaiting => _waiting.Count > 0 && _connection is null;

    /// <summary>Whether what is put here now would wait behind a request that was sent before a time, or the host gives no connection.</summary>
    public bool IsStuck(long sentBefore) => (_sent.Count > 0 && _sent[0].SentAt <= sentBefore) || IsRefused;

    // The first link is what there is in any case.
    private bool IsRefused => _index != 0 && Environment.TickCount64 - Volatile.Read(ref _refusedAt) < RetryInterval;

    /// <summary>Gives what waits for a connection that the host refuses to another link.</summary>
    public void MoveTo(RingLink other)
    {
        while (_waiting.Count > 0 && _connection is null && IsRefused)
        {
            other.Add(_waiting.Dequeue());
        }
    }

    /// <summary>Takes a request, which <see cref="Flush"/> sends.</summary>
    public void Add(RingRequest request) => _waiting.Enqueue(request);

    /// <summary>Breaks the connection, and the one that is being made. From any thread.</summary>
    public void Cut()
    {
        Volatile.Read(ref _connection)?.Cut();
        _dialling?.Cut();
    }

    /// <summary>Takes over a connection that was made meanwhile.</summary>
    public void Adopt()
    {
        if (_connection is null && Interlocked.Exchange(ref _dialed, null) is { } dialed)
        {
            _generation = (_generation + 1) & 0xffff;
            Volatile.Write(ref _connection, new RingConnection(dialed, _generation));
            Receive(_connection!);
        }
    }

    /// <summary>Ends requests that wait here and must not any longer: interrupted, given up, or the mount has ended.</summary>
    public void LookAtWaiting()
    {
        long limit = (long)_mount.Options.GiveUpAfter.TotalMilliseconds;
        bool givenUp = _mount.Stopping || (_connection is null && _mount.HasGivenUp);
        for (int i = _waiting.Count; i > 0; i--)
        {
            RingRequest request = _waiting.Dequeue();
            if (request.Slot is null)
            {
                Requeue(request, _connection is not null);
            }
            else if (request.IsInterrupted && !request.Begun)
            {
                _mount.Counters.CountInterrupted();
                _lane.Answer(request, -errno.EINTR);
            }
            else if (givenUp || (_connection is null && Environment.TickCount64 - request.Started > limit))
            {
                _lane.Answer(request, -errno.EIO);
            }
            else
            {
                _waiting.Enqueue(request);
            }
        }
    }

    /// <summary>Lets those go whose callers are being killed, though the host may have carried them out.</summary>
    public void LetAbandonedGo()
    {
        for (int i = 0; i < _sent.Count; i++)
        {
            LetGo(_sent[i]);
        }

        if (_connection?.Partial is { } partial)
        {
            LetGo(partial);
        }
    }

    /// <summary>Something that was asked of the ring has happened.</summary>
    /// <param name="generation">Of the connection that it was asked for.</param>
    /// <param name="what">What was asked: <see cref="RingTag"/>.</param>
    /// <param name="result">Its result.</param>
    public void Happened(uint generation, uint what, int result)
    {
        RingConnection? connection = Find(generation);
        if (connection is null)
        {
            return;
        }

        connection.Expected--;
        if (connection.Closed)
        {
            Reap(connection);
            return;
        }

        try
        {
            switch (what)
            {
                case RingTag.Received:
                    Received(connection, result);
                    break;
                case RingTag.MayReceive:
                    ReceiveBody(connection);
                    break;
                case RingTag.MaySend:
                    connection.SendBlocked = false;
                    break;
            }
        }
        catch (Exception e) when (e is IOException or FuseChannelException)
        {
            // Expected when the link breaks, or when the host breaks the protocol.
            Break(e);
        }
    }

    /// <summary>Ends the connection; what is under way is no longer waited for.</summary>
    public void Close()
    {
        _wanted = false;
        if (_connection is { } connection)
        {
            RingRequest? partial = connection.Partial;
            Retire();
            partial?.Dispose();
        }

        Interlocked.Exchange(ref _dialed, null)?.Dispose();
    }

    /// <summary>Whether the ring has nothing under way any more for any connection.</summary>
    public bool IsQuiet => _closing.Count == 0 && _connection is null;

    /// <inheritdoc/>
    public void Dispose()
    {
        _closing.ForEach(connection => connection.Dispose());
        _closing.Clear();
        Interlocked.Exchange(ref _dialed, null)?.Dispose();
        foreach (RingRequest request in _waiting.Concat(_sent))
        {
            request.Dispose();
        }
    }

    // A loop and not a lambda, which would cost memory each time.
    private RingConnection? Find(uint generation)
    {
        if (_connection is { } current && current.Generation == generation)
        {
            return current;
        }

        foreach (RingConnection closing in _closing)
        {
            if (closing.Generation == generation)
            {
                return closing;
            }
        }

        return null;
    }

    private void LetGo(RingRequest request)
    {
        if (!request.IsAbandoned)
        {
            return;
        }

        RingConnection? connection = _connection;
        if (connection?.Body == request)
        {
            connection.Skip = connection.BodyLength - connection.BodyReceived;
            connection.Body = null;
            _sent.Remove(request);
            _mount.Counters.CountInterrupted();
            _lane.Answer(request, -errno.EINTR);
            return;
        }

        _mount.Counters.CountInterrupted();
        _lane.LeaveSlot(request, whole: connection?.Partial == request);
    }

    // The connection has broken: what the host may have carried out is asked again only where that changes nothing.
    private void Break(Exception? why)
    {
        if (why is FuseChannelException)
        {
            _mount.HostViolated(why.Message);
        }
        else if (why is not null)
        {
            _mount.LaneBroke(why.Message);
        }

        RingRequest? partial = _connection!.Partial;
        Retire();
        if (partial is not null)
        {
            Repeat(partial);
        }

        foreach (RingRequest request in _sent)
        {
            if (request.Slot is not null && !request.MayRepeat)
            {
                _mount.Counters.CountUnknownOutcome();
                _mount.OutcomeUnknown(request.Header->opcode, request.Header->nodeid);
                _lane.Answer(request, -errno.EIO);
            }
            else
            {
                Repeat(request);
            }
        }

        _sent.Clear();
    }

    private void Repeat(RingRequest request)
    {
        if (request.Slot is null)
        {
            // What it would give back lives until the mount ends.
            request.Dispose();
        }
        else if (request.IsAbandoned || request.Repeats == MaxRepeats)
        {
            _lane.Answer(request, request.IsAbandoned ? -errno.EINTR : -errno.EIO);
        }
        else
        {
            request.Repeats++;
            request.Begun = false;
            _mount.Counters.CountRepeated();
            _waiting.Enqueue(request);
        }
    }

    // The runtime's own requests are about references of a connection's time: without one they are of no use.
    private void Requeue(RingRequest request, bool connected)
    {
        if (connected)
        {
            _waiting.Enqueue(request);
        }
        else
        {
            request.Dispose();
        }
    }

    private void Retire()
    {
        RingConnection connection = _connection!;
        Volatile.Write(ref _connection, null);
        connection.Close();
        _closing.Add(connection);
        Reap(connection);
    }

    private void Reap(RingConnection connection)
    {
        if (connection.Expected == 0)
        {
            _closing.Remove(connection);
            connection.Dispose();
        }
    }
}
