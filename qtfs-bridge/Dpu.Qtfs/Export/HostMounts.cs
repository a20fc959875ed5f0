using System.Diagnostics.CodeAnalysis;
using Dpu.Fuse;
using Dpu.Qtfs.Export.Coherence;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export;

/// <summary>
/// The mounts of this machine that lie below exports: tells the DPUs that cache where one has come or gone, and lets go of
/// those that no DPU uses at the moment, so that they can be unmounted. One for all exports; thread-safe.
/// </summary>
public sealed class HostMounts : IDisposable
{
    private static readonly TimeSpan ReleaseInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(3);

    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly ChangeWatcher? _watcher;
    private readonly SafeFileHandle _table;
    private readonly Thread _thread;
    private readonly Lock _lock = new();

    // Taken before the other one: who has it has told everybody.
    private readonly Lock _telling = new();
    private readonly Dictionary<PassthroughFileSystem, MountChanges?> _users = [];

    // Where each mount is, by its number; kept while a DPU caches.
    private readonly Dictionary<ulong, byte[]> _points = [];
    private volatile bool _stopping;

    /// <summary>Starts to watch.</summary>
    public HostMounts(TimeProvider time, ILogger<HostMounts> logger, ChangeWatcher? watcher = null)
    {
        _time = time;
        _logger = logger;
        _watcher = watcher;
        _table = File.OpenHandle("/proc/self/mountinfo");
        _thread = new Thread(Run) { IsBackground = true, Name = "qtfs-mounts" };
        _thread.Start();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // A file system that hangs may hold the thread: then it ends with the process.
        _stopping = true;
        if (_thread.Join(StopLimit))
        {
            _table.Dispose();
        }
    }

    internal void Join(PassthroughFileSystem files, MountChanges? changes)
    {
        lock (_lock)
        {
            if (changes is not null && !Caches)
            {
                // Before the DPU asks anything: what is mounted from now on is a change.
                _ = Compare();
            }

            _users[files] = changes;
        }
    }

    /// <summary>What has been mounted and unmounted until now is told when this returns.</summary>
    internal void Refresh() => Tell();

    internal void Leave(PassthroughFileSystem files)
    {
        lock (_lock)
        {
            _users.Remove(files);
        }
    }

    // Under the lock.
    private bool Caches => _users.Values.Any(changes => changes is not null);

    [SuppressMessage("Design", "CA1031", Justification = "Without this thread caches would go stale unseen; a bug must not end it.")]
    private void Run()
    {
        long released = _time.GetTimestamp();
        while (!_stopping)
        {
            bool changed = Dpu.Linux.poll.WaitPriority(_table, ReleaseInterval);
            try
            {
                if (changed)
                {
                    Tell();
                }

                if (_time.GetElapsedTime(released) >= ReleaseInterval)
                {
                    released = _time.GetTimestamp();
                    Array.ForEach(Users(), static user => user.Key.ReleaseIdleMounts());
                }
            }
            catch (Exception e)
            {
                Log.MountTableBug(_logger, e);
                Array.ForEach(Users(), static user => user.Value?.Lost());
            }
        }
    }

    private KeyValuePair<PassthroughFileSystem, MountChanges?>[] Users()
    {
        lock (_lock)
        {
            return [.. _users];
        }
    }

    private void Tell()
    {
        lock (_telling)
        {
            TellAll();
        }
    }

    private void TellAll()
    {
        // A file system that was unmounted has taken its marks with it.
        _watcher?.RenewFileSystems();
        List<byte[]>? changed;
        lock (_lock)
        {
            if (!Caches)
            {
                return;
            }

            changed = Compare();
        }

        // Not under the lock: looking for a directory may wait for its file system.
        foreach ((PassthroughFileSystem _, MountChanges? changes) in Users())
        {
            if (changed is null)
            {
                // This kernel tells mounts apart by numbers that it uses again.
                changes?.Lost();
                continue;
            }

            foreach (byte[] point in changed)
            {
                changes?.MountPointChanged(point);
            }
        }
    }

    // Under the lock. Where mounts have come and gone since the last time; null where the kernel does not tell.
    private List<byte[]>? Compare()
    {
        if (!KernelMounts.TryList(out HashSet<ulong> now))
        {
            return null;
        }

        List<byte[]> changed = [];
        foreach (ulong gone in _points.Keys.Where(mount => !now.Contains(mount)).ToArray())
        {
            changed.Add(_points[gone]);
            _points.Remove(gone);
        }

        ulong[] added = [.. now.Where(mount => !_points.ContainsKey(mount))];

        // None came and none went: then one was moved, or has other options.
        foreach (ulong mount in added.Length == 0 && changed.Count == 0 ? [.. now] : added)
        {
            if (KernelMounts.PointOf(mount) is { } point && !(_points.TryGetValue(mount, out byte[]? known) && known.AsSpan().SequenceEqual(point)))
            {
                changed.Add(point);
                if (known is not null)
                {
                    changed.Add(known);
                }

                _points[mount] = point;
            }
        }

        return changed;
    }
}
