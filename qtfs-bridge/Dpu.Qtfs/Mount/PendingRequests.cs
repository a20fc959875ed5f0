using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Coherence;
using Dpu.Qtfs.Mount.Handover;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// Requests that wait on the host for as long as it takes: locks that another one has. They cross a connection of their
/// own, on which answers come in any order, so that no lane waits with them. Thread-safe.
/// </summary>
/// <remarks>
/// 1. A lane asks first, and most locks are free. EAGAIN says that this one must wait, and the lane hands it over here.
/// 2. One thread connects and sends, another one receives. Nobody else waits for the host.
/// 3. An interrupt goes to the host, whose answer is the outcome: EINTR, or the lock where it was granted meanwhile. The kernel
///    gives the caller what it is given, so that both agree.
/// 4. A broken connection is made again, and what waits is asked again: to take a lock that one has already leaves it. The
///    host drops the old connection's waits before it serves the new one.
/// 5. Only for a caller that is being killed, or given up, while the host cannot be asked, its answer is made here. The
///    host may have granted that lock: the range is unlocked as soon as the host answers again (<see cref="PendingRequest.Orphan"/>).
/// </remarks>
internal sealed unsafe class PendingRequests : IDisposable
{
    /// <summary>Requests at most: four times what a host lets one peer have.</summary>
    private const int MaxRequests = 1024;

    private const int MaxMessageLength = 256;
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(50);

    private readonly RemoteMount _mount;
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, PendingRequest> _requests = [];
    private readonly AutoResetEvent _work = new(false);
    private LaneConnection? _connection;
    private Thread? _sender;
    private Thread? _receiver;
    private long _downSince;
    private int _count;
    private volatile bool _broken;
    private volatile bool _stopped;

    public PendingRequests(RemoteMount mount) => _mount = mount;

    /// <summary>Requests whose callers wait.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Whether such a request may wait; to it EAGAIN is no answer that a kernel expects.</summary>
    public static bool Takes(uint opcode) => opcode == (uint)fuse_opcode.FUSE_SETLKW;

    /// <summary>Takes a request over, which a lane has had answered with EAGAIN; false where there are too many.</summary>
    public bool TryAdd(byte* message, int length, SafeFileHandle device)
    {
        if (length < sizeof(fuse_in_header) + sizeof(fuse_lk_in) || length > MaxMessageLength)
        {
            return false;
        }

        ParkedRequest parked = _mount.Cells.Park(message, length, ParkedFor.Host, _mount.NumberOf(device));
        if (TryAdd(new PendingRequest(new ReadOnlySpan<byte>(message, length).ToArray(), device, parked)))
        {
            return true;
        }

        parked.Dispose();
        return false;
    }

    /// <summary>Takes up a request that an earlier runtime had: a lock that it waited for, or that was granted and not told.</summary>
    public void Recover(ParkedRequest parked, SafeFileHandle device)
    {
        _mount.Counters.CountRecovered();
        if (parked.Length > MaxMessageLength || !TryAdd(new PendingRequest(new ReadOnlySpan<byte>(parked.Message, parked.Length).ToArray(), device, parked, everSent: true)))
        {
            _mount.Reply(device, parked.Unique, -errno.ENOLCK);
            parked.Dispose();
        }
    }

    private bool TryAdd(PendingRequest request)
    {
        lock (_lock)
        {
            if (_stopped || _requests.Count >= MaxRequests || !_requests.TryAdd(request.Unique, request))
            {
                return false;
            }

            Volatile.Write(ref _count, _requests.Count);
            _sender ??= _mount.StartThread("waits", Send);
        }

        _work.Set();
        return true;
    }

    /// <summary>Whether it is among them.</summary>
    public bool Has(ulong unique)
    {
        lock (_lock)
        {
            return _requests.ContainsKey(unique);
        }
    }

