using System.Diagnostics;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Dpu.Relay;
using Dpu.Runtime.Events;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Net.Client;

namespace Dpu.Runtime.Hosts;

/// <summary>
/// The link to one host: a control connection that is kept alive and dialled again when it breaks, and the session under
/// which lanes are opened. The control connection's state is the link's state: when it ends, every lane is cut, so that
/// nothing waits for a host that is not there. Thread-safe.
/// </summary>
public sealed class HostLink : IHostConnector, IAsyncDisposable
{
    // Of all links together: a mount may outlive a link whose configuration changed, and take up the next.
    private static long s_epochs;

    private static readonly TimeSpan KeepAliveInterval = TimeSpan.FromSeconds(5);
    // A link that stood for so long is dialled again at once when it breaks.
    private static readonly TimeSpan StandsAfter = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan KeepAliveLimit = TimeSpan.FromSeconds(5);

    private readonly LinkDialer _dialer;
    private readonly EventHub _events;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly LinkSession _session;
    private readonly ManualResetEventSlim _up = new();
    private readonly Lock _lock = new();
    private readonly List<LinkConnection> _lanes = [];

    // Those that have ended are taken out when there are twice as many as there were: there may be ten thousand.
    private readonly List<LinkConnection> _relays = [];
    private int _relaysLimit = 64;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _loop;
    private HostLinkState _state;
    private long _epoch = Interlocked.Increment(ref s_epochs);
    private long _downSince;
    private int _disposed;
    private PeerMounts.PeerMountsClient? _mounts;

    /// <summary>Begins to connect, and keeps at it until it is disposed.</summary>
    public HostLink(HostConfiguration configuration, LinkDialer dialer, LinkSession session, EventHub events, TimeProvider time, ILogger logger)
    {
        Configuration = configuration;
        _dialer = dialer;
        _session = session;
        _events = events;
        _time = time;
        _logger = logger;
        _downSince = time.GetTimestamp();
        Spares = new SpareConnections(time);
        _state = new HostLinkState(LinkState.Connecting, time.GetUtcNow(), "", null, TimeSpan.Zero, 0);
        _loop = Task.Run(RunAsync);
    }

    /// <summary>What the configuration says of the host.</summary>
    public HostConfiguration Configuration { get; }

    /// <inheritdoc/>
    public string HostName => Configuration.Name;

    /// <summary>The link now.</summary>
    public HostLinkState State => Volatile.Read(ref _state);

    /// <inheritdoc/>
    public bool IsUp => _up.IsSet;

    /// <inheritdoc/>
    public long Epoch => Interlocked.Read(ref _epoch);

    /// <inheritdoc/>
    public TimeSpan DownFor => IsUp ? TimeSpan.Zero : _time.GetElapsedTime(Interlocked.Read(ref _downSince));

    /// <summary>What changes the host's mounts; null while the link is down. What it is asked may be lost when the link breaks.</summary>
    public PeerMounts.PeerMountsClient? Mounts => IsUp ? Volatile.Read(ref _mounts) : null;

    /// <summary>The session's number at the host: 16 bytes.</summary>
    public ReadOnlyMemory<byte> SessionId => _session.Id;

    /// <summary>Raised on every change between up and down, on a thread that must not be kept.</summary>
    public event Action<HostLink>? Changed;

    /// <inheritdoc/>
    public bool WaitUp(TimeSpan limit) => _up.Wait(limit);

    /// <inheritdoc/>
    public LinkConnection DialLane(FsParameters parameters, CancellationToken stopping)
    {
        long epoch = Epoch;
        LinkConnection lane = _dialer.Dial(Endpoint, HostName, "fs", _session.Id.ToArray(), hello => hello.Fs = parameters, stopping);
        lock (_lock)
        {
            _lanes.RemoveAll(old => old.Socket.SafeHandle.IsClosed);
            if (epoch == Epoch)
            {
                _lanes.Add(lane);
                return lane;
            }
        }

        // The link went down meanwhile: nobody would cut this lane.
        lane.Dispose();
        throw new LinkException(LinkError.Closed, $"the link to host '{HostName}' went down while a lane was opened");
    }

