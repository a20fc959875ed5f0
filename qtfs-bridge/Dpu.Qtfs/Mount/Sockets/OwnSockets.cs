using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Linux.Sockets;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Sockets;

namespace Dpu.Qtfs.Mount.Sockets;

/// <summary>
/// The sockets that programs here have bound below a mount. The kernel tells nobody when a socket begins to listen, so that a thread
/// asks it (sock_diag(7)): often while that is about to happen, seldom later. That one is closed is known by its file, which the kernel
/// forgets then. Thread-safe.
/// </summary>
/// <param name="mount">The mount.</param>
/// <param name="relays">What carries connections.</param>
/// <param name="connect">Connects to the socket on an inode.</param>
internal sealed class OwnSockets(RemoteMount mount, ISocketRelays relays, Func<fuse_entry_out, int, ConnectVisitor> connect) : IDisposable
{
    // Programs listen at once after they have bound, as a rule.
    private const int SoonMilliseconds = 1;
    private const int LaterMilliseconds = 20;
    private const int SeldomMilliseconds = 250;
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, Own> _sockets = [];
    private readonly List<Own> _gone = [];
    private readonly AutoResetEvent _look = new(false);
    private readonly SocketStates _states = new(TimeProvider.System);
    private Thread? _thread;
    private volatile int _count;
    private bool _ended;

    /// <summary>Whether there is none.</summary>
    public bool IsEmpty => _count == 0;

    /// <summary>Whether a host may give a socket that node.</summary>
    public static bool IsOrdinary(ulong node) => node is not (0 or FuseConstants.FUSE_ROOT_ID or HiddenDirectory.Node);

    /// <summary>A program is about to have one.</summary>
    /// <param name="entry">The host's answer to its MKNOD.</param>
    /// <param name="socket">The program's; owned from now on.</param>
    /// <param name="header">That request.</param>
    public void Add(in fuse_entry_out entry, BindingSocket socket, in fuse_in_header header) =>
        Add(entry, socket.Type, header.uid, header.gid, (int)header.pid, () => socket.Now, socket);

    /// <summary>Goes on with those that an earlier runtime has had, as the host says.</summary>
    public void Recover(IEnumerable<OfferedNode> offered)
    {
        foreach (OfferedNode node in offered)
        {
            if (BoundSocket.FromWire((uint)node.Type).Type == 0 || !IsOrdinary(node.Node))
            {
                continue;
            }

            (ulong device, ulong inode) = ((ulong)mount.DeviceNumber, node.Inode);
            var entry = new fuse_entry_out { nodeid = node.Node, generation = node.Generation, attr = new fuse_attr { ino = inode, mode = stat.S_IFSOCK, nlink = 1 } };
            Add(entry, (int)node.Type, 0, 0, 0, () => _states.Find(device, inode), null);
        }
    }

    /// <summary>The kernel has forgotten a node.</summary>
    public void Forgotten(ulong node)
    {
        lock (_lock)
        {
            if (_sockets.ContainsKey(node))
            {
                _ = _look.Set();
            }
        }
    }

    /// <summary>Ends all.</summary>
    public void End()
    {
        Own[] all;
        lock (_lock)
        {
            if (_ended)
            {
                return;
            }

            _ended = true;
            all = [.. _sockets.Values];
            _gone.AddRange(all);
            _sockets.Clear();
            _count = 0;
            _ = _look.Set();
        }

        Array.ForEach(all, socket => socket.Offered.BreakOff());
    }

    public void Dispose()
    {
        End();
        _thread?.Join();
        _look.Dispose();
        _states.Dispose();
    }

    private void Add(in fuse_entry_out entry, int type, uint uid, uint gid, int pid, Func<BoundSocket> now, IDisposable? held)
    {
        IOfferedSocket offered = relays.Offer(new OfferedHere(mount.Options.Host, mount.Options.Target, () => mount.Id, entry.nodeid, type, uid, gid, pid, connect(entry, type)));
        var own = new Own(offered, now, held);
        Own? old = null;
        bool ended;
        lock (_lock)
        {
            ended = _ended;
            if (!ended)
            {
                if (_sockets.Remove(entry.nodeid, out old))
                {
                    _gone.Add(old);
                }

                _sockets.Add(entry.nodeid, own);
                _count = _sockets.Count;
                if (_thread is null)
                {
                    _thread = new Thread(Run, 256 * 1024) { IsBackground = true, Name = "own sockets" };
                    _thread.Start();
                }
            }
        }

        old?.Offered.BreakOff();
        if (ended)
        {
            own.Offered.BreakOff();
            held?.Dispose();
            return;
        }

        _ = _look.Set();
    }

    private void Run()
    {
        int wait = Timeout.Infinite;
        while (true)
        {
            bool asked = _look.WaitOne(wait);
            KeyValuePair<ulong, Own>[] all;
            lock (_lock)
            {
                if (_ended)
                {
                    _gone.ForEach(socket => socket.Held?.Dispose());
                    return;
                }

                all = [.. _sockets];
            }

            long now = Environment.TickCount64;
            wait = Timeout.Infinite;
            foreach ((ulong node, Own socket) in all)
            {
                if ((asked || now >= socket.LookAt) && !Look(socket, now))
                {
                    Close(node, socket);
                    continue;
                }

                int left = (int)Math.Clamp(socket.LookAt - now, 1, SeldomMilliseconds);
                wait = wait == Timeout.Infinite ? left : Math.Min(wait, left);
            }
        }
    }

    // False where it is closed.
    private static bool Look(Own socket, long now)
    {
        BoundSocket found = socket.Now();
        if (found.Type == 0)
        {
            return false;
        }

        if (found.Receives && !socket.Listens)
        {
            socket.Listens = true;
            socket.Offered.Listen();
        }

        socket.LookAt = now + (socket.Listens || socket.Held is null ? SeldomMilliseconds
            : now - socket.Began < (long)Soon.TotalMilliseconds ? SoonMilliseconds
            : LaterMilliseconds);
        return true;
    }

    private void Close(ulong node, Own socket)
    {
        lock (_lock)
        {
            if (_sockets.GetValueOrDefault(node) == socket)
            {
                _ = _sockets.Remove(node);
                _count = _sockets.Count;
            }
        }

        socket.Offered.End();
        socket.Held?.Dispose();
    }

    private sealed class Own(IOfferedSocket offered, Func<BoundSocket> now, IDisposable? held)
    {
        public IOfferedSocket Offered { get; } = offered;

        public Func<BoundSocket> Now { get; } = now;

        public IDisposable? Held { get; } = held;

        public long Began { get; } = Environment.TickCount64;

        public long LookAt { get; set; }

        public bool Listens { get; set; }
    }
}
