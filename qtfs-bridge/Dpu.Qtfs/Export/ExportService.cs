using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Coherence;
using Microsoft.Extensions.Logging;

namespace Dpu.Qtfs.Export;

/// <summary>
/// The link's service <c>fs</c> on a host: gives exports to the peers that policy names, each mount with its own nodes
/// and handles, each peer within its limits. Thread-safe.
/// </summary>
public sealed partial class ExportService : ILinkService, IDisposable
{
    /// <summary>Lanes that one mount may open.</summary>
    public const uint MaxLanesPerMount = 128;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, PeerUsage> _peers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ExportSession> _sessions = new(StringComparer.Ordinal);

    // What mounts have done that have ended: at most one entry a peer and export that the policy has ever named.
    private readonly Dictionary<(string Peer, string Export), FuseStatistics> _past = [];
    private readonly ExportServiceOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ChangeWatcher? _watcher;
    private readonly HostMounts? _hostMounts;
    private readonly ITimer _sweep;
    private IReadOnlyList<ExportDefinition> _exports = [];
    private Func<string, ExportLimits> _limits = static _ => new ExportLimits();
    private uint _nextGeneration = (uint)Random.Shared.Next();

    /// <summary>
    /// A service that exports nothing until <see cref="Configure"/>; without a watcher and without
    /// <paramref name="hostMounts"/> DPUs cache nothing that could change; without <paramref name="keeping"/>, and on kernels that use
    /// the numbers of mounts again, mounts end with the process.
    /// </summary>
    public ExportService(
        ExportServiceOptions options, TimeProvider time, ILogger<ExportService> logger, ChangeWatcher? watcher = null, HostMounts? hostMounts = null, Keeping? keeping = null)
    {
        _keeping = keeping is { Socket: not null } && KernelMounts.Available ? keeping : null;
        if (_keeping is not null)
        {
            _keeping.Returned += HoldAgain;
            if (watcher is not null)
            {
                watcher.ClosesForUs = _keeping.IsKeepers;
            }
        }

        _hostMounts = hostMounts;
        _watcher = watcher;
        _options = options;
        Grace = options.Grace;
        _time = time;
        _logger = logger;
        _sweep = time.CreateTimer(_ => Sweep(), null, options.SweepInterval, options.SweepInterval);
    }

    /// <inheritdoc/>
    public string Name => "fs";

    /// <summary>How long a mount without any connection is kept for its DPU.</summary>
    public TimeSpan Grace { get; set; }

    /// <summary>What is exported now.</summary>
    public IReadOnlyList<ExportDefinition> Exports => Volatile.Read(ref _exports);

    /// <summary>
    /// Replaces the policy. Mounts of exports that are gone, were taken from their peer or have changed are ended: their
    /// peers see the lanes close, and a new look-up under the new policy.
    /// </summary>
    public void Configure(IReadOnlyList<ExportDefinition> exports, Func<string, ExportLimits> limits)
    {
        List<ExportedMount> withdrawn = [];
        lock (_lock)
        {
            _exports = exports;
            _limits = limits;
            foreach ((string name, PeerUsage usage) in _peers)
            {
                usage.Change(limits(name));
            }

            foreach (ExportSession session in _sessions.Values)
            {
                withdrawn.AddRange(session.Mounts.Values.Where(mount => !exports.Any(export => IsSamePolicy(export, mount))));
            }

            withdrawn.ForEach(Remove);
        }

        foreach (ExportedMount mount in withdrawn)
        {
            Log.MountWithdrawn(_logger, mount.Export.Name, mount.Session.Peer);
            mount.End();
        }
    }

    /// <inheritdoc/>
    public HelloReply Admit(LinkPeer peer, Hello hello)
    {
        if (hello.ParametersCase != Hello.ParametersOneofCase.Fs || hello.Fs.Export.Length == 0)
        {
            return Refuse(HelloStatus.Malformed, "a hello for service fs must name an export");
        }

        if (ArchitectureOf(hello.Machine) is null)
        {
            return Refuse(HelloStatus.Malformed, "a hello for service fs must name its machine's architecture, x86-64 or arm64: open flags differ between them");
        }

        if (hello.Machine.PageSize is not (4096 or 16384 or 65536))
        {
            return Refuse(HelloStatus.Malformed, $"a hello for service fs must name its machine's page size, 4096, 16384 or 65536; it says {hello.Machine.PageSize}");
        }

        EndEarlierBoots(peer.Name, hello.Machine);
        lock (_lock)
        {
            // Under the lock: a policy that is replaced meanwhile must not give a mount any more.
            if (_exports.FirstOrDefault(candidate => candidate.Matches(hello.Fs.Export) && candidate.Peers.Contains(peer.Name)) is { } export)
            {
                return AdmitMount(peer, hello, export);
            }
        }

        Log.ExportRefused(_logger, peer.Name, hello.Fs.Export);
        return Refuse(
            HelloStatus.ExportUnknown,
            $"this host exports no '{hello.Fs.Export}' to '{peer.Name}'; add it to exports[], with the peer's name in peers[], in the host agent's configuration and reload it");
    }