    /// <summary>Opens a connection of service relay; it breaks off when the link goes down. Blocks for the time of a handshake.</summary>
    /// <exception cref="LinkException">The host is not reachable or refused.</exception>
    public LinkConnection DialRelay(RelayParameters parameters) => DialBeside("relay", hello => hello.Relay = parameters);

    /// <summary>Connections of service relay that relays have left.</summary>
    public SpareConnections Spares { get; }

    /// <summary>One of <see cref="Spares"/> that is as good as one dialled now; null where there is none.</summary>
    public LinkConnection? TakeSpare() => Spares.Take(IsCurrent);

    /// <summary>Whether a connection that has been used is as good as one dialled now.</summary>
    public bool IsCurrent(LinkConnection connection) => _dialer.IsCurrent(connection);

    /// <summary>As <see cref="DialRelay"/>, of service exec.</summary>
    /// <exception cref="LinkException">The host is not reachable or refused.</exception>
    public LinkConnection DialExec(ExecParameters parameters) => DialBeside("exec", hello => hello.Exec = parameters);

    private LinkConnection DialBeside(string service, Action<Hello> ask)
    {
        long epoch = Epoch;
        LinkConnection relay = _dialer.Dial(Endpoint, HostName, service, _session.Id.ToArray(), ask, _stopping.Token);
        lock (_lock)
        {
            if (_relays.Count >= _relaysLimit)
            {
                _relays.RemoveAll(old => old.Socket.SafeHandle.IsClosed);
                _relaysLimit = Math.Max(64, 2 * _relays.Count);
            }

            if (epoch == Epoch)
            {
                _relays.Add(relay);
                return relay;
            }
        }

        relay.Dispose();
        throw new LinkException(LinkError.Closed, $"the link to host '{HostName}' went down while a connection was opened");
    }

    /// <summary>The host as the control interface shows it.</summary>
    public Host ToMessage()
    {
        HostLinkState state = State;
        return new Host
        {
            Name = "hosts/" + HostName,
            Endpoint = Endpoint.ToString(),
            State = state.State,
            StateTime = Timestamp.FromDateTimeOffset(state.Since),
            LastError = state.Error,
            SessionId = Convert.ToHexStringLower(_session.Id.Span),
            SessionStartTime = Timestamp.FromDateTimeOffset(_session.Started),
            Agent = state.Agent,
            Reconnects = state.Reconnects,
            RoundTrip = Duration.FromTimeSpan(state.RoundTrip),
        };
    }

    /// <summary>Ends the link; its lanes are cut.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _stopping.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        Spares.Dispose();
        _stopping.Dispose();