    /// <summary>A signal has interrupted the request.</summary>
    /// <param name="unique">Its number.</param>
    /// <param name="expired">Whether the host has had time to answer.</param>
    /// <returns>Whether it still waits.</returns>
    public bool Interrupt(ulong unique, bool expired)
    {
        bool stuck;
        bool untold;
        uint caller;
        lock (_lock)
        {
            if (!_requests.TryGetValue(unique, out PendingRequest? request) || request.Orphan)
            {
                return false;
            }

            request.Interrupted = true;
            stuck = expired || _broken || _connection is null;
            untold = !request.EverSent;
            caller = request.Caller;
        }

        // What the host was never asked has not happened; else a living caller hears what the host says.
        if (stuck && (untold || CallerState.IsDying(caller)))
        {
            _mount.Counters.CountInterrupted();
            GiveUp(unique, -errno.EINTR);
            return false;
        }

        _work.Set();
        return true;
    }

    /// <summary>Ends the threads; the mount is gone, and with it who waits.</summary>
    public void Stop()
    {
        Thread? sender;
        lock (_lock)
        {
            _stopped = true;
            sender = _sender;
            _connection?.Cut();
        }

        _work.Set();
        sender?.Join();
    }

    /// <inheritdoc/>
    public void Dispose() => _work.Dispose();

    private static bool IsBroken(Exception e) => e is IOException or FuseChannelException or ObjectDisposedException or OperationCanceledException;

    private void Send()
    {
        byte* message = stackalloc byte[MaxMessageLength];
        while (!_stopped)
        {
            if (_connection is not null && !_broken)
            {
                _work.WaitOne();
            }
            else if (Count == 0)
            {
                // Connected when there is something to ask again.
                _work.WaitOne();
            }
            else if (!TryConnect())
            {
                GiveUpLate();
            }

            try
            {
                while (!_stopped && !_broken && _connection is { } connection && Next(message) is > 0 and int length)
                {
                    connection.Send(message, length);
                }
            }
            catch (Exception e) when (IsBroken(e))
            {
                // Expected when the link breaks.
                Break(e);
            }
        }

        Drop();
    }

    private bool TryConnect()
    {
        Drop();
        _downSince = _downSince == 0 ? Environment.TickCount64 : _downSince;
        try
        {
            if (_mount.Stopping || !_mount.Connector.WaitUp(Tick))
            {
                _ = _mount.Stopping && _work.WaitOne(Tick);
                return false;
            }

            long epoch = _mount.Connector.Epoch;
            var connection = new LaneConnection(_mount.DialLane(0, waits: true), epoch);
            lock (_lock)
            {
                // Before the host is asked anything, so that Stop reaches it.
                _connection = connection;
                _broken = _stopped;
                foreach (PendingRequest request in _requests.Values)
                {
                    request.AskAgain();
                }
            }

            if (_stopped)
            {
                return false;
            }

            _mount.Restore(connection);
            AnswerLost();
            _downSince = 0;
            _receiver = _mount.StartThread("answers", () => Receive(connection));
            return true;
        }
        catch (LinkException e)
        {
            _mount.DialFailed(e);
            _mount.PauseAfterRefusal(Tick);
        }
        catch (Exception e) when (IsBroken(e))
        {
            // Expected: the link broke meanwhile, or the mount ended.
            Break(e);
        }

        return false;
    }

    private void Drop()
    {
        LaneConnection? connection;
        lock (_lock)
        {
            connection = _connection;
            _connection = null;
        }

        // Its receiver first: a connection is not disposed under who reads it.
        connection?.Cut();
        _receiver?.Join();
        _receiver = null;
        connection?.Dispose();
    }

    private void Break(Exception e)
    {
        if (e is FuseChannelException)
        {
            _mount.HostViolated(e.Message);
        }
        else if (!_stopped)
        {
            _mount.LaneBroke(e.Message);
        }

        _broken = true;
        _work.Set();
    }

