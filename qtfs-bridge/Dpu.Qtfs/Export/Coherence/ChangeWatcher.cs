using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Linux;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using static Dpu.Linux.LibC;

namespace Dpu.Qtfs.Export.Coherence;

/// <summary>
/// Learns from the kernel (fanotify(7)) who changes files that DPUs cache, and tells the mounts concerned, except the one
/// whose own thread did it. Marks lie on directories, which cover what is in them, and on files with several names; one on
/// the file system asks for changed attributes only, since a new name is no event of the directories of the others. So
/// who writes files that nobody caches pays nothing. One for all exports; thread-safe.
/// </summary>
/// <remarks>
/// Not seen: stores through a shared mapping until the file is closed, writes by Linux AIO, and what is written below the
/// file system (a lower layer of overlayfs, a network server's other clients). Network file systems are refused.
/// </remarks>
public sealed unsafe class ChangeWatcher : IDisposable
{
    private const int BufferSize = 64 * 1024;
    private const ulong FileEvents = fanotify.FAN_MODIFY | fanotify.FAN_ATTRIB | fanotify.FAN_CLOSE_WRITE | fanotify.FAN_DELETE_SELF;
    private const ulong DirectoryEvents = FileEvents | fanotify.FAN_CREATE | fanotify.FAN_DELETE | fanotify.FAN_MOVED_FROM | fanotify.FAN_MOVED_TO
        | fanotify.FAN_MOVE_SELF | fanotify.FAN_ONDIR | fanotify.FAN_EVENT_ON_CHILD;

    // Some 500 changes each: as many as wait when the kernel's queue is full.
    private const int MaxBatches = 32;

    private static readonly TimeSpan StopCheck = TimeSpan.FromSeconds(1);

    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly Lock _telling = new();
    private readonly Dictionary<byte[], List<Watch>> _watches = new(KeyComparer.Instance);
    private readonly ConcurrentDictionary<int, MountChanges> _threads = [];
    private readonly HashSet<MountChanges> _mounts = [];

    // By file system: the mounts that know files of it, each with a node on it.
    private readonly Dictionary<ulong, Dictionary<MountChanges, ulong>> _fileSystems = [];

    // Those of them that have their mark.
    private readonly HashSet<ulong> _marked = [];
    private readonly SafeFileHandle? _group;
    private readonly Thread? _thread;
    private byte* _buffer;
    private volatile bool _stopping;
    private long _events;
    private long _overflows;

    /// <summary>Starts to listen; where the kernel refuses, nothing is ever watched, and the log says why.</summary>
    public ChangeWatcher(ILogger<ChangeWatcher> logger)
    {
        _logger = logger;
        int group = Result(fanotify_init(
            fanotify.FAN_CLASS_NOTIF | fanotify.FAN_CLOEXEC | fanotify.FAN_NONBLOCK | fanotify.FAN_UNLIMITED_MARKS | fanotify.FAN_REPORT_TID | fanotify.FAN_REPORT_DFID_NAME_TARGET,
            (uint)fcntl.O_RDONLY | (uint)fcntl.O_CLOEXEC));
        if (group < 0)
        {
            Log.NoChangeEvents(logger, -group);
            return;
        }

        _group = new SafeFileHandle(group, ownsHandle: true);

        // SAFETY: freed in Dispose, when nobody tells any more.
        _buffer = (byte*)NativeMemory.Alloc(BufferSize);
        _thread = new Thread(Run) { IsBackground = true, Name = "qtfs-changes" };
        _thread.Start();
    }

    /// <summary>Whether the kernel tells of changes at all.</summary>
    public bool Available => _group is not null;

    /// <summary>Events received.</summary>
    public long Events => Interlocked.Read(ref _events);

    /// <summary>How often events were lost, and every cache was emptied.</summary>
    public long Overflows => Interlocked.Read(ref _overflows);

