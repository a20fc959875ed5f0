using Dpu.Fuse;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Fifos;
using Dpu.Relay;
using Dpu.Runtime.Hosts;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Sockets;

/// <summary>One way of a FIFO through the link: a connection of service relay, which waits at the host for its partner there.</summary>
internal sealed class AskedFifo(RelayHub hub, HostLinks hosts, ILogger logger, RemoteFifo fifo) : IAskedFifo
{
    private readonly Lock _lock = new();
    private LinkConnection? _connection;
    private IDisposable? _relay;
    private string _path = "";
    private FifoDirection _direction;
    private bool _opened;
    private bool _cancelled;

    /// <inheritdoc/>
    public int Wait(out FifoDirection direction)
    {
        direction = FifoDirection.Unspecified;
        try
        {
            return Ask(out direction);
        }
        catch (LinkException e) when (e.Status is HelloStatus.NotPermitted or HelloStatus.Malformed or HelloStatus.ServiceUnknown)
        {
            Log.FifoRefused(logger, fifo.Target, fifo.Program.Pid, fifo.Host, e.Message);
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
            if (_relay is null && _opened)
            {
                _connection!.Dispose();
            }
            else if (_relay is null)
            {
                // The thread that waits disposes of it.
                _connection?.Abort();
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

            var info = new RelayInfo(fifo.Host, Printable.Clean($"{fifo.Target}/{_path}", limits.PATH_MAX), SocketKind.Stream, fifo.Program.Uid, fifo.Program.Gid, fifo.Program.Pid)
            {
                Fifo = _direction == FifoDirection.ToHost ? FifoFlow.ToHost : FifoFlow.ToDpu,
            };
            try
            {
                _relay = hub.Start(socket, _connection, info);
                return true;
            }
            catch (ObjectDisposedException)
            {
                // Expected: the runtime is stopping. The connection ends with what asked for it.
                return false;
            }
        }
    }

    private int Ask(out FifoDirection direction)
    {
        direction = FifoDirection.Unspecified;
        if (hosts.Find(fifo.Host) is not { IsUp: true } link)
        {
            return -errno.EIO;
        }

        var parameters = new RelayParameters
        {
            Type = UnixSocketType.Stream,
            Uid = fifo.Program.Uid,
            Gid = fifo.Program.Gid,
            Pid = fifo.Program.Pid,
            Fifo = new FifoNode { MountId = fifo.MountId(), Node = fifo.Node, Direction = fifo.Direction, AtOnce = fifo.AtOnce },
        };
        parameters.Groups.AddRange(fifo.Program.Groups);
        LinkConnection connection = link.DialRelay(parameters);
        lock (_lock)
        {
            _connection = connection;
            if (_cancelled)
            {
                connection.Dispose();
                return -errno.EIO;
            }
        }

        bool opened = false;
        try
        {
            int error = RelayDialer.AwaitAccepted(connection, out uint way, out _);
            direction = _direction = (FifoDirection)way;
            bool good = error == 0 && direction is FifoDirection.ToHost or FifoDirection.ToDpu && (fifo.Direction == FifoDirection.Unspecified || fifo.Direction == direction);
            _path = connection.Reply.Relay?.Path ?? "";
            lock (_lock)
            {
                opened = _opened = good && !_cancelled;
            }

            return error < 0 ? error : !good ? -errno.EPROTO : opened ? 0 : -errno.EIO;
        }
        finally
        {
            if (!opened)
            {
                connection.Dispose();
            }
        }
    }
}
