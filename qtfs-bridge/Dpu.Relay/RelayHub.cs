using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Relay.Counters;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Flow;
using Dpu.Relay.Terminals;
using Microsoft.Extensions.Logging;

namespace Dpu.Relay;

/// <summary>All relays of a daemon, on as many threads as it has processors (four at most). Thread-safe.</summary>
public sealed partial class RelayHub : IDisposable
{
    private const int MaxLoops = 4;

    // Sources that one loop may have more than another: what comes and goes is served where it comes.
    private const int MostUneven = 8;

    private readonly ConcurrentDictionary<long, Flow.Relay> _relays = new();
    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly LoopPolling _polling = new();
    private RelayLoop[]? _loops;
    private long _lastId;
    private long _lastListener;
    private readonly ConcurrentDictionary<(string Peer, Guid Token), Flow.Relay> _lasting = new();
    private readonly ConcurrentDictionary<string, ulong> _processes = new(StringComparer.Ordinal);
    private long _broken;
    private long _resumed;
    private long _dropped;
    private long _passed;
    private long _reused;
    private long _sent;
    private long _received;
    private bool _disposed;

    /// <summary>A hub without threads, until there is something to relay.</summary>
    public RelayHub(TimeProvider time, ILogger<RelayHub> logger)
    {
        _time = time;
        _logger = logger;
        Terminals = new TerminalTable(time);
        Counters = new CounterWatch(time, logger);
    }

    /// <summary>
    /// How long a thread of relays looks for the next message of a conversation before it sleeps, at most: that takes a processor meanwhile, and spares the
    /// time of waking it. Zero at first, for never; changes take effect at once.
    /// </summary>
    public TimeSpan BusyPoll
    {
        get => _polling.Limit;
        set => _polling.Limit = value;
    }

    /// <summary>How long these threads have looked so.</summary>
    public TimeSpan Polled => _polling.Total;

    /// <summary>Relays begun.</summary>
    public long Opened => Interlocked.Read(ref _lastId);

    /// <summary>Relays that neither program ended: the link broke, or a program's connection did.</summary>
    public long Broken => Interlocked.Read(ref _broken);

    /// <summary>How often a relay has gone on with another connection of the link.</summary>
    public long ResumedCount => Interlocked.Read(ref _resumed);

    /// <summary>Relays begun on a connection of the link that another one has left.</summary>
    public long Reused => Interlocked.Read(ref _reused);

    /// <summary>Descriptors that programs sent beside their data and that did not cross.</summary>
    public long DroppedDescriptors => Interlocked.Read(ref _dropped);

    /// <summary>Descriptors that programs here have passed, and that crossed.</summary>
    public long PassedDescriptors => Interlocked.Read(ref _passed);

    /// <summary>Bytes from local programs, of relays that there are and that there were.</summary>
    public long Sent => Interlocked.Read(ref _sent) + _relays.Values.Sum(relay => relay.Snapshot().Sent);

    /// <summary>Bytes to local programs, of relays that there are and that there were.</summary>
    public long Received => Interlocked.Read(ref _received) + _relays.Values.Sum(relay => relay.Snapshot().Received);

    /// <summary>How many there are.</summary>
    public int Count => _relays.Count;

    /// <summary>Those that there are, the oldest first.</summary>
    public IReadOnlyList<RelaySnapshot> Relays => [.. _relays.Values.Select(relay => relay.Snapshot()).OrderBy(relay => relay.Id)];

    /// <summary>Begins to relay; both are the hub's from now on.</summary>
    /// <param name="local">What <see cref="RelayInfo.End"/> says: a unix socket, connected, or the end of a pipe that does not wait.</param>
    /// <param name="link">A connection of the link after its first frame; kept where it was accepted.</param>
    /// <param name="info">What it is between.</param>
    /// <param name="speaker">Whom its messages are from, for local programs that ask; null for this process.</param>
    /// <param name="ended">Told at its end, whether it broke off; must not block.</param>
    /// <param name="continuity">How it outlives the connection; null where it does not.</param>
    /// <param name="passing">Carries descriptors that programs pass; null where none cross.</param>
    /// <param name="spare">Given the connection when it can carry another relay; must not block. Null where it ends with this one.</param>
    /// <returns>What breaks it off.</returns>
    public IDisposable Start(
        SafeHandle local, LinkConnection link, RelayInfo info, ucred? speaker = null, Action<bool>? ended = null, RelayContinuity? continuity = null, IDescriptorPassing? passing = null,
        Action<SpareConnection>? spare = null)
    {
        ArgumentNullException.ThrowIfNull(link);
        IDisposable breaker = Start(local, LinkOf(link), info, speaker, ended, continuity, passing, spare is null || !SpareConnection.IsAgreed(link) ? null : (_, behind) => spare(new SpareConnection(link, behind)));
        Interlocked.Add(ref _reused, link.IsNext ? 1 : 0);
        return breaker;
    }