    /// <summary>Files and directories watched.</summary>
    public int Watched
    {
        get
        {
            lock (_lock)
            {
                return _watches.Count;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping = true;
        _thread?.Join();
        lock (_telling)
        {
            _group?.Dispose();
            NativeMemory.Free(_buffer);
            _buffer = null;
        }
    }

    internal void Join(MountChanges mount)
    {
        lock (_lock)
        {
            _mounts.Add(mount);
        }
    }

    internal void Leave(MountChanges mount)
    {
        lock (_lock)
        {
            _mounts.Remove(mount);
            foreach (Dictionary<MountChanges, ulong> mounts in _fileSystems.Values)
            {
                mounts.Remove(mount);
            }
        }
    }

    /// <summary>A file system may have been unmounted, and its mark with it: whatever is watched next marks it again.</summary>
    internal void RenewFileSystems()
    {
        lock (_lock)
        {
            _marked.Clear();
        }
    }

    /// <summary>Whether a thread closes files that this agent has written; null where only its own do.</summary>
    internal Func<int, bool>? ClosesForUs { get; set; }

    /// <summary>From now on the calling thread's changes are that mount's own.</summary>
    internal void EnterThread(MountChanges mount) => _threads[gettid()] = mount;

    internal void LeaveThread() => _threads.TryRemove(gettid(), out _);

    internal bool Add(MountChanges mount, ulong node, int descriptor, bool isDirectory)
    {
        if (_group is null || !IsLocal(descriptor) || !TryKey(descriptor, out byte[]? key))
        {
            return false;
        }

        lock (_lock)
        {
            if (!TryJoinFileSystem(mount, node, descriptor, key))
            {
                return false;
            }

            // First the table: an event may come as soon as the mark is there.
            if (!_watches.TryGetValue(key, out List<Watch>? watches))
            {
                _watches.Add(key, watches = []);
            }

            watches.Add(new Watch(mount, node));
            int error = Mark(fanotify.FAN_MARK_ADD, descriptor, isDirectory ? DirectoryEvents : FileEvents);
            if (error == 0)
            {
                return true;
            }

            watches.RemoveAt(watches.Count - 1);
            if (watches.Count == 0)
            {
                _watches.Remove(key);
            }

            mount.MarkRefused(-error);
            return false;
        }
    }

    internal void Remove(MountChanges mount, ulong node, int descriptor)
    {
        byte[]? key = null;
        bool known = descriptor >= 0 && TryKey(descriptor, out key);
        lock (_lock)
        {
            // A file that is gone has taken its mark with it; only its line of the table is left, found the long way.
            foreach ((byte[] candidate, List<Watch> watches) in known ? Only(key!) : [.. _watches])
            {
                if (watches.RemoveAll(watch => watch.Mount == mount && watch.Node == node) == 0)
                {
                    continue;
                }

                if (watches.Count == 0)
                {
                    _watches.Remove(candidate);
                    if (descriptor >= 0)
                    {
                        _ = Mark(fanotify.FAN_MARK_REMOVE, descriptor, DirectoryEvents);
                    }
                }

                return;
            }
        }
    }

    // Under the lock. Of each file system one mark says who changes attributes, and so the number of names.
    private bool TryJoinFileSystem(MountChanges mount, ulong node, int descriptor, ReadOnlySpan<byte> key)
    {
        ulong id = MemoryMarshal.Read<ulong>(key);
        if (!_marked.Contains(id))
        {
            int error = Mark(fanotify.FAN_MARK_ADD, descriptor, fanotify.FAN_ATTRIB | fanotify.FAN_ONDIR, fanotify.FAN_MARK_FILESYSTEM);
            if (error < 0)
            {
                mount.MarkRefused(-error);
                return false;
            }

            _marked.Add(id);
        }

        if (!_fileSystems.TryGetValue(id, out Dictionary<MountChanges, ulong>? mounts))
        {
            _fileSystems.Add(id, mounts = []);
        }

        // The last one: earlier ones may be forgotten by now.
        mounts[mount] = node;
        return true;
    }

    private IEnumerable<KeyValuePair<byte[], List<Watch>>> Only(byte[] key) =>
        _watches.TryGetValue(key, out List<Watch>? watches) ? [new(key, watches)] : [];

    /// <summary>
    /// Tells the mounts of everything that has happened until now, on the calling thread, which acts as the agent afterwards.
    /// </summary>
    /// <returns>False where changes come faster than they can be told.</returns>
    internal bool Settle()
    {
        if (_group is null)
        {
            return true;
        }

        lock (_telling)
        {
            for (int batch = 0; _buffer is not null && batch < MaxBatches; batch++)
            {
                if (!TellSome())
                {
                    return true;
                }
            }

            return _buffer is null;
        }
    }

    private void Run()
    {
        while (!_stopping)
        {
            if (Dpu.Linux.poll.WaitReadable(_group!, StopCheck))
            {
                lock (_telling)
                {
                    _ = TellSome();
                }
            }
        }
    }

    // Under the lock, so that who finds nothing queued knows that nothing is being told either.
    [SuppressMessage("Design", "CA1031", Justification = "Without its threads caches would go stale unseen; a bug must not end them.")]
    private bool TellSome()
    {
        // SAFETY: the kernel writes at most BufferSize bytes, and the lock gives the buffer to one thread.
        long size = Result(read((int)_group!.DangerousGetHandle(), _buffer, BufferSize));
        if (size <= 0)
        {
            return false;
        }

        // Files are found by the agent's own privilege; a lane may be somebody else at the moment.
        if (FuseWorkerThread.Leave() < 0)
        {
            FlushAll();
            return true;
        }

        try
        {
            Tell(new ReadOnlySpan<byte>(_buffer, (int)size));
        }
        catch (Exception e)
        {
            Log.ChangeBug(_logger, e);
            FlushAll();
        }

        return true;
    }

    private void Tell(ReadOnlySpan<byte> events)
    {
        while (FileChange.TryRead(ref events, out FileChange change))
        {
            Interlocked.Increment(ref _events);
            if ((change.Mask & fanotify.FAN_Q_OVERFLOW) != 0)
            {
                Interlocked.Increment(ref _overflows);
                Log.ChangesLost(_logger);
                FlushAll();
                continue;
            }

            MountChanges? own = _threads.GetValueOrDefault(change.Thread);
            if (own is null && change.Mask == fanotify.FAN_CLOSE_WRITE && ClosesForUs?.Invoke(change.Thread) == true)
            {
                // A lane has closed the file, and who keeps open files for the agent was the last to: what was written was told.
                continue;
            }

            bool isSelf = change.Name.SequenceEqual("."u8);
            foreach (Watch watch in WatchesOf(change.Directory))
            {
                if (watch.Mount == own)
                {
                    continue;
                }

                if (isSelf)
                {
                    watch.Mount.FileChanged(watch.Node, change.Mask);
                }
                else
                {
                    watch.Mount.EntryChanged(watch.Node, change);
                }
            }

            foreach (Watch watch in isSelf ? [] : WatchesOf(change.File))
            {
                if (watch.Mount != own)
                {
                    watch.Mount.FileChanged(watch.Node, change.Mask);
                }
            }

            if ((change.Mask & fanotify.FAN_ATTRIB) != 0 && !isSelf)
            {
                foreach (Watch near in MountsOn(change.File))
                {
                    if (near.Mount != own)
                    {
                        near.Mount.AttributesChanged(near.Node, change);
                    }
                }
            }
        }
    }

    private void FlushAll()
    {
        lock (_lock)
        {
            foreach (MountChanges mount in _mounts)
            {
                mount.Lost();
            }
        }
    }

    private Watch[] WatchesOf(ReadOnlySpan<byte> key)
    {
        lock (_lock)
        {
            return !key.IsEmpty && _watches.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out List<Watch>? found) ? [.. found] : [];
        }
    }

    private Watch[] MountsOn(ReadOnlySpan<byte> key)
    {
        lock (_lock)
        {
            return key.Length >= sizeof(ulong) && _fileSystems.TryGetValue(MemoryMarshal.Read<ulong>(key), out Dictionary<MountChanges, ulong>? mounts)
                ? [.. mounts.Select(mount => new Watch(mount.Key, mount.Value))]
                : [];
        }
    }

    private int Mark(uint action, int descriptor, ulong mask, uint what = fanotify.FAN_MARK_INODE)
    {
        // SAFETY: a path of fixed room, ended by NUL.
        byte* path = stackalloc byte[40];
        System.Text.Encoding.ASCII.GetBytes(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"/proc/self/fd/{descriptor}\0"), new Span<byte>(path, 40));
        return Result(fanotify_mark((int)_group!.DangerousGetHandle(), action | what, mask, fcntl.AT_FDCWD, path));
    }

