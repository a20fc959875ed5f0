using System.Net.Sockets;
using Dpu.Link.Listener;
using Dpu.Link.Sockets;

namespace Dpu.Link;

/// <summary>
/// Listens on endpoints, proves who connects, and hands connections to services. One thread accepts an endpoint, each
/// connection has its own thread from its first byte to its end. Nothing is listened on without authentication:
/// certificates (tcp, vsock) or the uid (unix). Thread-safe.
/// </summary>
public sealed partial class LinkListener : IDisposable
{
    private readonly LinkListenerOptions _options;
    private readonly Dictionary<string, ILinkService> _services;
    private readonly ConnectionLimits _limits;
    private readonly LogGate _acceptGate;
    private readonly LogGate _refusalGate;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _lock = new();
    private readonly List<ListeningSocket> _sockets = [];
    private readonly List<Thread> _acceptors = [];
    private readonly HashSet<Worker> _workers = [];
    private volatile ILinkPeerPolicy _policy;
    private bool _started;
    private bool _stopped;

    /// <summary>Prepares a listener; <see cref="Start"/> binds.</summary>
    /// <exception cref="ArgumentException">A tcp or vsock endpoint without credentials, no endpoint, or a doubled service.</exception>
    public LinkListener(LinkListenerOptions options, IEnumerable<ILinkService> services)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        if (options.Endpoints.Count == 0)
        {
            throw new ArgumentException("A listener needs an endpoint.", nameof(options));
        }

        foreach (var endpoint in options.Endpoints)
        {
            if (endpoint.Transport != LinkTransport.Unix && options.Credentials is null)
            {
                throw new ArgumentException($"Listening on {endpoint} needs a certificate: configure 'tls', or listen on a unix socket only. There is no listening without authentication.", nameof(options));
            }
        }

        if (options.Credentials is { Identity.Role: not LinkRole.Host } credentials)
        {
            throw new ArgumentException($"A listener needs a certificate of the role host, this one is of {credentials.Identity}: 'dpuctl pki issue host NAME'.", nameof(options));
        }

        _policy = options.Policy;
        _services = services.ToDictionary(s => s.Name, StringComparer.Ordinal);
        _limits = new ConnectionLimits(options.MaxHandshakes, options.MaxHandshakesPerOrigin, options.MaxConnections);
        _acceptGate = new LogGate(options.Time, burst: 5, TimeSpan.FromSeconds(10));
        _refusalGate = new LogGate(options.Time, burst: 20, TimeSpan.FromSeconds(1));
    }

    /// <summary>Told of every refused connection on its thread, unlike the log without limit of rate: kind, origin, reason.</summary>
    public event Action<LinkError, string, string>? ConnectionRefused;

    /// <summary>Where it listens, with the ports that the kernel chose; empty before <see cref="Start"/>.</summary>
    public IReadOnlyList<LinkEndpoint> Bound
    {
        get
        {
            lock (_lock)
            {
                return [.. _sockets.Select(s => s.Bound)];
            }
        }
    }

    /// <summary>Connections in service now.</summary>
    public int Connections => _limits.Connections;

    /// <summary>Connections being set up now.</summary>
    public int Handshakes => _limits.Handshakes;

    /// <summary>Binds all endpoints and starts to accept; on a failure none stays bound.</summary>
    /// <exception cref="LinkException">An endpoint cannot be listened on.</exception>
    public void Start()
    {
        lock (_lock)
        {
            if (_started || _stopped)
            {
                throw new InvalidOperationException("A listener starts once.");
            }

            try
            {
                foreach (var endpoint in _options.Endpoints)
                {
                    _sockets.Add(ListeningSocket.Open(endpoint, _options.UnixSocketMode));
                }
            }
            catch
            {
                CloseSockets();
                throw;
            }

            _started = true;
            if (_options.Credentials is not null)
            {
                _options.Credentials.Changed += Recheck;
            }

            foreach (var socket in _sockets)
            {
                var thread = new Thread(() => AcceptLoop(socket)) { IsBackground = true, Name = "link accept" };
                _acceptors.Add(thread);
                thread.Start();
                Log.Listening(_options.Logger, socket.Bound.ToString());
            }
        }
    }

    /// <summary>Takes a new policy; connections that it does not admit are cut.</summary>
    public void SetPolicy(ILinkPeerPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        _policy = policy;
        Recheck();
    }

    /// <summary>Stops accepting, cuts all connections and waits for their threads; false where some had not ended in time.</summary>
    public bool Stop()
    {
        lock (_lock)
        {
            if (_stopped)
            {
                return true;
            }

            _stopped = true;
            foreach (var socket in _sockets)
            {
                socket.ShutDown();
            }
        }

        if (_options.Credentials is not null)
        {
            _options.Credentials.Changed -= Recheck;
        }

        _stopping.Cancel();
        var began = _options.Time.GetTimestamp();
        var ended = true;
        foreach (var thread in _acceptors)
        {
            ended &= Join(thread, began);
        }

        Worker[] workers;
        lock (_lock)
        {
            CloseSockets();
            workers = [.. _workers];
        }

        foreach (var worker in workers)
        {
            worker.Abort();
        }

        var left = workers.Count(worker => !Join(worker.Thread, began));
        if (left > 0)
        {
            Log.StopIncomplete(_options.Logger, left, _options.StopLimit);
        }

        return ended && left == 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        _stopping.Dispose();
    }

    private bool Join(Thread thread, long began)
    {
        // A service may stop its own listener.
        if (thread == Thread.CurrentThread)
        {
            return true;
        }

        var left = _options.StopLimit - _options.Time.GetElapsedTime(began);
        return thread.Join(left > TimeSpan.Zero ? left : TimeSpan.Zero);
    }

    private void CloseSockets()
    {
        foreach (var socket in _sockets)
        {
            socket.Dispose();
        }

        _sockets.Clear();
    }

    // Revoked, or no longer in the policy: such a peer must not go on just because it came before.
    private void Recheck()
    {
        Worker[] workers;
        lock (_lock)
        {
            workers = [.. _workers];
        }

        foreach (var worker in workers)
        {
            if (worker.Peer is { } peer && Objection(peer) is { } reason)
            {
                Log.Cut(_options.Logger, peer.ToString(), peer.Origin, reason);
                worker.Abort();
            }
        }
    }

    private string? Objection(LinkPeer peer)
    {
        if (peer.Uid is { } uid)
        {
            return _policy.NamesOf(uid).Contains(peer.Name, StringComparer.Ordinal) ? null : $"uid {uid} may no longer be {peer.Name}";
        }

        var verdict = CertificateVerifier.Judge(peer.Certificate, _options.Credentials!.Current, CertificateVerifier.ClientAuthentication, _options.Time.GetUtcNow());
        return verdict.Identity is null ? verdict.Reason
            : _policy.Admits(verdict.Identity) ? null
            : $"the policy no longer lists {verdict.Identity}";
    }

    /// <summary>One connection's thread, and how to cut it.</summary>
    private sealed class Worker(LinkStream transport, Socket socket, string origin, LinkEndpoint endpoint)
    {
        private volatile LinkPeer? _peer;

        internal LinkStream Transport { get; } = transport;

        internal Socket Socket { get; } = socket;

        internal string Origin { get; } = origin;

        internal LinkEndpoint Endpoint { get; } = endpoint;

        internal Thread Thread { get; set; } = null!;

        /// <summary>The proven peer; null before.</summary>
        internal LinkPeer? Peer
        {
            get => _peer;
            set => _peer = value;
        }

        internal void Abort() => Transport.Abort();
    }
}
