using System.Collections.Concurrent;
using System.Globalization;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Machine;
using Dpu.Systemd.Scopes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes.Groups;

/// <summary>
/// Gives each process a group of its own: a scope of systemd's where the configuration wants it and systemd takes it, else a cgroup of the agent's own.
/// Thread-safe.
/// </summary>
public sealed class ProcessGroups : IDisposable
{
    // Of a unit, for people.
    private const int MaxDescription = 200;
    private static readonly TimeSpan RemoveAgain = TimeSpan.FromSeconds(5);

    private readonly TransientScopes _scopes;
    private readonly bool _wanted;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<string, IProcessGroup> _left = new(StringComparer.Ordinal);
    private ITimer? _again;

    /// <param name="configuration">Whose groups are wanted.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The log.</param>
    public ProcessGroups(ProcessesConfiguration configuration, TimeProvider time, ILogger<ProcessGroups> logger)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        (_time, _logger) = (time, logger);
        _wanted = configuration.Scopes == ProcessScopes.Systemd || (configuration.Scopes == ProcessScopes.Auto && (configuration.Bus is not null || TransientScopes.IsBooted));
        _scopes = new TransientScopes(
            new TransientScopeOptions(configuration.Bus is { } bus ? [bus] : TransientScopeOptions.SystemAddresses, configuration.Slice, configuration.AnswerWithin),
            time,
            (there, what) =>
            {
                if (there)
                {
                    Log.ScopesThere(logger, what);
                }
                else
                {
                    Log.ScopesGone(logger, what);
                }
            });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Interlocked.Exchange(ref _again, null)?.Dispose();
        _scopes.Dispose();
        RemoveLeft();
    }

    /// <summary>What a scope is called.</summary>
    internal static string UnitOf(Guid token) => $"dpu-{token.ToString("N", CultureInfo.InvariantCulture)}.scope";

    /// <summary>Makes the group of a process that is to be made, as far as that can be made before it.</summary>
    /// <param name="token">The process's name.</param>
    /// <param name="place">What it is to be bound to; null for nothing.</param>
    internal GroupInMaking Prepare(Guid token, Placement? place)
    {
        var making = new GroupInMaking(token, place);
        if (!_wanted)
        {
            making.MakeOwn();
        }

        return making;
    }

    /// <summary>Makes the rest of it, while the process waits to be told what to become.</summary>
    /// <param name="making">What there is of it.</param>
    /// <param name="process">Its number.</param>
    /// <param name="isIn">Whether it has begun in <see cref="GroupInMaking.Birthplace"/>.</param>
    /// <param name="command">For people.</param>
    /// <param name="doors">What the process itself must write "0" into, each, to be in the group; the caller's.</param>
    /// <returns>Null where there is none.</returns>
    internal IProcessGroup? Make(GroupInMaking making, int process, bool isIn, string command, out IReadOnlyList<SafeFileHandle> doors)
    {
        List<SafeFileHandle> found = [];
        IProcessGroup? group = Make(making, process, isIn, command, found);
        if (making.Place is { } place)
        {
            if (!making.Holds && making.TryBeside(found) is { } cpuset)
            {
                group = group is null ? cpuset : new BoundGroup(group, cpuset);
            }

            if (making.Holds)
            {
                Log.Bound(_logger, process, place, group!.Name);
            }
            else
            {
                Log.NotHeld(_logger, process, place, making.Problem);
            }
        }

        doors = found;
        return group;
    }

    private IProcessGroup? Make(GroupInMaking making, int process, bool isIn, string command, List<SafeFileHandle> doors)
    {
        string unit = UnitOf(making.Token);
        ScopeResult scope = default;
        if (_wanted)
        {
            string description = $"DPU process: {command}";
            scope = _scopes.Start(unit, process, description.Length > MaxDescription ? description[..MaxDescription] : description, making.Processors, making.Nodes);
            if (scope.Folder is { } folder)
            {
                making.IsInScope(folder);
                return new ScopeGroup(_scopes, unit, folder, null);
            }

            if (scope.Asked)
            {
                Log.NoScope(_logger, process, scope.Problem);
            }

            making.MakeOwn();
        }

        if (!isIn && making.Own?.TryOpen() is { } door)
        {
            doors.Add(door);
        }
        else if (!isIn)
        {
            Log.NoCgroup(_logger, process, making.Problem);
        }

        return scope.MayCome ? new ScopeGroup(_scopes, unit, "", making.Own) : making.Own;
    }

    /// <summary>The group that an earlier life of the agent has made; null where it is gone.</summary>
    /// <param name="folder">Of the process's note.</param>
    /// <param name="unit">Of the process's note.</param>
    internal IProcessGroup? Find(string folder, string unit)
    {
        IProcessGroup? group = unit.Length == 0 ? ProcessCgroup.Find(folder)
            : Path.GetFileName(folder) == unit ? new ScopeGroup(_scopes, unit, folder, null)
            : new ScopeGroup(_scopes, unit, "", ProcessCgroup.Find(folder));
        return group is not null && Cpuset.Find(folder.Length > 0 ? folder : unit) is { } cpuset ? new BoundGroup(group, cpuset) : group;
    }

    /// <summary>Kills all that is in a group, on a thread of its own.</summary>
    internal void Kill(IProcessGroup group, int process) => _ = Task.Factory.StartNew(
        () =>
        {
            if (group.Kill() is { } problem)
            {
                Log.ScopeNotKilled(_logger, group.Name, process, problem);
            }
        },
        CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Removes a group, now or when nothing is in it any more.</summary>
    internal void Remove(IProcessGroup group)
    {
        if (group.TryRemove())
        {
            return;
        }

        _left[group.Folder] = group;
        if (Volatile.Read(ref _again) is null)
        {
            ITimer made = _time.CreateTimer(_ => RemoveLeft(), null, RemoveAgain, RemoveAgain);
            if (Interlocked.CompareExchange(ref _again, made, null) is not null)
            {
                made.Dispose();
            }
        }
    }

    private void RemoveLeft()
    {
        foreach ((string folder, IProcessGroup group) in _left)
        {
            if (group.TryRemove())
            {
                _ = _left.TryRemove(folder, out _);
            }
        }

        if (_left.IsEmpty)
        {
            Interlocked.Exchange(ref _again, null)?.Dispose();
        }
    }
}