    private static bool IsLocal(int descriptor)
    {
        statfs state;
        return fstatfs(descriptor, &state) == 0 && state.f_type is not (magic.NFS_SUPER_MAGIC or magic.SMB_SUPER_MAGIC or magic.SMB2_SUPER_MAGIC
            or magic.CIFS_SUPER_MAGIC or magic.CEPH_SUPER_MAGIC or magic.FUSE_SUPER_MAGIC or magic.V9FS_MAGIC or magic.AFS_SUPER_MAGIC);
    }

    // What an event will call the file.
    private static bool TryKey(int descriptor, [NotNullWhen(true)] out byte[]? key)
    {
        key = null;
        statfs state;
        byte* space = stackalloc byte[FileChange.MaxKey];
        var handle = (file_handle*)(space + 8);
        *handle = new file_handle { handle_bytes = fcntl.MAX_HANDLE_SZ };
        byte empty = 0;
        int mount;

        // SAFETY: the kernel writes the head and at most handle_bytes behind it, for which there is room.
        if (fstatfs(descriptor, &state) != 0 || name_to_handle_at(descriptor, &empty, handle, &mount, fcntl.AT_EMPTY_PATH) != 0)
        {
            return false;
        }

        ((int*)space)[0] = state.f_fsid[0];
        ((int*)space)[1] = state.f_fsid[1];
        key = new ReadOnlySpan<byte>(space, 16 + (int)handle->handle_bytes).ToArray();
        return true;
    }

    private readonly record struct Watch(MountChanges Mount, ulong Node);

    private sealed class KeyComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly KeyComparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();

        public int GetHashCode(byte[] obj) => GetHashCode(obj.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = default(HashCode);
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }
    }
}
