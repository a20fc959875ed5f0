using System.Runtime.InteropServices;
using System.Text;
using Dpu.Fuse;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Relay;
using Dpu.Relay.Addresses;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Sockets;

/// <summary>Sockets outside of exports: what peers may connect to, and where this machine listens for them. Thread-safe.</summary>
public sealed class HostForwards : IDisposable
{
    /// <summary>Where one peer may listen at a time.</summary>
    private const int MaxListeners = 256;

    // A runtime that takes the place of another one comes before.
    private static readonly TimeSpan DesertedLimit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(5);

    // A listener whose queue is full makes who connects wait; on the DPU that one has its connection already.
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(30);

    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly Dictionary<(string Peer, string Address, int Type), ForwardListener> _listeners = [];
    private readonly ITimer _sweep;
    private volatile IReadOnlyList<ForwardRule> _rules = [];

    /// <summary>Without rules nothing may be reached.</summary>
    public HostForwards(TimeProvider time, ILogger<HostForwards> logger)
    {
        (_time, _logger) = (time, logger);
        _sweep = time.CreateTimer(_ => CloseDeserted(), null, SweepInterval, SweepInterval);
    }

    /// <summary>Puts rules into force; connections that there are go on.</summary>
    public void Configure(IReadOnlyList<ForwardRule> rules)
    {
        _rules = rules;
        Close((peer, address) => Find(peer, address, listens: true) is null);
    }

    /// <summary>Whether a peer may reach what its hello names.</summary>
    public HelloReply Admit(LinkPeer peer, RelayParameters asked)
    {
        bool listens = asked.TargetCase == RelayParameters.TargetOneofCase.Listener;
        string address = listens ? asked.Listener.Address : asked.Address;
        if (UnixAddress.Problem(address) is { } problem)
        {
            return Refuse(HelloStatus.Malformed, $"the address of a socket is malformed: {problem}");
        }

        if (Find(peer.Name, address, listens) is null)
        {
            Log.AddressRefused(_logger, peer.Name, address, listens ? "listen" : "connect");
            return Refuse(HelloStatus.NotPermitted, $"no rule of the host's \"sockets\" names {address} in \"{(listens ? "listen" : "connect")}\" for '{peer.Name}'");
        }

        return new HelloReply { Status = HelloStatus.Ok, Relay = new RelayResult { Path = address } };
    }

    /// <summary>Connects as the caller, or waits for who connects; as <see cref="IRelayTargets.Connect"/>.</summary>
    public int Connect(LinkConnection connection, bool mayWait, out RelayTarget? target)
    {
        ArgumentNullException.ThrowIfNull(connection);
        target = null;
        RelayParameters asked = connection.Hello.Relay;
        bool listens = asked.TargetCase == RelayParameters.TargetOneofCase.Listener;
        string address = listens ? asked.Listener.Address : asked.Address;
        if (Find(connection.Peer.Name, address, listens) is not { } rule)
        {
            return -errno.EACCES;
        }

        // Programs come when they do, and a path may lead to a file system that does not answer.
        if (!mayWait && (listens || !address.StartsWith('@')))
        {
            return -errno.EAGAIN;
        }

        int error = listens ? Accept(connection, rule, out target) : Connect(asked, rule, mayWait, out target);
        if (error < 0 && (mayWait || error != -errno.EAGAIN))
        {
            Log.AddressFailed(_logger, connection.Peer.Name, address, asked.Uid, -error);
        }

        return error;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sweep.Dispose();
        Close((_, _) => true);
    }

    private static HelloReply Refuse(HelloStatus status, string message) => new() { Status = status, Message = message };

    private static int Connect(RelayParameters asked, ForwardRule rule, bool mayWait, out RelayTarget? target)
    {
        target = null;
        FuseWorkerThread.Enter();
        var socket = new SafeFileHandle(sys_socket.socket(sys_socket.AF_UNIX, (int)asked.Type | sys_socket.SOCK_CLOEXEC | (mayWait ? 0 : sys_socket.SOCK_NONBLOCK), 0), ownsHandle: true);
        if (socket.IsInvalid)
        {
            socket.Dispose();
            return -errno.EMFILE;
        }

        if (mayWait)
        {
            SetLimit(socket, ConnectLimit);
        }

        if (asked.Type == UnixSocketType.Dgram)
        {
            // Who receives answers to its sender's address: with this option connect(2) gives the socket one (unix(7), autobind).
            SetOption(socket, sys_socket.SO_PASSCRED);
        }

        Span<uint> groups = stackalloc uint[Math.Min(asked.Groups.Count, IdentityPolicy.MaxGroups)];
        for (int i = 0; i < groups.Length; i++)
        {
            groups[i] = asked.Groups[i];
        }

        int error = rule.Identity.AssumeMapped(new FuseCaller { Uid = asked.Uid, Gid = asked.Gid, SupplementaryGroups = groups }, out uint uid, out uint gid);
        error = error < 0 ? error : asked.Address.StartsWith('@') ? UnixAddress.Connect(socket, asked.Address) : ConnectPath(socket, asked.Address);
        _ = FuseWorkerThread.Leave();
        if (error < 0)
        {
            socket.Dispose();
            return error;
        }

        if (mayWait)
        {
            SetLimit(socket, TimeSpan.Zero);
        }

        target = new RelayTarget(socket, new ucred { pid = Environment.ProcessId, uid = uid, gid = gid }, _ => true, _ => { });
        return 0;
    }