    internal static IRelayLink LinkOf(LinkConnection link) => link.IsPlain ? new PlainLink(link) : new TlsLink(link.Poll());

    internal IDisposable Start(
        SafeHandle local, IRelayLink link, RelayInfo info, ucred? speaker = null, Action<bool>? ended = null, RelayContinuity? continuity = null, IDescriptorPassing? passing = null,
        Action<IRelayLink, byte[]>? spare = null)
    {
        long id = Interlocked.Increment(ref _lastId);
        var relay = new Flow.Relay(this, id, local, link, info, _time.GetUtcNow(), speaker, continuity, passing) { Ended = ended, Spare = continuity is null ? null : spare };
        _relays[id] = relay;
        relay.Home = HereOrEven(id);
        relay.Home.Add(relay);
        if (continuity is not null)
        {
            // Not before: who resumes it finds it in its loop. It may have left that already.
            _ = _lasting.TryAdd((info.Peer, continuity.Token), relay);
            Forget(relay, relay.HasLeft);
        }

        return new Breaker(relay);
    }

    /// <summary>Asks for a relay on a connection that another one has left; does not block.</summary>
    /// <param name="spare">The connection; the hub's until it is answered.</param>
    /// <param name="parameters">What is asked.</param>
    /// <param name="answered">Called once, on a thread that must not be kept.</param>
    /// <exception cref="ObjectDisposedException">The hub has ended.</exception>
    public void Ask(LinkConnection spare, RelayParameters parameters, Action<NextRelay> answered)
    {
        ArgumentNullException.ThrowIfNull(spare);
        ArgumentNullException.ThrowIfNull(parameters);
        IRelayLink link = LinkOf(spare);
        Here(Interlocked.Increment(ref _lastListener)).Add(new AskingLink(link, Wire.RelayFrame.Of(Wire.RelayFrameKind.Next, parameters), RelayDialer.Limit, (content, problem) =>
        {
            NextRelay answer = NextRelay.Read(spare, parameters, content, problem);
            if (answer.Connection is null)
            {
                link.Dispose();
            }

            answered(answer);
        }));
    }

    /// <summary>Has a loop wait for what is asked next; it is the hub's from now on.</summary>
    internal void Add(IdleLink idle)
    {
        try
        {
            Here(Interlocked.Increment(ref _lastListener)).Add(idle);
        }
        catch (ObjectDisposedException)
        {
            // Expected: the daemon is stopping.
            idle.Leave();
        }
    }

    internal void Failed(Exception e) => Log.LoopBug(_logger, e);

    internal void Violated(LinkConnection connection, string reason) => Log.Violation(_logger, connection.Peer.Name, reason);

    /// <summary>Accepts connections of a listening unix socket, which is the hub's from now on.</summary>
    /// <param name="listener">The socket.</param>
    /// <param name="accepted">Given each connection, on a thread that must not be kept.</param>
    /// <returns>What ends it; then who connects is refused, and who waits to be accepted gets ECONNRESET.</returns>
    public IDisposable Listen(SafeHandle listener, Action<SafeHandle> accepted)
    {
        var source = new ListenerSource(listener, accepted);
        Loop(Interlocked.Increment(ref _lastListener)).Add(source);
        return source;
    }

