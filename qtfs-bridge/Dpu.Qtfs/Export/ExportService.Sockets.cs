using System.Runtime.InteropServices;
using System.Text;
using Dpu.Fuse;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Linux.Sockets;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export;

// Sockets of exports: what peers are told of them, and the connections that are made for peers.
public sealed partial class ExportService
{
    // A listener whose queue is full makes who connects wait; on the DPU that one has its connection already.
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan TellInterval = TimeSpan.FromSeconds(10);

    private readonly SocketStates _sockets = new(TimeProvider.System);
    private long _lastTold;
    private long _socketsRefused;

    /// <summary>Whether there is a service that connects peers to sockets, so that they are told of them; set before the first mount.</summary>
    public bool ServesSockets { get; set; }

    /// <summary>Connections to sockets that policy has refused.</summary>
    public long SocketsRefused => Interlocked.Read(ref _socketsRefused);

    /// <summary>Whether a peer may have the socket that its hello names; OK with its path, or a refusal. Does not block.</summary>
    public HelloReply AdmitSocket(LinkPeer peer, Hello hello)
    {
        RelayParameters asked = hello.Relay;
        if (asked.TargetCase is not (RelayParameters.TargetOneofCase.Node or RelayParameters.TargetOneofCase.Offered or RelayParameters.TargetOneofCase.Passed or RelayParameters.TargetOneofCase.Fifo))
        {
            return Refuse(HelloStatus.Malformed, "a hello for service relay must name a socket");
        }

        if (MountOf(peer, hello) is not { } mount)
        {
            return Refuse(HelloStatus.SessionInvalid, "the session has no such mount; look the socket up again");
        }

        if (asked.TargetCase == RelayParameters.TargetOneofCase.Passed)
        {
            return AdmitPassed(mount);
        }

        if (asked.TargetCase == RelayParameters.TargetOneofCase.Offered)
        {
            return mount.Bound?.Find(asked.Offered.Node) is { } bound
                ? new HelloReply { Status = HelloStatus.Ok, Relay = new RelayResult { Path = bound.Path } }
                : Refuse(HelloStatus.NotPermitted, "no such socket is bound on this host: it was closed here, or the agent has restarted; bind it again");
        }

        if (asked.TargetCase == RelayParameters.TargetOneofCase.Fifo)
        {
            return AdmitFifo(peer, mount, asked.Fifo);
        }

        string? path = PathOf(mount, asked.Node.Node);
        string reason = path is null ? "it is gone, or outside of the export" : "sockets.connect of the export does not name it";
        if (path is null || !mount.Export.Connectable.Match(Encoding.UTF8.GetBytes(path)))
        {
            Interlocked.Increment(ref _socketsRefused);
            Log.SocketRefused(_logger, peer.Name, path ?? "?", mount.Export.Name, reason);
            return Refuse(HelloStatus.NotPermitted, $"the socket may not be reached: {reason}");
        }

        return new HelloReply { Status = HelloStatus.Ok, Relay = new RelayResult { Path = path } };
    }

    /// <summary>
    /// Connects to the socket that an admitted hello names, as its caller, or waits for a program that connects to it.
    /// </summary>
    /// <param name="connection">The connection of the hello.</param>
    /// <param name="mayWait">Whether it may block; only connecting to a node need not.</param>
    /// <param name="socket">The connected socket.</param>
    /// <returns>0 or a negated errno: EAGAIN where it would, or might, block and may not.</returns>
    public int ConnectSocket(LinkConnection connection, bool mayWait, out ServedSocket? socket)
    {
        ArgumentNullException.ThrowIfNull(connection);
        socket = null;
        (LinkPeer peer, Hello hello) = (connection.Peer, connection.Hello);
        if (MountOf(peer, hello) is not { } mount)
        {
            return -errno.ECONNREFUSED;
        }

        int error = hello.Relay.TargetCase switch
        {
            RelayParameters.TargetOneofCase.Offered => Accept(mount, hello.Relay, connection.Socket.SafeHandle, out socket),
            RelayParameters.TargetOneofCase.Fifo => AwaitFifo(mount, hello.Relay, connection.Socket.SafeHandle, out socket),
            _ => Connect(mount, hello.Relay, mayWait, out socket),
        };
        if (error < 0 && (mayWait || error != -errno.EAGAIN))
        {
            Log.SocketFailed(_logger, peer.Name, hello.Relay.Uid, hello.Relay.Pid, mount.Export.Name, -error);
        }

        return error;
    }

    private static int Connect(ExportedMount mount, RelayParameters asked, bool mayWait, out ServedSocket? served)
    {
        int error = Connect(mount, asked, mayWait, out SafeFileHandle? socket, out ucred speaker);
        served = error < 0 ? null : new ServedSocket(socket!, speaker, mount.TryJoin, mount.Leave);
        return error;
    }