    // The policy has named this path, not where its links lead.
    private static unsafe int ConnectPath(SafeFileHandle socket, string path)
    {
        var how = new open_how { flags = (ulong)(fcntl.O_PATH | fcntl.O_CLOEXEC), resolve = openat2_h.RESOLVE_NO_SYMLINKS };
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            // SAFETY: a NUL-terminated string, pinned; the structure is on this stack.
            int descriptor = LibC.Result(LibC.openat2(fcntl.AT_FDCWD, name, &how));
            if (descriptor < 0)
            {
                return descriptor;
            }

            using var file = new SafeFileHandle(descriptor, ownsHandle: true);
            return UnixAddress.Connect(socket, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"/proc/self/fd/{descriptor}"));
        }
    }

    private int Accept(LinkConnection connection, ForwardRule rule, out RelayTarget? target)
    {
        target = null;
        RelayParameters asked = connection.Hello.Relay;
        var key = (connection.Peer.Name, asked.Listener.Address, (int)asked.Type);
        if (asked.Listener.Closed)
        {
            Close(key);
            return -errno.ECONNREFUSED;
        }

        ForwardListener? listener;
        lock (_lock)
        {
            if (!_listeners.TryGetValue(key, out listener))
            {
                if (_listeners.Keys.Count(one => one.Peer == key.Name) >= MaxListeners)
                {
                    return -errno.ENFILE;
                }

                int error = ForwardListener.TryMake(key.Address, key.Item3, asked.Listener.Mode & 0x1ff, asked.Listener.Uid, asked.Listener.Gid, _time, out listener);
                if (listener is null)
                {
                    return error;
                }

                _listeners.Add(key, listener);
            }
        }

        int result = listener.Accept(connection.Socket.SafeHandle, out SafeFileHandle? accepted);
        if (accepted is not null)
        {
            target = new RelayTarget(accepted, new ucred { pid = Environment.ProcessId, uid = rule.Identity.AnonymousUid, gid = rule.Identity.AnonymousGid }, listener.TryJoin, listener.Leave)
            {
                Visitor = VisitorOf(rule.Identity, accepted),
            };
        }

        return result;
    }

    private static unsafe (uint Uid, uint Gid) VisitorOf(IdentityPolicy policy, SafeHandle accepted)
    {
        ucred credentials;
        uint size = (uint)sizeof(ucred);

        // SAFETY: the kernel writes at most `size` bytes, the local's own size.
        bool known = sys_socket.getsockopt(accepted, sys_socket.SOL_SOCKET, sys_socket.SO_PEERCRED, &credentials, &size) == 0 && credentials.pid != 0;
        return known ? (policy.ToPeerUser(credentials.uid), policy.ToPeerGroup(credentials.gid)) : (IdentityPolicy.Nobody, IdentityPolicy.Nobody);
    }

    private static unsafe void SetLimit(SafeHandle socket, TimeSpan limit)
    {
        var value = new timeval { tv_sec = (nint)limit.TotalSeconds };

        // SAFETY: the local lives on this stack for the call, and its own size is passed.
        _ = sys_socket.setsockopt(socket, sys_socket.SOL_SOCKET, sys_socket.SO_SNDTIMEO, &value, (uint)sizeof(timeval));
    }

    private static unsafe void SetOption(SafeHandle socket, int option)
    {
        int one = 1;

        // SAFETY: an int on the stack, with its own size.
        _ = sys_socket.setsockopt(socket, sys_socket.SOL_SOCKET, option, &one, sizeof(int));
    }

    private ForwardRule? Find(string peer, string address, bool listens) =>
        _rules.FirstOrDefault(rule => rule.Peers.Contains(peer) && (listens ? rule.Listen : rule.Connect).Match(address));

    private void Close((string Peer, string Address, int Type) key)
    {
        ForwardListener? listener;
        lock (_lock)
        {
            _ = _listeners.Remove(key, out listener);
        }

        listener?.Dispose();
    }

    private void Close(Func<string, string, bool> which)
    {
        (string Peer, string Address, int Type)[] keys;
        lock (_lock)
        {
            keys = [.. _listeners.Keys.Where(key => which(key.Peer, key.Address))];
        }

        Array.ForEach(keys, Close);
    }

    private void CloseDeserted()
    {
        (string Peer, string Address, int Type)[] keys;
        lock (_lock)
        {
            keys = [.. _listeners.Where(one => one.Value.Deserted > DesertedLimit).Select(one => one.Key)];
        }

        Array.ForEach(keys, Close);
    }
}
