using Dpu.Fuse;
using Dpu.Linux;
using Microsoft.Extensions.Logging;

namespace Dpu.Qtfs.Export.Coherence;

/// <summary>
/// One mount's share of the <see cref="ChangeWatcher"/>: turns changes of files into notifications for the DPU's kernel,
/// and queues them for the mount's notification lane. Without a lane nothing is queued: a new lane begins with "forget
/// everything". Thread-safe.
/// </summary>
internal sealed class MountChanges : INodeWatcher
{
    /// <summary>Notifications that may wait; beyond it they become one "forget everything".</summary>
    public const int MaxWaiting = 4096;

    private const ulong NameEvents = fanotify.FAN_CREATE | fanotify.FAN_DELETE | fanotify.FAN_MOVED_FROM | fanotify.FAN_MOVED_TO;
    private const ulong DataEvents = fanotify.FAN_MODIFY | fanotify.FAN_CLOSE_WRITE;

    private readonly ChangeWatcher _watcher;
    private readonly string _export;
    private readonly ILogger _logger;
    private readonly object _lock = new();
    private readonly Queue<Invalidation> _waiting = new();
    private object? _lane;
    private bool _lost;
    private bool _ended;
    private int _refusalTold;
    private long _moves;

    // The number of the newest notification, and of the oldest that waits; both count on over connections.
    private ulong _number;
    private ulong _oldest = 1;

    public MountChanges(ChangeWatcher watcher, string export, ILogger logger)
    {
        _watcher = watcher;
        _export = export;
        _logger = logger;
        watcher.Join(this);
    }

    /// <summary>The nodes; set once, before the mount serves anything.</summary>
    public PassthroughFileSystem FileSystem { get; set; } = null!;

    /// <summary>The numbers of this mount's notifications go on behind those of an earlier life; before anything is told.</summary>
    public void ContinueFrom(ulong number) => (_number, _oldest) = (number, number + 1);

    /// <summary>Rises before a node is said to be covered no more: who saw another value must not say that it is.</summary>
    public long Moves => Volatile.Read(ref _moves);

    /// <inheritdoc/>
    public bool Add(ulong node, int descriptor, bool isDirectory) => _watcher.Add(this, node, descriptor, isDirectory);

    /// <inheritdoc/>
    public void Remove(ulong node, int descriptor) => _watcher.Remove(this, node, descriptor);

    /// <summary>
    /// Makes sure that what has happened until now is told, by notifications up to the number that is returned; 0 where nobody
    /// takes them.
    /// </summary>
    public ulong Settle()
    {
        if (!_watcher.Settle())
        {
            Lost();
        }

        lock (_lock)
        {
            return _lane is null ? 0 : _number;
        }
    }

    public void EnterThread() => _watcher.EnterThread(this);

    public void LeaveThread() => _watcher.LeaveThread();

    /// <summary>A file could not be watched: it is asked for each time. Said once a mount.</summary>
    public void MarkRefused(int error)
    {
        if (Interlocked.Exchange(ref _refusalTold, 1) == 0)
        {
            Log.MarkRefused(_logger, _export, error);
        }
    }

    /// <summary>Something happened in a directory, to the name that the change tells.</summary>
    public void EntryChanged(ulong directory, in FileChange change)
    {
        ulong node = Find(directory, change.File, out uint links);
        if ((change.Mask & NameEvents) != 0)
        {
            Queue(Invalidation.Entry(directory, change.Name));
            Queue(Invalidation.Attributes(directory));
            if (node != 0 && (change.Mask & fanotify.FAN_MOVED_FROM) != 0)
            {
                // Whoever changes it from now on does so elsewhere.
                Uncover(node);
            }
        }

        if (node != 0)
        {
            NodeChanged(node, links, change.Mask);
        }
    }

    /// <summary>The attributes of a file changed, perhaps the number of its names.</summary>
    /// <param name="near">A node on the same mount.</param>
    /// <param name="change">What happened.</param>
    public void AttributesChanged(ulong near, in FileChange change)
    {
        ulong node = Find(near, change.File, out uint links);
        if (node != 0)
        {
            NodeChanged(node, links, change.Mask);
        }
    }

