using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Fifos;
using Dpu.Qtfs.Mount.Sockets;
using Dpu.Relay;
using Dpu.Runtime.Hosts;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Sockets;

/// <summary>Carries connections of programs here to the hosts' sockets, and of the hosts' programs to sockets here. Thread-safe.</summary>
/// <param name="hub">Moves the bytes.</param>
/// <param name="hosts">The links.</param>
/// <param name="logger">The log.</param>
public sealed class SocketRelays(RelayHub hub, HostLinks hosts, ILogger<SocketRelays> logger) : ISocketRelays, IDisposable
{
    // As many as wait to be accepted at once; the system's own limit is lower by default (net.core.somaxconn).
    private const int Backlog = 4096;

    private readonly DialThreads _dials = new("socket dial");

    // Of their own: programs here that do not accept hold them up, as those of hosts do the others.
    private readonly DialThreads _visitors = new("visitor dial");

    internal ILogger Logger => logger;

    /// <inheritdoc/>
    public ISocketRelay Serve(RemoteSocket socket, SafeFileHandle bound)
    {
        ArgumentNullException.ThrowIfNull(socket);
        if (socket.Type == sys_socket.SOCK_DGRAM)
        {
            return new DatagramProxy(this, socket, bound);
        }

        return sys_socket.listen(bound, Backlog) < 0
            ? throw new IOException($"listen: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}")
            : new ListeningProxy(this, hub, socket, bound);
    }

    /// <inheritdoc/>
    public IOfferedSocket Offer(OfferedHere socket) => new OfferedSocket(this, hub, hosts, socket);

    /// <inheritdoc/>
    public IAskedFifo Ask(RemoteFifo fifo) => new AskedFifo(hub, hosts, logger, fifo);

    /// <inheritdoc/>
    public void Dispose()
    {
        _dials.Dispose();
        _visitors.Dispose();
    }

    /// <summary>Has something done soon for a program of a host, on another thread; it must not throw.</summary>
    internal void RunForHost(Action work) => _visitors.Run(work);

    /// <summary>Has a connection that was accepted joined with the host's socket, on another thread.</summary>
    internal void Connect(RemoteSocket socket, SafeHandle accepted, RelaySet relays) => _dials.Run(() =>
    {
        PeerCredentials? program = PeerCredentials.Read(accepted);
        if (program is null || TryJoin(socket, program, accepted, relays, null) is null)
        {
            accepted.Dispose();
        }
    });

    /// <summary>Joins a local socket with the host's, for a program; blocks. Null where it could not be, which is said; the socket is then the caller's still.</summary>
    internal IDisposable? TryJoin(RemoteSocket socket, PeerCredentials program, SafeHandle local, RelaySet relays, Action? ended)
    {
        string reason;
        try
        {
            HostLink link = hosts.Find(socket.Host) ?? throw new LinkException(LinkError.Unreachable, $"the configuration names no host '{socket.Host}' any more");
            var parameters = new RelayParameters
            {
                Type = (UnixSocketType)socket.Type,
                Uid = program.Uid,
                Gid = program.Gid,
                Pid = program.Pid,
            };
            if (socket.Address is { } address)
            {
                parameters.Address = address;
            }
            else
            {
                parameters.Node = new SocketNode { MountId = socket.MountId(), Node = socket.Node };
            }

            parameters.Groups.AddRange(program.Groups);
            LinkConnection connection = link.DialRelay(parameters);
            int error = -errno.EIO;
            try
            {
                error = RelayDialer.AwaitOpened(connection);
                if (error == 0)
                {
                    string path = socket.Address is null ? $"{socket.Target}/{connection.Reply.Relay?.Path}" : socket.Target;
                    return relays.Start(hub, local, connection, new RelayInfo(socket.Host, Printable.Clean(path, limits.PATH_MAX), (SocketKind)socket.Type, program.Uid, program.Gid, program.Pid), ended);
                }
            }
            finally
            {
                if (error != 0)
                {
                    connection.Dispose();
                }
            }

            reason = $"the host's kernel refused: {Marshal.GetPInvokeErrorMessage(-error)}";
        }
        catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException)
        {
            // Expected: the host is away, or refuses.
            reason = e.Message;
        }

        Log.NotConnected(logger, socket.Target, program.Pid, program.Uid, socket.Host, reason);
        return null;
    }
}
