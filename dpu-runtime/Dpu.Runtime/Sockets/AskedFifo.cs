using Dpu.Fuse;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Fifos;
using Dpu.Relay;
using Dpu.Relay.Descriptors;
using Dpu.Runtime.Hosts;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Sockets;

/// <summary>One way of a FIFO through the link: a connection of service relay, which waits at the host for its partner there.</summary>
internal sealed class AskedFifo(SocketRelays owner, RelayHub hub, HostLinks hosts, RemoteFifo fifo) : IAskedFifo
{
    private readonly Lock _lock = new();

    // While it waits, and from the host's answer until the relay has it: whose it is says _accepted.
    private LinkConnection? _connection;
    private RelayContinuity? _continuity;
    private IDisposable? _relay;
    private FifoDirection _direction;
    private bool _accepted;
    private volatile bool _cancelled;

    /// <inheritdoc/>
    public int Wait(out FifoDirection direction)
    {
        direction = FifoDirection.Unspecified;
        try
        {
            return hosts.Find(fifo.Host) is { IsUp: true } link ? Ask(link, out direction) : -errno.EIO;
        }
        catch (LinkException e) when (e.Status is HelloStatus.NotPermitted or HelloStatus.Malformed or HelloStatus.ServiceUnknown)
        {
            Log.FifoRefused(owner.Logger, fifo.Target, fifo.Program.Pid, fifo.Host, e.Message);
            return -errno.EACCES;
        }
        catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException)
        {
            // Expected: the link broke, or nobody waits any more.
            return -errno.EIO;
        }
    }

    /// <inheritdoc/>
    public void Cancel()
    {
        lock (_lock)
        {
            _cancelled = true;
            if (_accepted && _relay is null && _connection is { } accepted)
            {
                _connection = null;
                End(accepted, _continuity);
            }
            else if (_connection is { } waiting && !_accepted)
            {
                // The thread that waits disposes of it.
                RelayDialer.Withdraw(waiting);
            }
        }
    }

    /// <inheritdoc/>
    public bool TryStart(SafeFileHandle socket)
    {
        lock (_lock)
        {
            if (_cancelled || _connection is null)
            {
                return false;
            }

            try
            {
                _relay = Start(socket, _connection, _continuity);
                return true;
            }
            catch (Exception e) when (e is ObjectDisposedException or IOException)
            {
                // Expected: the runtime is stopping, or has no descriptors left. The connection ends with what asked for it.
                return false;
            }
        }
    }

    private IDisposable Start(SafeFileHandle socket, LinkConnection connection, RelayContinuity? continuity)
    {
        string path = Printable.Clean($"{fifo.Target}/{connection.Reply.Relay?.Path}", limits.PATH_MAX);
        var info = new RelayInfo(fifo.Host, path, SocketKind.Stream, fifo.Program.Uid, fifo.Program.Gid, fifo.Program.Pid)
        {
            Fifo = _direction == FifoDirection.ToHost ? FifoFlow.ToHost : FifoFlow.ToDpu,
        };
        return hub.Start(socket, connection, info, continuity: continuity);
    }

    // What the host has begun ends there, also where the link breaks before it is told: by a relay whose program here has closed its end.
    private void End(LinkConnection connection, RelayContinuity? continuity)
    {
        if (continuity is not null && Descriptor.TryMakePair(new(DescriptorKind.Socket, DescriptorFlags.None), out SafeFileHandle? here, out SafeFileHandle? relayed))
        {
            here!.Dispose();
            try
            {
                _ = Start(relayed!, connection, continuity);
                return;
            }
            catch (Exception e) when (e is ObjectDisposedException or IOException)
            {
                // Expected: the runtime is stopping, or has no descriptors left.
                relayed!.Dispose();
            }
        }

        RelayDialer.Refuse(connection);
    }

    private int Ask(HostLink link, out FifoDirection direction)
    {
        var parameters = new RelayParameters
        {
            Type = UnixSocketType.Stream,
            Uid = fifo.Program.Uid,
            Gid = fifo.Program.Gid,
            Pid = fifo.Program.Pid,
            Fifo = new FifoNode { MountId = fifo.MountId(), Node = fifo.Node, Direction = fifo.Direction, AtOnce = fifo.AtOnce },
        };
        parameters.Groups.AddRange(fifo.Program.Groups);
        RelayContinuity wanted = owner.Want(parameters, link);
        try
        {
            return Await(link, parameters, out direction);
        }
        catch (Exception e) when (e is IOException or LinkException { Status: null } && !_cancelled)
        {
            // A program of the host may have come, which this end has not heard: the host has its FIFO open then, and its bytes. Where nobody here needs it any more
            // it is told so, as soon as that can be.
            LinkConnection connection = owner.TakeUp(fifo.Host, wanted) ?? throw new IOException(e.Message, e);
            return Accept(connection, wanted, (FifoDirection)(connection.Reply.Relay?.VisitorUid ?? 0), out direction);
        }
    }

    private int Await(HostLink link, RelayParameters parameters, out FifoDirection direction)
    {
        LinkConnection connection = link.DialRelay(parameters);
        lock (_lock)
        {
            if (_cancelled)
            {
                connection.Dispose();
                direction = FifoDirection.Unspecified;
                return -errno.EIO;
            }

            _connection = connection;
        }

        int error;
        uint way;
        try
        {
            error = RelayDialer.AwaitAccepted(connection, out way, out _);
        }
        catch
        {
            Forget(connection);
            throw;
        }

        if (error == 0)
        {
            return Accept(connection, owner.ContinuityOf(connection, fifo.Host), (FifoDirection)way, out direction);
        }

        direction = FifoDirection.Unspecified;
        Forget(connection);
        return error;
    }

    // The host has begun: it is this end's now, or is ended there.
    private int Accept(LinkConnection connection, RelayContinuity? continuity, FifoDirection way, out FifoDirection direction)
    {
        direction = way;
        int error = way is FifoDirection.ToHost or FifoDirection.ToDpu && (fifo.Direction == FifoDirection.Unspecified || fifo.Direction == way) ? 0 : -errno.EPROTO;
        lock (_lock)
        {
            error = error == 0 && _cancelled ? -errno.EIO : error;
            (_connection, _continuity, _direction, _accepted) = (error == 0 ? connection : null, continuity, way, error == 0);
        }

        if (error < 0)
        {
            End(connection, continuity);
        }

        return error;
    }

    private void Forget(LinkConnection connection)
    {
        lock (_lock)
        {
            _connection = null;
            connection.Dispose();
        }
    }
}