    /// <summary>Carries what a process reads and writes, from <see cref="Processes.ProcessChannel.Begin"/> on; without a connection at first.</summary>
    /// <param name="streams">Which; the channel's from now on.</param>
    /// <param name="owner">Told of the rest.</param>
    public Processes.ProcessChannel Carry(Processes.ProcessStreams streams, Processes.IProcessChannelOwner owner)
    {
        ArgumentNullException.ThrowIfNull(streams);
        return new Processes.ProcessChannel(Loop(Interlocked.Increment(ref _lastListener)), owner, streams.Take());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            Array.ForEach(_loops ?? [], loop => loop.Dispose());
        }

        EndAttached();
    }

    /// <summary>Bytes that relays keep until the other end says to have them.</summary>
    public long KeptBytes => _relays.Values.Sum(relay => (long)relay.Kept);

    internal TimeProvider Time => _time;

    /// <summary>A relay of a peer that outlives its connections; null where there is none, or it is another's.</summary>
    internal Flow.Relay? FindLasting(Guid token, string peer) => _lasting.GetValueOrDefault((peer, token));

    /// <summary>A peer's relays are another process's from now on: what earlier ones have lost does not come back.</summary>
    internal void Supersede(string peer, ulong process)
    {
        if (_processes.TryGetValue(peer, out ulong known) && known == process)
        {
            return;
        }

        _processes[peer] = process;
        foreach (Flow.Relay relay in _lasting.Values)
        {
            if (relay.IsAway && IsSuperseded(relay))
            {
                relay.GiveUp();
            }
        }
    }

    /// <summary>Whether the process that would dial for a relay has a successor.</summary>
    internal bool IsSuperseded(Flow.Relay relay) =>
        relay.Continuity is { Process: not 0 and ulong process } && _processes.TryGetValue(relay.Info.Peer, out ulong latest) && latest != process;

    internal void Resumed(Flow.Relay relay)
    {
        Interlocked.Increment(ref _resumed);
        Log.RelayResumed(_logger, relay.Id, relay.Info.Path, relay.Info.Peer);
    }

    internal void Violated(Flow.Relay relay, string reason) => Log.Violation(_logger, relay.Info.Peer, reason);

    internal void Ended(Flow.Relay relay, bool broken, long sent, long received)
    {
        Forget(relay, isOver: true);
        if (_relays.TryRemove(relay.Id, out _))
        {
            Interlocked.Add(ref _sent, sent);
            Interlocked.Add(ref _received, received);
            Interlocked.Add(ref _broken, broken ? 1 : 0);
            Log.RelayEnded(_logger, relay.Id, relay.Info.Path, relay.Info.Peer, broken, sent, received);
        }
    }

    internal void DescriptorsDropped(Flow.Relay relay, int count)
    {
        Interlocked.Add(ref _dropped, count);
        Log.DescriptorsDropped(_logger, relay.Info.Path, relay.Info.Peer, count);
    }

    internal void CountPassed(int passed, int refused)
    {
        Interlocked.Add(ref _passed, passed);
        Interlocked.Add(ref _dropped, refused);
    }

    internal void MessageTooLong(Flow.Relay relay) => Log.MessageTooLong(_logger, relay.Info.Path, relay.Info.Peer, Wire.RelayFrame.MaxContentSize);

    private void Forget(Flow.Relay relay, bool isOver)
    {
        if (isOver && relay.Continuity is { } continuity)
        {
            _ = _lasting.TryRemove(KeyValuePair.Create((relay.Info.Peer, continuity.Token), relay));
        }
    }

    private RelayLoop Loop(long number)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _loops ??= [.. Enumerable.Range(0, Math.Clamp(Environment.ProcessorCount, 1, MaxLoops)).Select(i => new RelayLoop($"relay{i}", e => Log.LoopBug(_logger, e), _polling))];
            return _loops[(int)(number % _loops.Length)];
        }
    }

    // What is soon over, on the thread that asks for it: another one would have to be woken.
    private RelayLoop Here(long number) => RelayLoop.Current is { } own && _loops?.Contains(own) == true ? own : Loop(number);

    // Also what lasts, as long as that leaves no other one idle.
    private RelayLoop HereOrEven(long number)
    {
        RelayLoop here = Here(number);
        return _loops!.MinBy(loop => loop.Count) is { } least && least.Count + MostUneven < here.Count ? least : here;
    }

    private sealed class Breaker(Flow.Relay relay) : IDisposable
    {
        public void Dispose() => relay.Abort();
    }
}
