using System.Diagnostics;
using Dpu.Fuse;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Sockets;
using Dpu.Relay;
using Dpu.Runtime.Hosts;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Sockets;

/// <summary>
/// A socket that a program here has bound: while it listens, one connection of the link waits for the next program of the host. A thread
/// of its own waits with it.
/// </summary>
internal sealed class OfferedSocket : IOfferedSocket
{
    private static readonly TimeSpan LinkWait = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan RefusalPause = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan ForwardPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan QueuePause = TimeSpan.FromMilliseconds(20);

    // As long as the host waits for one of its listeners.
    private static readonly TimeSpan QueueLimit = TimeSpan.FromSeconds(30);

    // A datagram socket counts as receiving from its making on, a moment before it has its name.
    private static readonly TimeSpan NameLimit = TimeSpan.FromSeconds(1);

    private readonly SocketRelays _owner;
    private readonly RelayHub _hub;
    private readonly HostLinks _hosts;
    private readonly OfferedHere _socket;
    private readonly RelaySet _relays = new();
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _endedEvent = new();
    private LinkConnection? _waiting;
    private bool _listens;
    private bool _ended;

    public OfferedSocket(SocketRelays owner, RelayHub hub, HostLinks hosts, OfferedHere socket) => (_owner, _hub, _hosts, _socket) = (owner, hub, hosts, socket);

    public void Listen()
    {
        lock (_lock)
        {
            if (_ended || _listens)
            {
                return;
            }

            _listens = true;
        }

        new Thread(Run, 256 * 1024) { IsBackground = true, Name = "offered socket" }.Start();
    }

    public void End()
    {
        if (Stop())
        {
            _owner.RunForHost(TellClosed);
        }
    }

    public void BreakOff()
    {
        _ = Stop();
        _relays.BreakOff();
    }

    private bool Stop()
    {
        lock (_lock)
        {
            if (_ended)
            {
                return false;
            }

            _ended = true;
            _waiting?.Abort();
        }

        _endedEvent.Set();
        return true;
    }

    private RelayParameters Asked(bool closed = false) => _socket.Listener is { } listener ? new RelayParameters
    {
        Type = (UnixSocketType)_socket.Type,
        Listener = new HostListener { Address = listener.Address, Mode = listener.Mode, Uid = listener.Uid, Gid = listener.Gid, Closed = closed },
    }
    : new RelayParameters
    {
        Type = (UnixSocketType)_socket.Type,
        Uid = _socket.Uid,
        Gid = _socket.Gid,
        Pid = _socket.Pid,
        Offered = new Dpu.Proto.V1.OfferedSocket { MountId = _socket.MountId(), Node = _socket.Node, Closed = closed },
    };