        // Not _up: mounts may still wait on it, and it holds no kernel object.
    }

    private LinkEndpoint Endpoint => Configuration.Endpoint ?? throw new InvalidOperationException("a checked configuration has an endpoint");

    private async Task RunAsync()
    {
        var backoff = new LinkBackoff(Random.Shared);
        int attempt = 0;
        while (!_stopping.IsCancellationRequested)
        {
            string error;
            try
            {
                error = await ConnectAsync(() => attempt = 0).ConfigureAwait(false);
            }
            catch (LinkException e)
            {
                error = e.Message;
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                error = "the runtime is stopping";
            }
            catch (Exception e)
            {
                // A bug, or an error that nobody foresaw: the link must come back all the same.
                Log.LinkFailed(_logger, HostName, e);
                error = e.Message;
            }

            bool stood = State.State == LinkState.Up && _time.GetUtcNow() - State.Since > StandsAfter;
            GoDown(error);
            if (stood)
            {
                // It broke: callers wait, and nobody was refused.
                continue;
            }

            try
            {
                await Task.Delay(backoff.Delay(attempt++), _time, _stopping.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // Expected: the runtime stops.
                return;
            }
        }
    }

    /// <summary>Connects and stays; returns why the link ended.</summary>
    private async Task<string> ConnectAsync(Action connected)
    {
        // Dialling blocks, by design of the link; it must not block the thread pool.
        using LinkConnection control = await Task.Factory.StartNew(
            () => _dialer.Dial(Endpoint, HostName, "control", _session.Id.ToArray(), null, _stopping.Token),
            _stopping.Token,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default).ConfigureAwait(false);
        control.SetTimeouts(TimeSpan.Zero, TimeSpan.Zero);
        var ended = new TaskCompletionSource<Exception?>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var stream = new WatchedStream(control.Stream, why => ended.TrySetResult(why));
        int used = 0;
        using var channel = GrpcChannel.ForAddress("http://" + HostName, new GrpcChannelOptions
        {
            DisposeHttpClient = true,
            HttpHandler = ControlClient.CreateHandler(_ => Interlocked.Exchange(ref used, 1) == 0
                ? ValueTask.FromResult<Stream>(stream)
                : ValueTask.FromException<Stream>(new IOException("the control connection has ended"))),
        });
        var agent = new Agent.AgentClient(channel);
        Volatile.Write(ref _mounts, new PeerMounts.PeerMountsClient(channel));
        while (true)
        {
            long started = _time.GetTimestamp();
            AgentStatus status;
            try
            {
                status = await agent.GetAgentStatusAsync(
                    new GetAgentStatusRequest(),
                    deadline: _time.GetUtcNow().UtcDateTime + KeepAliveLimit,
                    cancellationToken: _stopping.Token).ConfigureAwait(false);
            }
            catch (RpcException e)
            {
                _stopping.Token.ThrowIfCancellationRequested();
                return e.StatusCode == StatusCode.DeadlineExceeded
                    ? $"the host agent has not answered for {KeepAliveLimit.TotalSeconds:0} s; is it stopped or overloaded? The runtime keeps trying"
                    : $"the control connection broke: {e.Status.Detail}";
            }

            GoUp(status.Daemon, _time.GetElapsedTime(started));
            connected();
            await Task.WhenAny(ended.Task, Task.Delay(KeepAliveInterval, _time, _stopping.Token)).ConfigureAwait(false);
            _stopping.Token.ThrowIfCancellationRequested();
            if (ended.Task.IsCompleted)
            {
                Exception? why = await ended.Task.ConfigureAwait(false);
                return why is null ? "the host agent closed the connection; it may be restarting" : $"the connection broke: {why.Message}";
            }
        }
    }

    private void GoUp(DaemonStatus agent, TimeSpan roundTrip)
    {
        HostLinkState old = State;
        if (old.State == LinkState.Up)
        {
            Volatile.Write(ref _state, old with { Agent = agent, RoundTrip = roundTrip });
            return;
        }

        bool again = old.Agent is not null;
        Volatile.Write(
            ref _state,
            new HostLinkState(LinkState.Up, _time.GetUtcNow(), "", agent, roundTrip, old.Reconnects + (again ? 1UL : 0UL)));
        _up.Set();
        Log.LinkUp(_logger, HostName, Endpoint.ToString(), agent.Version, roundTrip.TotalMilliseconds);
        Tell(Severity.Info, Log.LinkUpId, "HostUp", $"host '{HostName}' is up ({agent.Program} {agent.Version})");
    }

    private void GoDown(string error)
    {
        HostLinkState old = State;
        bool wasUp = old.State == LinkState.Up;
        Volatile.Write(ref _state, old with
        {
            State = LinkState.Down,
            Since = old.State == LinkState.Down ? old.Since : _time.GetUtcNow(),
            Error = error,
        });
        if (wasUp)
        {
            // In this order: whoever sees the link down must not see the time of an earlier outage.
            Interlocked.Exchange(ref _downSince, _time.GetTimestamp());
            _up.Reset();
        }

        CutLanes();
        if (wasUp || old.Error != error)
        {
            Log.LinkDown(_logger, HostName, error);
            Tell(Severity.Warning, Log.LinkDownId, "HostDown", $"host '{HostName}' is down: {error}");
        }
    }

    private void CutLanes()
    {
        LinkConnection[] lanes;
        lock (_lock)
        {
            Interlocked.Exchange(ref _epoch, Interlocked.Increment(ref s_epochs));
            lanes = [.. _lanes, .. _relays];
            _lanes.Clear();
            _relays.Clear();
        }

        foreach (LinkConnection lane in lanes)
        {
            // Its own thread disposes of it.
            lane.Abort();
        }

        Spares.Clear();
    }

    private void Tell(Severity severity, int id, string code, string message)
    {
        _events.Publish(new Event { Severity = severity, Id = id, Code = code, Message = message, Host = ToMessage() });
        Changed?.Invoke(this);
    }
}