    private void Receive(LaneConnection connection)
    {
        try
        {
            while (true)
            {
                int length = connection.ReceiveAny(out byte* reply);
                Answered(reply, length, connection.State);
            }
        }
        catch (Exception e) when (IsBroken(e))
        {
            // Expected when the link breaks, or when the host breaks the protocol.
            Break(e);
        }
    }

    private void Answered(byte* reply, int length, ulong life)
    {
        fuse_out_header header = *(fuse_out_header*)reply;
        PendingRequest? request;
        ulong after;
        lock (_lock)
        {
            if (!GrantedLocks.TryAfter(reply, length, out after) || !_requests.TryGetValue(header.unique, out request) || !request.Sent)
            {
                throw new FuseChannelException($"the host answered request {header.unique}, which does not wait, in {length} bytes");
            }

            if (request.Orphan && !request.Undone && header.error == 0)
            {
                // Granted to nobody: to be given back.
                request.AskAgain();
                _work.Set();
                return;
            }

            Remove(header.unique);
            if (request.Orphan)
            {
                return;
            }
        }

        // EINTR to who was not interrupted would reach the program as an errno that does not exist (ERESTARTSYS).
        int error = header.error is -errno.EAGAIN || (header.error == -errno.EINTR && !request.Interrupted) ? -errno.EIO : header.error;
        if (error != header.error)
        {
            _mount.HostViolated($"it answered a request that waits with errno {-header.error}");
        }

        if (error == 0)
        {
            _mount.Held.Locked(request.Message, life);
        }

        if (error == 0 && _mount.Grants is { } grants)
        {
            grants.Add(request.Device, request.Unique, request.Node, after, request.Parked);
            return;
        }

        _mount.Reply(request.Device, request.Unique, error);
        request.Parked?.Dispose();
    }

    /// <summary>The next message to send, its length; 0 where there is none.</summary>
    private int Next(byte* message)
    {
        lock (_lock)
        {
            foreach (PendingRequest request in _requests.Values)
            {
                if (request.TryNext(new Span<byte>(message, MaxMessageLength), out int length))
                {
                    return length;
                }
            }
        }

        return 0;
    }

    // What waits by a file that the host has lost.
    private void AnswerLost()
    {
        List<(PendingRequest Request, int Error)> lost = [];
        lock (_lock)
        {
            foreach (PendingRequest request in _requests.Values.Where(request => !request.Orphan))
            {
                fixed (byte* message = request.Message)
                {
                    if (_mount.Held.TryAnswer(message, request.Message.Length, out int error))
                    {
                        lost.Add((request, error));
                    }
                }
            }

            lost.ForEach(each => Remove(each.Request.Unique));
        }

        foreach ((PendingRequest request, int error) in lost)
        {
            _mount.Reply(request.Device, request.Unique, error);
            request.Parked?.Dispose();
        }
    }

    // While the host is not reached: who is being killed goes at once, everybody else after the mount's limit.
    private void GiveUpLate()
    {
        bool givenUp = _mount.HasGivenUp || Environment.TickCount64 - _downSince > (long)_mount.Options.GiveUpAfter.TotalMilliseconds;
        if (!givenUp)
        {
            return;
        }

        ulong[] waiting;
        lock (_lock)
        {
            waiting = [.. _requests.Values.Where(request => !request.Orphan).Select(request => request.Unique)];
        }

        foreach (ulong unique in waiting)
        {
            GiveUp(unique, -errno.EIO);
        }
    }

    private void GiveUp(ulong unique, int error)
    {
        PendingRequest? request;
        lock (_lock)
        {
            if (!_requests.TryGetValue(unique, out request) || request.Orphan)
            {
                return;
            }

            if (request.EverSent)
            {
                request.Orphan = true;
            }
            else
            {
                // The lane's own try took nothing.
                Remove(unique);
            }
        }

        _mount.Reply(request.Device, unique, error);
        request.Parked?.Dispose();
    }

    private void Remove(ulong unique)
    {
        _requests.Remove(unique);
        Volatile.Write(ref _count, _requests.Count);
    }
}