    private static int Connect(ExportedMount mount, RelayParameters asked, bool mayWait, out SafeFileHandle? connected, out ucred speaker)
    {
        (connected, speaker) = (null, default);
        FuseWorkerThread.Enter();
        int descriptor = sys_socket.socket(sys_socket.AF_UNIX, (int)asked.Type | sys_socket.SOCK_CLOEXEC | (mayWait ? 0 : sys_socket.SOCK_NONBLOCK), 0);
        if (descriptor < 0)
        {
            return -Marshal.GetLastPInvokeError();
        }

        var socket = new SafeFileHandle(descriptor, ownsHandle: true);
        if (mayWait)
        {
            SetSendLimit(socket, ConnectLimit);
        }

        if (asked.Type == UnixSocketType.Dgram)
        {
            GiveAddress(socket);
        }

        Span<uint> groups = stackalloc uint[Math.Min(asked.Groups.Count, IdentityPolicy.MaxGroups)];
        for (int i = 0; i < groups.Length; i++)
        {
            groups[i] = asked.Groups[i];
        }

        var caller = new FuseCaller { Uid = asked.Uid, Gid = asked.Gid, SupplementaryGroups = groups };
        int error = mount.Files.ConnectSocket(caller, asked.Node.Node, socket, mayWait, out uint uid, out uint gid);
        _ = FuseWorkerThread.Leave();
        if (error < 0)
        {
            socket.Dispose();
            return error;
        }

        if (mayWait)
        {
            SetSendLimit(socket, TimeSpan.Zero);
        }

        speaker = new ucred { pid = Environment.ProcessId, uid = uid, gid = gid };
        connected = socket;
        return 0;
    }

    private static unsafe void SetSendLimit(SafeHandle socket, TimeSpan limit)
    {
        var value = new timeval { tv_sec = (nint)limit.TotalSeconds };

        // SAFETY: the local lives on this stack for the call, and its own size is passed.
        _ = sys_socket.setsockopt(socket, sys_socket.SOL_SOCKET, sys_socket.SO_SNDTIMEO, &value, (uint)sizeof(timeval));
    }

    // Who receives a datagram answers to its sender's address: with this option connect(2) gives the socket one (unix(7), autobind).
    private static unsafe void GiveAddress(SafeHandle socket)
    {
        int one = 1;

        // SAFETY: an int on the stack, with its own size.
        _ = sys_socket.setsockopt(socket, sys_socket.SOL_SOCKET, sys_socket.SO_PASSCRED, &one, sizeof(int));
    }

    private static string? PathOf(ExportedMount mount, ulong node)
    {
        Span<byte> path = stackalloc byte[limits.PATH_MAX];
        int length = mount.Files.RelativePath(node, path);
        return length > 0 ? Encoding.UTF8.GetString(path[..length]) : null;
    }

    private ExportedMount? MountOf(LinkPeer peer, Hello hello)
    {
        lock (_lock)
        {
            ulong id = hello.Relay.TargetCase switch
            {
                RelayParameters.TargetOneofCase.Offered => hello.Relay.Offered.MountId,
                RelayParameters.TargetOneofCase.Passed => hello.Relay.Passed.MountId,
                RelayParameters.TargetOneofCase.Fifo => hello.Relay.Fifo.MountId,
                _ => hello.Relay.Node.MountId,
            };
            return _sessions.GetValueOrDefault(SessionId(hello)) is { } session && session.Peer == peer.Name
                && session.Mounts.GetValueOrDefault(id) is { Ended: false } mount
                ? mount
                : null;
        }
    }

    // On a lane's thread, for each look-up of a socket.
    private uint TellSocket(ExportedMount mount, ulong node)
    {
        // Its own program is on the DPU, and is connected to there.
        if (mount.Export.Connectable.IsEmpty || mount.Bound?.Find(node) is not null)
        {
            return 0;
        }

        Span<byte> room = stackalloc byte[limits.PATH_MAX];
        int length = mount.Files.FindSocket(node, room, out ulong device, out ulong inode);
        BoundSocket bound = length > 0 ? _sockets.Find(device, inode) : default;
        if (bound.Type == 0)
        {
            return 0;
        }

        ReadOnlySpan<byte> path = room[..length];
        if (mount.Export.Connectable.Match(path))
        {
            return bound.ToWire();
        }

        long told = Interlocked.Read(ref _lastTold);
        if ((told == 0 || _time.GetElapsedTime(told) >= TellInterval) && Interlocked.CompareExchange(ref _lastTold, _time.GetTimestamp(), told) == told)
        {
            Log.SocketNotGiven(_logger, mount.Session.Peer, Encoding.UTF8.GetString(path), mount.Export.Name);
        }

        return 0;
    }
}