    /// <inheritdoc/>
    public void Serve(LinkConnection connection, CancellationToken stopping)
    {
        PeerUsage peer;
        ExportedMount? mount;
        lock (_lock)
        {
            peer = Usage(connection.Peer.Name);
            mount = _sessions.GetValueOrDefault(SessionId(connection.Hello))?.Mounts.GetValueOrDefault(connection.Hello.Fs.MountId);
        }

        if (mount is null || mount.Session.Peer != connection.Peer.Name)
        {
            return;
        }

        if (connection.Hello.Fs.Channel == FsChannel.Notifications)
        {
            Notify(connection, mount, stopping);
            return;
        }

        using var lane = new ExportLane(connection, mount, peer, _time);
        using CancellationTokenRegistration cut = stopping.Register(lane.Cut);
        if (!mount.TryAttach(lane))
        {
            return;
        }

        try
        {
            lane.Serve(stopping);
        }
        catch (FuseChannelException e)
        {
            Log.LaneViolation(_logger, peer.Name, mount.Export.Name, e.Message);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Expected: the link broke, or the lane was cut. The mount waits for the peer's return.
            Log.LaneBroken(_logger, peer.Name, mount.Export.Name, e.Message);
        }
        finally
        {
            mount.Detach(lane);
            ForgetIfEnded(mount);
        }
    }

    private void Notify(LinkConnection connection, ExportedMount mount, CancellationToken stopping)
    {
        if (mount.Changes is not { } changes)
        {
            return;
        }

        using CancellationTokenRegistration cut = stopping.Register(connection.Abort);
        try
        {
            new NotificationLane(connection, changes).Serve(stopping);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Expected: the link broke. The DPU caches nothing until the next one.
            Log.LaneBroken(_logger, connection.Peer.Name, mount.Export.Name, e.Message);
        }
    }

    /// <summary>Whether the service still answers: false where its tables have been locked for longer than <paramref name="limit"/>.</summary>
    public bool IsResponsive(TimeSpan limit)
    {
        if (!_lock.TryEnter(limit))
        {
            return false;
        }

        _lock.Exit();
        return true;
    }

    /// <summary>Ends every mount, or leaves them with the keeper: <see cref="ExportServiceOptions.KeepOnStop"/>.</summary>
    public void Dispose()
    {
        _sweep.Dispose();
        _sockets.Dispose();
        if (_keeping is not null)
        {
            _keeping.Returned -= HoldAgain;
            if (_options.KeepOnStop && _keeping.IsProtected)
            {
                return;
            }
        }

        List<ExportedMount> mounts;
        lock (_lock)
        {
            mounts = [.. _sessions.Values.SelectMany(session => session.Mounts.Values)];
            _sessions.Clear();
        }

        mounts.ForEach(mount => mount.End());
    }

    private static HelloReply Refuse(HelloStatus status, string message) => new() { Status = status, Message = message };

    private static string SessionId(Hello hello) => Convert.ToHexStringLower(hello.SessionId.Span);

    private static bool IsSamePolicy(ExportDefinition export, ExportedMount mount) =>
        export.Peers.Contains(mount.Session.Peer) && export with { Peers = mount.Export.Peers } == mount.Export;