    private void Run()
    {
        while (!_endedEvent.IsSet)
        {
            if (_hosts.Find(_socket.Host) is not { } link || !link.WaitUp(LinkWait))
            {
                _ = _endedEvent.Wait(LinkWait);
                continue;
            }

            try
            {
                if (!AwaitOne(link))
                {
                    return;
                }
            }
            catch (Exception e) when (_socket.Listener is not null && e is LinkException or IOException)
            {
                // Expected: the host is away, does not allow it, or another program listens there; none of which stays so.
                _socket.Told?.Invoke(e.Message);
                _ = _endedEvent.Wait(ForwardPause);
            }
            catch (LinkException e) when (e.Status is HelloStatus.NotPermitted or HelloStatus.Malformed or HelloStatus.ServiceUnknown)
            {
                // The host has it no more, as after its agent's restart.
                SayLost(e.Message);
                return;
            }
            catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException)
            {
                // Expected: the link broke, or the host has no room now.
                _ = _endedEvent.Wait(RefusalPause);
            }
        }
    }

    // False where there will be none any more.
    private bool AwaitOne(HostLink link)
    {
        RelayParameters asked = Asked();
        RelayContinuity wanted = _owner.Want(asked, link);
        try
        {
            return AwaitOne(link, asked);
        }
        catch (Exception e) when (e is IOException or LinkException { Status: null } && !_endedEvent.IsSet)
        {
            // A program of the host may have connected, which this end has not heard.
            if (_owner.TakeUp(_socket.Host, wanted) is not { } connection)
            {
                throw new IOException(e.Message, e);
            }

            Serve(connection, wanted, connection.Reply.Relay.VisitorUid, connection.Reply.Relay.VisitorGid);
            return true;
        }
    }

    private bool AwaitOne(HostLink link, RelayParameters asked)
    {
        LinkConnection connection = link.DialRelay(asked);
        lock (_lock)
        {
            if (_ended)
            {
                connection.Dispose();
                return false;
            }

            _waiting = connection;
        }

        _socket.Told?.Invoke("");

        bool given = false;
        try
        {
            int error = RelayDialer.AwaitAccepted(connection, out uint uid, out uint gid);
            if (_socket.Listener is not null && error < 0)
            {
                throw new IOException($"the host cannot listen there: {System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(-error)}");
            }

            if (error == -errno.ECONNREFUSED)
            {
                SayLost("it was closed there");
                return false;
            }

            if (error < 0)
            {
                throw new IOException($"errno {-error}");
            }

            given = true;
            lock (_lock)
            {
                _waiting = null;
            }

            Serve(connection, _owner.ContinuityOf(connection, _socket.Host), uid, gid);
            return true;
        }
        finally
        {
            lock (_lock)
            {
                _waiting = null;
            }

            if (!given)
            {
                connection.Dispose();
            }
        }
    }

    private void Serve(LinkConnection connection, RelayContinuity? continuity, uint uid, uint gid)
    {
        // Root there is not root here.
        (uid, gid) = (uid == 0 ? IdentityPolicy.Nobody : uid, gid == 0 ? IdentityPolicy.Nobody : gid);
        if (_socket.Type != sys_socket.SOCK_DGRAM)
        {
            _owner.RunForHost(() => Join(connection, continuity, uid, gid, null));
            return;
        }

        // One connection carries all datagrams, for as long as it goes well.
        using var over = new ManualResetEventSlim();
        Join(connection, continuity, uid, gid, over.Set);
        while (!over.Wait(LinkWait) && !_endedEvent.IsSet)
        {
            // It goes on.
        }

        if (!_endedEvent.IsSet)
        {
            _ = _endedEvent.Wait(QueuePause);
        }
    }

    private void Join(LinkConnection connection, RelayContinuity? continuity, uint uid, uint gid, Action? over)
    {
        int error = Connect(uid, gid, out SafeFileHandle? local);
        if (local is null)
        {
            RelayDialer.Refuse(connection);
            over?.Invoke();
            Log.NotAccepted(_owner.Logger, _socket.Target, _socket.Pid, _socket.Host, -error);
            return;
        }

        try
        {
            string path = Printable.Clean(_socket.Listener is null ? $"{_socket.Target}/{connection.Reply.Relay?.Path}" : _socket.Target, limits.PATH_MAX);
            var info = new RelayInfo(_socket.Host, path, (SocketKind)_socket.Type, uid, gid, _socket.Pid);
            var speaker = new ucred { pid = Environment.ProcessId, uid = uid, gid = gid };
            var program = new PeerCredentials(_socket.Pid, _socket.Uid, _socket.Gid, []);
            RuntimePassing? passing = _socket.Listener is null ? _owner.PassingOf(_socket.Host, _socket.MountId, program, path, _relays) : null;
            _ = _relays.Start(_hub, local, connection, info, over, continuity, speaker, passing);
        }
        catch (Exception e) when (e is ObjectDisposedException or IOException)
        {
            // Expected: the runtime is stopping, or has no descriptors left.
            local.Dispose();
            RelayDialer.Refuse(connection);
            over?.Invoke();
        }
    }

    private int Connect(uint uid, uint gid, out SafeFileHandle? local)
    {
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            int error = _socket.Connect(uid, gid, out local);
            TimeSpan spent = Stopwatch.GetElapsedTime(started);
            bool again = error switch
            {
                -errno.EAGAIN => spent < QueueLimit,
                -errno.ECONNREFUSED => _socket.Type == sys_socket.SOCK_DGRAM && spent < NameLimit,
                _ => false,
            };
            if (!again || _endedEvent.Wait(QueuePause))
            {
                return error;
            }
        }
    }

    private void TellClosed()
    {
        try
        {
            if (_hosts.Find(_socket.Host) is { IsUp: true } link)
            {
                using LinkConnection connection = link.DialRelay(Asked(closed: true));
                _ = RelayDialer.AwaitOpened(connection);
            }
        }
        catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException)
        {
            // Expected: the link is down, or the host knows already. It closes by itself what nobody serves.
            return;
        }
    }

    private void SayLost(string reason)
    {
        if (!_endedEvent.IsSet)
        {
            Log.OfferLost(_owner.Logger, _socket.Target, _socket.Pid, _socket.Host, reason);
        }
    }
}
