using System.Collections.Concurrent;
using Dpu.Fuse;
using Dpu.Link;
using Dpu.Qtfs.Export.Coherence;

namespace Dpu.Qtfs.Export;

/// <summary>
/// One mount of an export by one session: its nodes and handles, which outlive the connections (lanes) that use them.
/// It is closed when it has been ended and its last lane has left. Thread-safe.
/// </summary>
internal sealed class ExportedMount
{
    /// <summary>Lanes whose answers are kept: as many as there may be at a time, and those that come for relief.</summary>
    private const uint MostSlots = 2 * ExportService.MaxLanesPerMount;

    private readonly Lock _lock = new();
    private readonly PassthroughFileSystem _fileSystem;
    private readonly List<ExportLane> _lanes = [];
    private readonly ConcurrentDictionary<uint, ReplySlot> _slots = new();
    private readonly TimeProvider _time;
    private long _idleSince;
    private bool _ended;
    private bool _closed;
    private long _requests;

    public ExportedMount(
        ExportSession session, ulong id, ExportDefinition export, bool readOnly, PassthroughFileSystem fileSystem, FuseDispatcher dispatcher, TimeProvider time)
    {
        Session = session;
        Id = id;
        Export = export;
        ReadOnly = readOnly;
        _fileSystem = fileSystem;
        Dispatcher = dispatcher;
        Started = time.GetUtcNow();
        _time = time;
        _idleSince = time.GetTimestamp();
    }

    public ExportSession Session { get; }

    public ulong Id { get; }

    public ExportDefinition Export { get; }

    public bool ReadOnly { get; }

    /// <summary>What tells of changes by others; null where the mount caches nothing, or for a fixed time.</summary>
    public MountChanges? Changes { get; init; }

    /// <summary>What lets the DPU's kernel cache; there is one where there are <see cref="Changes"/>.</summary>
    public CacheGrants? Grants { get; init; }

    /// <summary>What is told when the file system is no longer used; null where nobody is.</summary>
    public HostMounts? HostMounts { get; init; }

    /// <summary>Whether the peer's locks are this machine's.</summary>
    public bool HostLocks => (Dispatcher.Features & FuseFeatures.Locks) != 0;

    public FuseDispatcher Dispatcher { get; }

    /// <summary>Which life of its answers this is; never 0.</summary>
    public ulong Life { get; } = (ulong)Random.Shared.NextInt64(1, long.MaxValue);

    /// <summary>When it was made.</summary>
    public DateTimeOffset Started { get; }

    /// <summary>What was done, by opcode: from a request's arrival to the sending of its reply.</summary>
    public FuseStatistics Operations { get; } = new();

    /// <summary>The opcodes of the requests being served, one entry a request.</summary>
    public IReadOnlyList<uint> OpcodesInFlight
    {
        get
        {
            lock (_lock)
            {
                return [.. _lanes.Select(lane => lane.OpcodeInFlight).OfType<uint>()];
            }
        }
    }

    /// <summary>Whether FUSE_INIT has been answered.</summary>
    public bool Initialized { get; set; }

    public long OpenNodes => _fileSystem.OpenNodes;

    public long OpenHandles => _fileSystem.OpenHandles;

    public long LockOwners => _fileSystem.LockOwners;

    public long LockWaits => _fileSystem.LockWaits;

    public long Refused => _fileSystem.Refused;

    /// <summary>Requests received, on lanes that have left and lanes that are here.</summary>
    public long Requests
    {
        get
        {
            lock (_lock)
            {
                return _requests + _lanes.Sum(lane => lane.Requests);
            }
        }
    }

    public bool Ended
    {
        get
        {
            lock (_lock)
            {
                return _ended;
            }
        }
    }

    /// <summary>Whether closing a file has nothing to tell.</summary>
    public bool ClosesQuietly(ulong node) => _fileSystem.ClosesQuietly(node);

    /// <summary>The last answer of a lane; null where it has too high a number.</summary>
    public ReplySlot? SlotOf(uint lane) => lane < MostSlots ? _slots.GetOrAdd(lane, _ => new ReplySlot()) : null;

    /// <summary>Adds a lane; false where the mount has ended.</summary>
    public bool TryAttach(ExportLane lane)
    {
        ExportLane[] replaced;
        lock (_lock)
        {
            if (_ended)
            {
                return false;
            }

            replaced = lane.Waits ? [.. _lanes.Where(other => other.Waits)] : [];
            _lanes.Add(lane);
        }

        // The peer asks again for what waited by an older connection, and takes back what it no longer wants. Not under the
        // lock: the older one may be inside a call.
        foreach (ExportLane older in replaced)
        {
            older.Fence();
            _fileSystem.Abandon(older);
        }

        return true;
    }

    public void Detach(ExportLane lane)
    {
        // Not under the lock either.
        _fileSystem.Abandon(lane);
        lock (_lock)
        {
            _lanes.Remove(lane);
            _requests += lane.Requests;
            _idleSince = _time.GetTimestamp();
        }

        CloseIfUnused();
    }

    /// <summary>Ends the mount: its lanes are cut, and its nodes and handles go with the last of them.</summary>
    public void End()
    {
        lock (_lock)
        {
            _ended = true;
            foreach (ExportLane lane in _lanes)
            {
                lane.Cut();
            }
        }

        Changes?.End();
        CloseIfUnused();
    }

    /// <summary>Lets no lane attach any more if none has used the mount for longer than <paramref name="grace"/>; <see cref="End"/> must follow.</summary>
    public bool EndIfIdle(TimeSpan grace)
    {
        lock (_lock)
        {
            if (_lanes.Count > 0 || _time.GetElapsedTime(_idleSince) < grace)
            {
                return false;
            }

            _ended = true;
            return true;
        }
    }

    /// <summary>Lanes, without the connection for what waits.</summary>
    public int OrdinaryLanes
    {
        get
        {
            lock (_lock)
            {
                return _lanes.Count(lane => !lane.Waits);
            }
        }
    }

    public int LaneCount
    {
        get
        {
            lock (_lock)
            {
                return _lanes.Count;
            }
        }
    }

    /// <summary>Cuts every lane that has been inside one message for longer than <paramref name="limit"/>; returns how many.</summary>
    public int CutStalledLanes(TimeSpan limit)
    {
        int cut = 0;
        lock (_lock)
        {
            foreach (ExportLane lane in _lanes)
            {
                if (lane.HasStalled(limit))
                {
                    lane.Cut();
                    cut++;
                }
            }
        }

        return cut;
    }

    // Closing files may wait for a disk: not under a lock.
    private void CloseIfUnused()
    {
        lock (_lock)
        {
            if (!_ended || _closed || _lanes.Count > 0)
            {
                return;
            }

            _closed = true;
        }

        Changes?.End();
        HostMounts?.Leave(_fileSystem);
        _fileSystem.Dispose();
    }
}