    private HelloReply AdmitMount(LinkPeer peer, Hello hello, ExportDefinition export)
    {
        PeerUsage usage = Usage(peer.Name);
        string id = SessionId(hello);
        if (_sessions.TryGetValue(id, out ExportSession? session) && session.Peer != peer.Name)
        {
            return Refuse(HelloStatus.SessionInvalid, "the session belongs to another peer; start a new one");
        }

        ExportedMount? mount = session?.Mounts.GetValueOrDefault(hello.Fs.MountId);
        if (mount is not null && (mount.Export.Name != export.Name || mount.Ended))
        {
            return Refuse(HelloStatus.SessionInvalid, "the mount's id belongs to a mount that has ended or is of another export; choose a new one");
        }

        if (hello.Fs.Waits && !(mount?.HostLocks ?? hello.Fs.HostLocks))
        {
            return Refuse(HelloStatus.Malformed, "a connection for requests that wait is for a mount with the host's locks; this one's are the DPU's own");
        }

        // The one for what waits is beside the lanes, and a new one takes the old one's place.
        if (!hello.Fs.Waits && mount is { OrdinaryLanes: >= (int)MaxLanesPerMount })
        {
            return Refuse(HelloStatus.Limit, $"the mount has {MaxLanesPerMount} lanes already, which is the most");
        }

        if (mount is null)
        {
            ExportSession[] own = [.. _sessions.Values.Where(other => other.Peer == peer.Name)];
            if ((session is null && own.Length >= usage.Limits.Sessions) || own.Sum(other => other.Mounts.Count) >= usage.Limits.Mounts)
            {
                return Refuse(
                    HelloStatus.Limit,
                    $"'{peer.Name}' has {own.Length} sessions with {own.Sum(other => other.Mounts.Count)} mounts, of {usage.Limits.Sessions} and {usage.Limits.Mounts} allowed; unmount some, or raise limits.sessions or limits.mounts on the host");
            }

            session ??= _sessions[id] = new ExportSession(id, peer.Name, _time.GetUtcNow());
            try
            {
                mount = OpenNew(session, hello, export, usage);
                session.Mounts.Add(hello.Fs.MountId, mount);
            }
            catch (IOException e)
            {
                Log.ExportUnusable(_logger, export.Name, export.Path, e.Message);
                return Refuse(HelloStatus.Unavailable, $"the export '{export.Name}' cannot be opened on the host now: {e.Message}");
            }
            finally
            {
                RemoveIfEmpty(session);
            }

            Log.MountOpened(_logger, export.Name, peer.Name, mount.ReadOnly);
        }

        return new HelloReply
        {
            Status = HelloStatus.Ok,
            Fs = new FsResult
            {
                ReadOnly = mount.ReadOnly,
                MaxMessageSize = (uint)FuseLimits.MaxMessageSize,
                MaxLanes = MaxLanesPerMount,
                NeedsInit = !mount.Initialized,
                Coherent = mount.Changes is not null,
                HostLocks = mount.HostLocks,
                Life = ExportLane.SlotOf(mount, hello.Fs) is null ? 0 : mount.Life,
                State = hello.Fs.Returns ? mount.State : 0,
                Kind = export.Processes ? ExportKind.Proc : ExportKind.Plain,
                Sockets = hello.Fs.Sockets && mount.SocketOf is not null,
                BindsSockets = mount.Bound is not null,
                Offered = { hello.Fs.ListsOffered ? OfferedOf(mount, hello.Fs.OfferedAfter) : [] },
            },
        };
    }

    private void TellLockLimit(PeerUsage usage, string export, string what)
    {
        if (usage.MayTellLockLimit(_time.GetElapsedTime(0)))
        {
            Log.LockLimit(_logger, usage.Name, export, what);
        }
    }

    private PeerUsage Usage(string peer)
    {
        if (!_peers.TryGetValue(peer, out PeerUsage? usage))
        {
            _peers.Add(peer, usage = new PeerUsage(peer, _limits(peer)));
        }

        return usage;
    }

    private void Sweep()
    {
        List<ExportedMount> idle = [];
        lock (_lock)
        {
            foreach (ExportedMount mount in _sessions.Values.SelectMany(session => session.Mounts.Values))
            {
                int cut = mount.CutStalledLanes(_options.MessageTime);
                if (cut > 0)
                {
                    Log.LaneStalled(_logger, mount.Session.Peer, mount.Export.Name, cut, _options.MessageTime.TotalSeconds);
                }

                mount.Bound?.CloseDeserted();
                if (mount.EndIfIdle(Grace))
                {
                    idle.Add(mount);
                }
            }

            idle.ForEach(Remove);
        }

        foreach (ExportedMount mount in idle)
        {
            // Not under the lock: closing its files may wait for a disk.
            (long locks, long files) = (mount.LockOwners, mount.OpenHandles);
            mount.End();
            Log.MountExpired(_logger, mount.Export.Name, mount.Session.Peer, Grace.TotalSeconds, locks, files);
        }

        LookAfterKeeper();
    }

    private void ForgetIfEnded(ExportedMount mount)
    {
        if (!mount.Ended)
        {
            return;
        }

        lock (_lock)
        {
            Remove(mount);
        }
    }

    // Under the lock.
    private void Remove(ExportedMount mount)
    {
        if (mount.Session.Mounts.TryGetValue(mount.Id, out ExportedMount? present) && present == mount)
        {
            mount.Session.Mounts.Remove(mount.Id);
            (string, string) key = (mount.Session.Peer, mount.Export.Name);
            if (!_past.TryGetValue(key, out FuseStatistics? past))
            {
                _past.Add(key, past = new FuseStatistics());
            }

            past.Add(mount.Operations);
        }

        RemoveIfEmpty(mount.Session);
    }

    // Under the lock. A session of the same id may have begun since: that one stays.
    private void RemoveIfEmpty(ExportSession session)
    {
        if (session.Mounts.Count == 0 && _sessions.TryGetValue(session.Id, out ExportSession? present) && ReferenceEquals(present, session))
        {
            _sessions.Remove(session.Id);
        }
    }
}
