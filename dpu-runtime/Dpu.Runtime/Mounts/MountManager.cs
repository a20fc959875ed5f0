using Dpu.Keeper;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Dpu.Qtfs.Mount.Sockets;
using Dpu.Runtime.Events;
using Dpu.Runtime.Hosts;
using Dpu.Systemd;
using Grpc.Core;

namespace Dpu.Runtime.Mounts;

/// <summary>
/// Every mount of this DPU: those of the configuration, made whenever their host is up and they do not stand, and those
/// an operator asked for. Thread-safe.
/// </summary>
public sealed partial class MountManager : IAsyncDisposable, IHealthProbe
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(2);

    private readonly HostLinks _hosts;
    private readonly Keeping _keeping;
    private readonly ISocketRelays? _sockets;
    private readonly EventHub _events;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly List<MountEntry> _entries = [];
    private readonly ITimer _retry;
    private readonly SlowRequestLimit _slow = new();
    private long _lastId;
    private bool _stopped;

    /// <summary>A manager without mounts.</summary>
    public MountManager(HostLinks hosts, Keeping keeping, EventHub events, TimeProvider time, ILogger<MountManager> logger, ISocketRelays? sockets = null)
    {
        _sockets = sockets;
        _hosts = hosts;
        _keeping = keeping;
        _events = events;
        _time = time;
        _logger = logger;
        _hosts.Changed += OnHostChanged;
        _retry = time.CreateTimer(_ => StartWaiting(null), null, RetryInterval, RetryInterval);
    }

    /// <summary>All mounts, oldest first.</summary>
    public IReadOnlyList<Mount> All
    {
        get
        {
            lock (_lock)
            {
                return [.. _entries.Select(ToMessage)];
            }
        }
    }

    /// <summary>The mount of a host that a test finds among those that stand; null for none. Where it is, which device and which number it has.</summary>
    internal (string Target, long Device, ulong Id)? Find(string host, Func<RemoteMount, bool> test)
    {
        lock (_lock)
        {
            RemoteMount? found = _entries.Select(entry => entry.Mount).FirstOrDefault(mount => mount is not null && mount.Options.Host == host && test(mount));
            return found is null ? null : (found.Options.Target, found.DeviceNumber, found.Id);
        }
    }

    /// <summary>The mount of a host that has a device number, if it stands.</summary>
    internal RemoteMount? Find(long device)
    {
        lock (_lock)
        {
            return _entries.Select(entry => entry.Mount).FirstOrDefault(mount => mount?.DeviceNumber == device);
        }
    }

    /// <summary>What all mounts have done, oldest first.</summary>
    public IReadOnlyList<MountStats> Stats
    {
        get
        {
            lock (_lock)
            {
                DateTimeOffset now = _time.GetUtcNow();
                return [.. _entries.Select(entry => entry.ToStats(_hosts.Find(entry.Options.Host), now))];
            }
        }
    }

    /// <summary>What the mounts that stand have done, for metrics.</summary>
    public IReadOnlyList<MountFigures> Figures
    {
        get
        {
            lock (_lock)
            {
                return [.. _entries.Select(entry => entry.Figures).OfType<MountFigures>()];
            }
        }
    }

    /// <summary>From when on requests are logged as slow, of mounts that stand too; zero for never.</summary>
    public TimeSpan SlowRequest
    {
        get => _slow.Value;
        set => _slow.Value = value;
    }

    /// <inheritdoc/>
    string IHealthProbe.Name => "mounts";

    /// <inheritdoc/>
    string? IHealthProbe.Problem()
    {
        if (!_lock.TryEnter(ProbeLimit))
        {
            return $"the list of mounts has been locked for over {ProbeLimit.TotalSeconds} s";
        }

        _lock.Exit();
        return null;
    }

    /// <summary>
    /// Unmounts the configured mounts that are not in the list, and what lies inside of them; other mounts that an operator
    /// made stay. What has to be made again, for a mount around it comes or goes, is unmounted too.
    /// </summary>
    /// <returns>What changed, in words.</returns>
    public IReadOnlyList<string> RemoveAllBut(IReadOnlyList<RemoteMountOptions> wanted)
    {
        List<string> applied = [];
        List<MountEntry> removed;
        lock (_lock)
        {
            removed = Unwanted(wanted);
            foreach (MountEntry entry in removed)
            {
                entry.Removed = true;
                _entries.Remove(entry);
                applied.Add($"mount {entry.Options.Target} removed");
            }
        }

        UnmountAll(removed);
        return applied;
    }

    /// <summary>Makes the mounts of the list that are not there yet, once their hosts are. After <see cref="RemoveAllBut"/>.</summary>
    /// <returns>What changed, in words.</returns>
    public IReadOnlyList<string> Add(IReadOnlyList<RemoteMountOptions> wanted)
    {
        List<string> applied = [];
        lock (_lock)
        {
            foreach (RemoteMountOptions options in wanted.Where(options => !_entries.Any(entry => entry.Options == options)))
            {
                _entries.Add(new MountEntry(++_lastId, options, configured: true));
                applied.Add($"mount {options.Target} added");
            }
        }

        StartWaiting(null);
        return applied;
    }

    /// <summary>Mounts now.</summary>
    /// <exception cref="MountException">It could not be mounted.</exception>
    public Mount Create(RemoteMountOptions options)
    {
        HostLink link = _hosts.Find(options.Host) ?? throw new MountException(
            StatusCode.NotFound,
            $"no host '{options.Host}' is configured; known are: {Known(_hosts.All.Select(host => host.HostName))}. Add it to hosts[] in the runtime's configuration and reload");
        if (!link.IsUp)
        {
            throw new MountException(
                StatusCode.Unavailable,
                $"host '{options.Host}' is not connected{(link.State.Error.Length > 0 ? ": " + link.State.Error : " yet")}. Try again when 'dpuctl host list' shows it up, or name the mount in the runtime's configuration, which waits for the host");
        }

        MountEntry entry;
        lock (_lock)
        {
            if (_stopped)
            {
                throw new MountException(StatusCode.Unavailable, "the runtime is stopping");
            }

            if (_entries.FirstOrDefault(other => other.Options.Target == options.Target) is { } present)
            {
                throw new MountException(
                    StatusCode.AlreadyExists,
                    $"{options.Target} is {present.Name} of {present.Options.Host}:{present.Options.Export} already; unmount it first, or choose another directory");
            }

            entry = new MountEntry(++_lastId, options, configured: false) { Starting = true };
            _entries.Add(entry);
        }

        try
        {
            Start(entry, link);
            StartWaiting(null);
            lock (_lock)
            {
                return ToMessage(entry);
            }
        }
        catch
        {
            lock (_lock)
            {
                _entries.Remove(entry);
            }

            throw;
        }
    }

    /// <summary>Unmounts.</summary>
    /// <param name="matches">Which mount.</param>
    /// <param name="lazy">Detach now, end when the last user goes.</param>
    /// <param name="recursive">First the mounts of hosts inside of it.</param>
    /// <param name="subject">How the caller named it, for the error.</param>
    /// <exception cref="MountException">There is none, or it is busy.</exception>
    public void Delete(Func<Mount, bool> matches, bool lazy, bool recursive, string subject)
    {
        MountEntry? entry;
        MountEntry[] inner;
        lock (_lock)
        {
            entry = _entries.FirstOrDefault(candidate => matches(ToMessage(candidate)));
            // Detached, the outer one takes them along.
            inner = entry is null || !(recursive || lazy) ? [] : Below(entry.Options.Target);
        }

        if (entry is null)
        {
            throw new MountException(StatusCode.NotFound, $"no mount {subject}; 'dpuctl mounts' lists them");
        }

        foreach (MountEntry one in Nesting.InnermostFirst(inner).Append(entry))
        {
            Unmount(one, lazy);
        }
    }

    /// <summary>Unmounts everything, by detaching what is in use, but what is left with the keeper.</summary>
    public async ValueTask DisposeAsync()
    {
        _hosts.Changed -= OnHostChanged;
        await _retry.DisposeAsync().ConfigureAwait(false);
        MountEntry[] entries;
        MountEntry[] left;
        lock (_lock)
        {
            _stopped = true;
            left = KeepOnStop ? Left() : [];
            foreach (MountEntry entry in left)
            {
                Log.MountLeft(_logger, entry.Options.Target);
            }

            entries = [.. _entries.Except(left)];
            _entries.Clear();
        }

        await Task.Factory.StartNew(() => UnmountAll(entries), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
    }

    private static string Known(IEnumerable<string> names)
    {
        string list = string.Join(", ", names);
        return list.Length > 0 ? list : "none";
    }

    private Mount ToMessage(MountEntry entry) => entry.ToMessage(_hosts.Find(entry.Options.Host)?.IsUp ?? false);

    private void OnHostChanged(HostLink link)
    {
        lock (_lock)
        {
            foreach (MountEntry entry in _entries.Where(entry => entry.Mount is not null && entry.Options.Host == link.HostName))
            {
                Tell(link.IsUp ? Severity.Info : Severity.Warning, Log.MountStateId, "MountState", $"{entry.Options.Target}: host '{link.HostName}' is {(link.IsUp ? "back" : "away")}", entry);
            }
        }

        if (link.IsUp)
        {
            StartWaiting(link.HostName);
        }
    }

    private void StartWaiting(string? host)
    {
        lock (_lock)
        {
            foreach (MountEntry entry in _entries)
            {
                HostLink? link = _hosts.Find(entry.Options.Host);
                entry.WaitsFor = entry.Mount is null ? AwaitedBy(entry)?.Options.Target : null;
                if (entry.Mount is null && entry.WaitsFor is null && !entry.Starting && !_stopped && link is { IsUp: true } && (host is null || host == link.HostName))
                {
                    entry.Starting = true;
                    _ = Task.Factory.StartNew(() => TryStart(entry, link), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
                }
            }
        }
    }

    private void TryStart(MountEntry entry, HostLink link)
    {
        try
        {
            Start(entry, link);

            // Those inside of it.
            StartWaiting(null);
        }
        catch (MountException e)
        {
            lock (_lock)
            {
                bool isNew = entry.Error != e.Message;
                entry.Error = e.Message;
                if (isNew)
                {
                    Log.MountFailed(_logger, entry.Options.Target, e.Message);
                    Tell(Severity.Error, Log.MountFailedId, "MountFailed", e.Message, entry);
                }
            }
        }
        catch (Exception e)
        {
            // A bug: say it; the next tick tries again.
            Log.MountFailed(_logger, entry.Options.Target, e.ToString());
        }
    }

    private void Start(MountEntry entry, HostLink link)
    {
        try
        {
            RequirePlace(entry);
            RemoteMount mount = RemoteMount.Start(entry.Options, new HostConnector(_hosts, link.HostName, _time, _sockets), _logger, _slow, _keeping, entry.Configured, _time.GetUtcNow());
            bool unwanted;
            lock (_lock)
            {
                entry.Mount = mount;
                entry.MountTime = _time.GetUtcNow();
                entry.Error = "";
                unwanted = entry.Removed || _stopped;
                Tell(Severity.Info, Log.MountStateId, "Mounted", $"{entry.Options.Host}:{entry.Options.Export} mounted at {entry.Options.Target}", entry);
            }

            _ = mount.Ended.ContinueWith(_ => OnEnded(entry), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            if (unwanted)
            {
                UnmountForGood(entry);
            }
        }
        catch (LinkException e)
        {
            throw new MountException(CodeOf(e), e.Message, e);
        }
        catch (IOException e)
        {
            throw new MountException(StatusCode.FailedPrecondition, $"{entry.Options.Target} cannot be mounted: {e.Message}", e);
        }
        finally
        {
            lock (_lock)
            {
                entry.Starting = false;
            }
        }
    }

    private static StatusCode CodeOf(LinkException e) => e.Status switch
    {
        HelloStatus.ExportUnknown => StatusCode.NotFound,
        HelloStatus.NotPermitted => StatusCode.PermissionDenied,
        HelloStatus.Limit => StatusCode.ResourceExhausted,
        _ => StatusCode.Unavailable,
    };

    private void OnEnded(MountEntry entry)
    {
        lock (_lock)
        {
            entry.Mount = null;
            if (_entries.Contains(entry))
            {
                // umount(8), not us. What the configuration names is not mounted again until a reload: the operator meant it.
                _entries.Remove(entry);
            }

            Tell(Severity.Info, Log.MountStateId, "Unmounted", $"{entry.Options.Target} unmounted", entry);
        }
    }

    private void UnmountForGood(MountEntry entry)
    {
        if (entry.Mount is not { } mount)
        {
            return;
        }

        try
        {
            mount.Unmount(lazy: false);
        }
        catch (IOException)
        {
            // Expected where it is in use: its users keep their open files until they close them or the runtime ends.
            TryDetach(mount);
        }

        if (!mount.Ended.Wait(TimeSpan.FromSeconds(5)))
        {
            mount.Dispose();
        }
    }

    private void TryDetach(RemoteMount mount)
    {
        try
        {
            mount.Unmount(lazy: true);
        }
        catch (IOException e)
        {
            Log.MountFailed(_logger, mount.Options.Target, $"it cannot be detached: {e.Message}");
        }
    }

    private void Tell(Severity severity, int id, string code, string message, MountEntry entry) =>
        _events.Publish(new Event { Severity = severity, Id = id, Code = code, Message = message, Mount = ToMessage(entry) });
}
