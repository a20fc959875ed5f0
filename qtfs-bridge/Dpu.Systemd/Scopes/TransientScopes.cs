using System.Collections.Concurrent;
using Dpu.Systemd.Bus;

namespace Dpu.Systemd.Scopes;

/// <summary>How scopes are made. Immutable.</summary>
/// <param name="Addresses">Where systemd is asked, in turn: brokers, or its own socket.</param>
/// <param name="Slice">The slice that they are in.</param>
/// <param name="Limit">Within which time systemd must do what it is asked.</param>
public sealed record TransientScopeOptions(IReadOnlyList<string> Addresses, string Slice, TimeSpan Limit)
{
    /// <summary>The machine's bus, and systemd's own socket, which is there without one.</summary>
    public static IReadOnlyList<string> SystemAddresses { get; } = ["unix:path=/run/dbus/system_bus_socket", "unix:path=/run/systemd/private"];

    /// <summary>How long one that has not answered is not asked again.</summary>
    public TimeSpan Pause { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>What became of a scope.</summary>
/// <param name="Folder">Its cgroup's directory; null where the process is not in it.</param>
/// <param name="Problem">Why it is not.</param>
/// <param name="Asked">Whether systemd was asked at all; where it was not, it did not answer a moment ago, or was not there.</param>
/// <param name="MayCome">Whether systemd, which was asked and did not answer, may make it later.</param>
public readonly record struct ScopeResult(string? Folder, string Problem, bool Asked, bool MayCome);

/// <summary>
/// Has systemd put processes into scopes: units that it makes for what others have begun. Nothing here waits longer than the limit; one that does
/// not answer is left alone for a while. Calls block. Thread-safe.
/// </summary>
/// <param name="options">How.</param>
/// <param name="time">The clock.</param>
/// <param name="changed">Told when systemd takes scopes (true) or does not, and why; at first in either case.</param>
public sealed class TransientScopes(TransientScopeOptions options, TimeProvider time, Action<bool, string> changed) : IDisposable
{
    /// <summary>The job is over, and did what it should.</summary>
    private const string Done = "done";
    private const string NoSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMilliseconds(50);

    // systemd is being executed anew, or its bus is: it is there again in a moment.
    private static readonly string[] s_passing =
    [
        "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Disconnected",
        "org.freedesktop.DBus.Error.Spawn.ChildExited", "org.freedesktop.DBus.Error.Spawn.ExecFailed", "org.freedesktop.DBus.Error.Spawn.ChildSignaled",
    ];

    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<string, TaskCompletionSource<string>> _jobs = new(StringComparer.Ordinal);
    private Connection? _connection;
    private ISystemdManager? _manager;
    private long _deafSince;
    private bool? _there;
    private bool _disposed;

    /// <summary>Whether systemd runs this machine (sd_booted(3)).</summary>
    public static bool IsBooted => Directory.Exists("/run/systemd/system");

    /// <summary>Puts a process into a scope of its own.</summary>
    /// <param name="unit">The scope's name.</param>
    /// <param name="process">The process, which must not end meanwhile, as seen by systemd.</param>
    /// <param name="description">For people.</param>
    /// <param name="processors">A mask of the processors of all in it, least significant byte first; null for all.</param>
    /// <param name="nodes">Likewise of the NUMA nodes of its memory.</param>
    public ScopeResult Start(string unit, int process, string description, byte[]? processors = null, byte[]? nodes = null)
    {
        long since = time.GetTimestamp();
        (bool asked, bool mayCome) = (false, false);
        string problem;
        while (true)
        {
            lock (_lock)
            {
                if (IsDeaf)
                {
                    problem = "systemd did not answer a moment ago";
                    break;
                }
            }

            TimeSpan left = options.Limit - time.GetElapsedTime(since);
            if (left <= TimeSpan.Zero)
            {
                problem = Unanswered;
                Deaf(problem);
                break;
            }

            try
            {
                ISystemdManager manager = Manager(left);
                (asked, mayCome) = (true, true);
                problem = Ask(manager, unit, Properties(process, description, processors, nodes), options.Limit - time.GetElapsedTime(since));
                mayCome = false;
                break;
            }
            catch (DBusException e) when (!s_passing.Contains(e.ErrorName))
            {
                (problem, mayCome) = (e.Message, false);
                break;
            }
            catch (Exception e) when (e is DBusException or DisconnectedException)
            {
                problem = e.Message;
                Drop();
                if (!asked && _there != true)
                {
                    Deaf(problem);
                    break;
                }

                // It was there before, and is being executed anew, perhaps.
                _ = Task.Delay(RetryAfter, time).Wait(options.Limit);
            }
            catch (TimeoutException)
            {
                // It had all the time that was left.
                problem = Unanswered;
                Drop();
                Deaf(problem);
                break;
            }
        }

        // What /proc says counts: an answer may be lost, and anybody may send signals over a bus.
        string? folder = asked ? ScopeFolder.Find(process, unit) : null;
        if (folder is not null)
        {
            Heard();
        }

        return new ScopeResult(folder, problem.Length > 0 ? problem : "systemd says that it is done, and the process is in another cgroup", asked, mayCome && folder is null);
    }

    /// <summary>Sends a signal to all processes of a scope.</summary>
    /// <returns>Why it could not; null where it could, or nothing is left of it.</returns>
    public string? Kill(string unit, int signal)
    {
        long since = time.GetTimestamp();
        try
        {
            ISystemdManager manager = Manager(options.Limit);
            manager.KillUnitAsync(unit, "all", signal).WaitAsync(Left(since), time).GetAwaiter().GetResult();
            return null;
        }
        catch (DBusException e)
        {
            return e.ErrorName == NoSuchUnit ? null : e.Message;
        }
        catch (DisconnectedException e)
        {
            Drop();
            return e.Message;
        }
        catch (TimeoutException)
        {
            Drop();
            Deaf(Unanswered);
            return Unanswered;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _disposed = true;
        Drop();
    }

    private string Unanswered => $"systemd has not answered within {options.Limit.TotalSeconds:0.###} s";

    // Under the lock.
    private bool IsDeaf => _deafSince != 0 && time.GetElapsedTime(_deafSince) < options.Pause;

    private TimeSpan Left(long since) => Max(TimeSpan.FromMilliseconds(1), options.Limit - time.GetElapsedTime(since));

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;

    // Empty where it did.
    private string Ask(ISystemdManager manager, string unit, (string Name, object Value)[] properties, TimeSpan limit)
    {
        long since = time.GetTimestamp();
        var over = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        _jobs[unit] = over;
        try
        {
            ObjectPath job = manager.StartTransientUnitAsync(unit, "fail", properties, []).WaitAsync(limit, time).GetAwaiter().GetResult();
            TimeSpan left = Max(TimeSpan.FromMilliseconds(1), limit - time.GetElapsedTime(since));
            string result = over.Task.WaitAsync(left, time).GetAwaiter().GetResult();
            return result == Done ? "" : $"systemd's job {job} ended with '{result}'";
        }
        finally
        {
            _ = _jobs.TryRemove(unit, out _);
        }
    }

    private (string Name, object Value)[] Properties(int process, string description, byte[]? processors, byte[]? nodes) =>
    [
        ("Description", description),
        ("Slice", options.Slice),

        // It may have groups of its own below; no controller is switched on for that.
        ("DelegateControllers", Array.Empty<string>()),

        // A process is not limited by being in a scope; its slice may be.
        ("TasksMax", ulong.MaxValue),
        ("CollectMode", "inactive-or-failed"),

        // As systemd.resource-control(5) has them, of version 244; without the controller cpuset of v2 it accepts both and does nothing.
        .. processors is null ? [] : ((string, object)[])[("AllowedCPUs", processors)],
        .. nodes is null ? [] : ((string, object)[])[("AllowedMemoryNodes", nodes)],
        ("PIDs", new[] { (uint)process }),
    ];

    private ISystemdManager Manager(TimeSpan limit)
    {
        lock (_lock)
        {
            if (_manager is not null && _connection is { IsOver: false })
            {
                return _manager;
            }

            if (_disposed || IsDeaf)
            {
                throw new DisconnectedException("systemd did not answer a moment ago");
            }

            string problem = "no address of systemd is configured";
            long since = time.GetTimestamp();
            foreach (string address in options.Addresses)
            {
                Drop();
                _connection = new Connection(address);
                try
                {
                    _manager = ConnectAsync(_connection).WaitAsync(Max(TimeSpan.FromMilliseconds(1), limit - time.GetElapsedTime(since)), time).GetAwaiter().GetResult();
                    return _manager;
                }
                catch (Exception e) when (e is DisconnectedException or DBusException)
                {
                    problem = e.Message;
                }
                catch (TimeoutException)
                {
                    // Told within the lock: who waits for it does not try as long again.
                    Drop();
                    Deaf($"{address} has not answered within {options.Limit.TotalSeconds:0.###} s");
                    throw;
                }
            }

            Drop();
            throw new DisconnectedException(problem);
        }
    }

    private async Task<ISystemdManager> ConnectAsync(Connection connection)
    {
        await connection.ConnectAsync().ConfigureAwait(false);
        ISystemdManager manager = connection.CreateManager();
        _ = await manager.WatchJobRemovedAsync(job =>
        {
            if (_jobs.TryGetValue(job.Unit, out TaskCompletionSource<string>? over))
            {
                _ = over.TrySetResult(job.Result);
            }
        }).ConfigureAwait(false);
        await manager.SubscribeAsync().ConfigureAwait(false);
        return manager;
    }

    private void Drop()
    {
        lock (_lock)
        {
            _connection?.Dispose();
            (_connection, _manager) = (null, null);
        }
    }

    private void Deaf(string why)
    {
        lock (_lock)
        {
            if (IsDeaf)
            {
                return;
            }

            bool news = _there != false;
            (_there, _deafSince) = (false, Math.Max(1, time.GetTimestamp()));
            if (news)
            {
                changed(false, why);
            }
        }
    }

    private void Heard()
    {
        lock (_lock)
        {
            bool news = _there != true;
            (_there, _deafSince) = (true, 0);
            if (news)
            {
                changed(true, $"scopes in {options.Slice}");
            }
        }
    }
}
