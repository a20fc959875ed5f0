using System.Collections.Concurrent;
using Dpu.Fuse;
using Dpu.Link;
using Dpu.Qtfs.Export.Coherence;
using Dpu.Qtfs.Export.Fifos;
using Dpu.Qtfs.Export.Kept;

namespace Dpu.Qtfs.Export;

/// <summary>
/// One mount of an export by one session: its nodes and handles, which outlive the connections (lanes) that use them.
/// It is closed when it has been ended and its last lane has left. Thread-safe.
/// </summary>
internal sealed partial class ExportedMount
{
    /// <summary>Lanes whose answers are kept: as many as there may be at a time, and those that come for relief.</summary>
    public const uint MostSlots = 2 * ExportService.MaxLanesPerMount;

    private readonly Lock _lock = new();
    private readonly PassthroughFileSystem _fileSystem;
    private readonly List<ExportLane> _lanes = [];
    private readonly HashSet<IDisposable> _relays = [];
    private readonly ConcurrentDictionary<uint, ReplySlot> _slots = new();
    private readonly TimeProvider _time;
    private long _idleSince;
    private MountNote _note;
    private bool _initialized;
    private bool _ended;
    private bool _closed;
    private long _requests;

    public ExportedMount(
        ExportSession session, MountNote note, ExportDefinition export, bool readOnly, PassthroughFileSystem fileSystem, FuseDispatcher dispatcher, TimeProvider time)
    {
        Session = session;
        Id = note.Parameters.MountId;
        _note = note;
        _initialized = note.Negotiation is not null;
        Export = export;
        ReadOnly = readOnly;
        _fileSystem = fileSystem;
        Dispatcher = dispatcher;
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

    /// <summary>The FIFOs that this process has open for its peer's programs.</summary>
    public FifoEnds Fifos { get; } = new();

    /// <summary>Which life of its answers this is; never 0.</summary>
    public ulong Life => _note.Life;

    /// <summary>Which life of its nodes and open files this is; 0 where its peer cannot return what it knows of another one.</summary>
    public ulong State => _note.Parameters.Returns ? (ulong)_note.Started.UtcTicks : 0;

    /// <summary>The peer's machine, as of the mount's making.</summary>
    public Dpu.Proto.V1.Machine Machine => _note.Machine;

    /// <summary>When it was made.</summary>
    public DateTimeOffset Started => _note.Started;

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
    public bool Initialized => Volatile.Read(ref _initialized);

    /// <summary>What the keeper has of the mount; null where it ends with the process.</summary>
    public KeptMount? Kept { get; init; }

    /// <summary>Where answers are counted that were not given by executing their request.</summary>
    public required AnswerCounters Answers { get; init; }

    /// <summary>What a node that is a socket is to the peer (<see cref="Dpu.Linux.Sockets.BoundSocket.ToWire"/>); null where it is told of none.</summary>
    public Func<ExportedMount, ulong, uint>? SocketOf { get; init; }

    /// <summary>1 for a node that is a FIFO whose bytes may cross, else 0; null where none do.</summary>
    public Func<ExportedMount, ulong, uint>? FifoOf { get; init; }

    /// <summary>The sockets that are bound for the mount; null where none can be.</summary>
    public Sockets.PeerSockets? Bound { get; init; }

    /// <summary>The mount's files.</summary>
    public PassthroughFileSystem Files => _fileSystem;

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
    public ReplySlot? SlotOf(uint lane) => lane < MostSlots ? _slots.GetOrAdd(lane, MakeSlot) : null;

    /// <summary>FUSE_INIT was answered. To be called before the peer knows, as its next lane must not be told to begin anew.</summary>
    public void SetInitialized()
    {
        lock (_lock)
        {
            _note = _note with { Negotiation = Dispatcher.Negotiation };
            Volatile.Write(ref _initialized, _note.Negotiation is not null);
            if (!_ended)
            {
                Kept?.Describe(_note);
            }
        }
    }

    /// <summary>A request ended with EIO: an earlier life of the agent may have executed it.</summary>
    public void CountUnknown(uint opcode, ulong node)
    {
        Answers.CountUnknown();
        OnUnknown?.Invoke((Dpu.Fuse.Wire.fuse_opcode)opcode, node);
    }

    /// <summary>Told of each such request; must not block or throw.</summary>
    public Action<Dpu.Fuse.Wire.fuse_opcode, ulong>? OnUnknown { get; init; }

    /// <summary>Gives open files and locks to a keeper again that has lost them.</summary>
    public void HoldAgain()
    {
        _fileSystem.HoldAgain();
        Bound?.HoldAgain();
    }

    /// <summary>Open files of an earlier life that could not be had again.</summary>
    public int LostHandles => _fileSystem.LostHandles;

    private unsafe ReplySlot MakeSlot(uint lane) => Kept is { } kept ? new ReplySlot(kept.SlotOf(lane), kept) : new ReplySlot();

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

    /// <summary>A connection of a socket of the mount, which ends with the mount; false where that has ended.</summary>
    public bool TryJoin(IDisposable relay)
    {
        lock (_lock)
        {
            return !_ended && _relays.Add(relay);
        }
    }

    /// <summary>It has ended.</summary>
    public void Leave(IDisposable relay)
    {
        lock (_lock)
        {
            _relays.Remove(relay);
        }
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

            // They end on threads of their own, so that none waits for the lock here.
            foreach (IDisposable relay in _relays)
            {
                relay.Dispose();
            }
        }

        Bound?.Dispose();
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
        Kept?.End();
        _fileSystem.Dispose();
    }
}