    /// <summary>Something was mounted at a path of this machine, or is there no longer.</summary>
    public void MountPointChanged(ReadOnlySpan<byte> point)
    {
        ulong directory = FileSystem.FindMountPoint(point, out ReadOnlySpan<byte> name);
        if (directory != 0)
        {
            Queue(Invalidation.Entry(directory, name));
        }
    }

    /// <summary>Something happened to a file or directory that is watched itself.</summary>
    public void FileChanged(ulong node, ulong mask) =>
        Queue((mask & DataEvents) != 0 ? Invalidation.Content(node) : Invalidation.Attributes(node));

    /// <summary>Changes went unseen.</summary>
    public void Lost()
    {
        lock (_lock)
        {
            if (_lane is not null)
            {
                LoseAll();
                Monitor.PulseAll(_lock);
            }
        }
    }

    /// <summary>A lane begins to take the notifications, and ends an earlier one; first it is told to forget everything.</summary>
    /// <returns>False where the mount has ended.</returns>
    public bool Attach(object lane)
    {
        lock (_lock)
        {
            _lane = lane;
            LoseAll();
            Monitor.PulseAll(_lock);
            return !_ended;
        }
    }

    public void Detach(object lane)
    {
        lock (_lock)
        {
            if (_lane == lane)
            {
                _lane = null;
                _waiting.Clear();
                _oldest = _number + 1;
            }
        }
    }

    /// <summary>Takes what waits, at most as much as the room holds; waits for it no longer than <paramref name="limit"/>.</summary>
    /// <returns>The messages' bytes, 0 where none came; negative where the lane must end.</returns>
    public int Take(object lane, Span<byte> room, TimeSpan limit)
    {
        lock (_lock)
        {
            if (IsOver(lane))
            {
                return -1;
            }

            if (!_lost && _waiting.Count == 0)
            {
                Monitor.Wait(_lock, limit);
            }

            if (IsOver(lane))
            {
                return -1;
            }

            int size = 0;
            if (_lost)
            {
                _lost = false;
                size = Invalidation.Everything.Write(room, number: _oldest++);
            }

            while (_waiting.TryPeek(out Invalidation next) && next.Size <= room.Length - size)
            {
                size += _waiting.Dequeue().Write(room[size..], number: _oldest++);
            }

            return size;
        }
    }

    /// <summary>The mount has ended.</summary>
    public void End()
    {
        lock (_lock)
        {
            _ended = true;
            Monitor.PulseAll(_lock);
        }

        _watcher.Leave(this);
    }

    private void NodeChanged(ulong node, uint links, ulong mask)
    {
        if (links > 1 && FileSystem.WatchOf(node) is { Covered: true, Watched: false })
        {
            // Another name, which may lie in a directory that nobody watches: a mark of its own from now on. What was written
            // through that name meanwhile went unseen.
            Uncover(node);
            _ = FileSystem.Watch(node);
            mask |= fanotify.FAN_MODIFY;
        }

        Queue((mask & DataEvents) != 0 ? Invalidation.Content(node) : Invalidation.Attributes(node));
    }

    private void Uncover(ulong node)
    {
        Interlocked.Increment(ref _moves);
        FileSystem.Cover(node, covered: false);
    }

    private ulong Find(ulong near, ReadOnlySpan<byte> file, out uint links)
    {
        links = 0;
        int type = FileChange.HandleOf(file, out ReadOnlySpan<byte> handle);
        return handle.IsEmpty ? 0 : FileSystem.FindNode(near, type, handle, out links);
    }

    // Under the lock. One notification stands for all that waited, under the newest number.
    private void LoseAll()
    {
        _lost = true;
        _waiting.Clear();
        _oldest = ++_number;
    }

    private bool IsOver(object lane) => _ended || _lane != lane;

    private void Queue(in Invalidation invalidation)
    {
        lock (_lock)
        {
            if (_lane is null || _lost)
            {
                return;
            }

            if (_waiting.Count >= MaxWaiting)
            {
                LoseAll();
            }
            else
            {
                _number++;
                _waiting.Enqueue(invalidation);
            }

            Monitor.PulseAll(_lock);
        }
    }
}
