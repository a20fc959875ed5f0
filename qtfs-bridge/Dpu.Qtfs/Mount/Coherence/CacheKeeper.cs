using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// Keeps what the kernel has cached of a mount right: takes the host's notifications on a connection of their own, and
/// gives them to the kernel. Where that connection is missing nothing new is cached, and after a while all is forgotten.
/// </summary>
/// <remarks>
/// - A thread of its own, the keeper: telling the kernel may wait for a request that a lane is serving. Where the host
///   does not answer that request, another thread becomes the keeper (<see cref="KernelTeller"/>), so that one file that hangs
///   leaves the caches of the others right.
/// - The kernel is told only of nodes of which it may have something. Told of one while a FUSE_GETATTR of it is under way, it passes over the
///   attributes that come (fuse_change_attributes), and who asked reads no further than the old size: a file that changes often, or one
///   that was forgotten long ago when the host returns, would be read as it was once.
/// </remarks>
internal sealed unsafe class CacheKeeper : IDisposable
{
    /// <summary>How long a name is believed for which there is no room among <see cref="KnownNames"/>.</summary>
    private const ulong BoundedNameSeconds = 1;

    private static readonly TimeSpan WaitSlice = TimeSpan.FromMilliseconds(50);

    private readonly RemoteMount _mount;
    private readonly ILogger _logger;
    private readonly KnownIds _nodes;
    private readonly KnownNames _names;
    private readonly ManualResetEventSlim _stop = new();
    private readonly KernelTeller _teller;

    // The node of which the kernel is being told, for a runtime that takes the place of this one.
    private readonly ulong* _telling;
    private LinkConnection? _connection;

    // The keeper's alone, whichever thread that is.
    private FuseChannel? _channel;
    private IEnumerator<Invalidation>? _forgetting;
    private readonly List<TakenNames> _taken = [];
    private ulong _everything;
    private long _lostAt;
    private bool _forgotten = true;
    private bool _refusalTold;

    private int _noRoom;
    private long _received;
    private long _flushes;

    public CacheKeeper(RemoteMount mount, ILogger logger)
    {
        _mount = mount;
        _logger = logger;
        _nodes = new KnownIds(mount.State, "nodes");
        _names = new KnownNames(mount.State);
        _telling = mount.State.Words("telling", 0, 1);
        if (*_telling != 0)
        {
            _nodes.Add(*_telling);
        }
        _teller = new KernelTeller(mount, logger, Keep);

        // What an earlier runtime's mount told the kernel, and the host has changed since.
        _forgotten = !mount.IsTakenOver;
        Gate = new CacheGate(mount.Options.Lanes + ReliefLanes.Most + Ring.RingLanes.CountFor(mount.Options));
    }

    public CacheGate Gate { get; }

    /// <summary>Files of which the kernel need not ask the host everything.</summary>
    public FreshFiles Fresh { get; } = new();

    /// <summary>Directories of which the kernel need not ask the host.</summary>
    public DirectoryAttributes Directories { get; } = new();

    /// <summary>Files of which the kernel need not ask the content.</summary>
    public OpenedContents Contents { get; } = new();

    /// <summary>Notifications received.</summary>
    public long Received => Interlocked.Read(ref _received);

    /// <summary>How often all was forgotten.</summary>
    public long Flushes => Interlocked.Read(ref _flushes);

    /// <summary>A request is about to be sent by whose answer the kernel will have something of its node, whatever the host grants; call it before.</summary>
    public void Sending(fuse_in_header* request)
    {
        if ((fuse_opcode)request->opcode is fuse_opcode.FUSE_READ or fuse_opcode.FUSE_WRITE or fuse_opcode.FUSE_READLINK or fuse_opcode.FUSE_GETXATTR)
        {
            // Not as it was seen before the kernel asked.
            Interlocked.MemoryBarrier();
            _nodes.Add(request->nodeid);
        }
    }

    /// <summary>What the kernel asks of a node is answered here, with a grant; call it inside the gate, before the kernel is answered.</summary>
    public void Granting(ulong node) => _nodes.Add(node);

    /// <summary>Takes away from a reply what must not be cached; call it inside the gate.</summary>
    /// <param name="request">A whole request of the kernel.</param>
    /// <param name="requestLength">Its length in bytes.</param>
    /// <param name="since">The gate's sequence before the request was sent.</param>
    /// <param name="reply">The host's answer.</param>
    /// <param name="length">Its length in bytes.</param>
    public void Check(fuse_in_header* request, int requestLength, long since, byte* reply, int length)
    {
        // SAFETY: the lane's reply, whole and of that length.
        if (((fuse_out_header*)reply)->error != 0)
        {
            return;
        }

        uint opcode = request->opcode;
        if (!GrantedReply.IsGrant(opcode))
        {
            _ = GrantedReply.Remember(request, requestLength, reply, length, _names);
            return;
        }

        if (!Gate.Holds(since, request->nodeid, GrantedReply.NodeOf(opcode, reply, length), opcode == (uint)fuse_opcode.FUSE_READDIRPLUS))
        {
            GrantedReply.Bound(opcode, reply, length, 0);
            return;
        }

        GrantedReply.Remember(request, reply, length, _nodes);
        if (!GrantedReply.Remember(request, requestLength, reply, length, _names))
        {
            GrantedReply.Bound(opcode, reply, length, BoundedNameSeconds);
            Volatile.Write(ref _noRoom, 1);
        }
    }

    /// <summary>Waits until the kernel has been told of the notifications up to a number.</summary>
    /// <param name="number">The number; 0 for none.</param>
    /// <param name="deadline">Until when, in ms of <see cref="Environment.TickCount64"/>.</param>
    /// <returns>False where it has not been, or one of them waits for a request of the kernel's.</returns>
    public bool AwaitTold(ulong number, long deadline) => number != 0 && _teller.AwaitTold(number, deadline);

    /// <summary>Runs something that tells the kernel, on this thread and beside the keeper.</summary>
    public void Run(Action<KernelTeller.Turn> work) => _teller.Run(work);

    /// <summary>Starts the keeper.</summary>
    /// <param name="device">Where the kernel is told.</param>
    public void Start(SafeFileHandle device)
    {
        _lostAt = Environment.TickCount64;
        _teller.Start(device);
    }

    /// <summary>Looks after the keeper, and makes room for names; from time to time, on a thread that waits for nobody.</summary>
    public void Look()
    {
        _teller.Look();
        if (Volatile.Read(ref _noRoom) != 0 && _teller.TryRun("names", MakeRoom))
        {
            Volatile.Write(ref _noRoom, 0);
        }
    }

    /// <summary>Ends the threads; returns when they have ended.</summary>
    public void Stop()
    {
        _stop.Set();
        Volatile.Read(ref _connection)?.Abort();
        _teller.Stop();
        Hang();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop.Dispose();
        Contents.Dispose();
    }

    // The keeper's loop; another thread goes on with it where this one is held up.
    private void Keep(KernelTeller.Turn turn)
    {
        while (!_stop.IsSet && !_mount.InitExchange.Answered.Wait(WaitSlice))
        {
            // Nothing can be cached yet.
        }

        while (!_stop.IsSet)
        {
            try
            {
                if (!Forget(turn) || !Receive(turn))
                {
                    return;
                }

                continue;
            }
            catch (LinkException e)
            {
                // Expected while the host is away; the lanes say so.
                _mount.LaneBroke(e.Message);
            }
            catch (Exception e) when (e is IOException or FuseChannelException or ObjectDisposedException or OperationCanceledException)
            {
                // Expected when the link breaks.
                if (e is FuseChannelException)
                {
                    _mount.HostViolated(e.Message);
                }
            }

            Hang();
            _stop.Wait(WaitSlice);
        }
    }

    /// <summary>Waits for a notification, and for the connection where there is none; false where another thread is the keeper.</summary>
    private bool Receive(KernelTeller.Turn turn)
    {
        if (_channel is null)
        {
            if (!_forgotten && Environment.TickCount64 - _lostAt >= (long)_mount.Options.StaleAfter.TotalMilliseconds)
            {
                _forgotten = true;
                _forgetting = Known().GetEnumerator();
            }
            else if (!_mount.Connector.WaitUp(WaitSlice) || !Connect())
            {
                _stop.Wait(WaitSlice);
            }

            return true;
        }

        int length = _channel.Receive(out byte* received);
        if (length == 0)
        {
            throw new IOException("the host closed the connection");
        }

        if (!Invalidation.TryRead(new ReadOnlySpan<byte>(received, length), out Invalidation invalidation, out ulong number))
        {
            throw new FuseChannelException($"the host sent a notification of {length} bytes that is none");
        }

        Interlocked.Increment(ref _received);
        if (invalidation.Code == Invalidation.EpochCode)
        {
            Gate.Close();
            _everything = number;
            _forgetting = Known().GetEnumerator();
            return true;
        }

        bool isName = invalidation.Code == (int)fuse_notify_code.FUSE_NOTIFY_INVAL_ENTRY;
        Gate.Record(isName ? 0 : invalidation.Node, isName ? invalidation.Node : 0);
        Changed(invalidation.Node);
        if (isName || Take(invalidation.Node))
        {
            return turn.Tell(invalidation, number);
        }

        _teller.Told(number);
        return true;
    }

    /// <summary>Whether the kernel may have something of a node. It is told then, and has nothing until it asks again.</summary>
    private bool Take(ulong node)
    {
        Volatile.Write(ref *_telling, node);
        return _nodes.Remove(node) || !KnownIds.CanHold(node) || node == FuseConstants.FUSE_ROOT_ID;
    }

    private bool Connect()
    {
        // A host that was restarted counts anew, and begins with "everything".
        _teller.Restart();
        LinkConnection connection = _mount.DialNotifications();
        if (!connection.Reply.Fs.Coherent)
        {
            connection.Dispose();
            if (!_refusalTold)
            {
                _refusalTold = true;
                Log.NotCoherent(_logger, _mount.Options.Target, _mount.Options.Host);
            }

            // An older host, or an export that is not cached. It may change with the host's configuration.
            _stop.Wait(TimeSpan.FromSeconds(10));
            return false;
        }

        Volatile.Write(ref _connection, connection);
        _channel = new FuseChannel(connection.Stream, sizeof(fuse_out_header), Invalidation.MaxSize);
        if (_stop.IsSet)
        {
            connection.Abort();
        }

        return true;
    }

    private void Changed(ulong node)
    {
        Fresh.Changed(node);
        Directories.Changed(node);
        Contents.Changed(node);
    }

    // Without the connection nothing may be cached.
    private void Hang()
    {
        Gate.Close();
        if (_channel is { } channel)
        {
            _lostAt = Environment.TickCount64;
            _channel = null;
            channel.Dispose();
            Volatile.Read(ref _connection)?.Dispose();
            Volatile.Write(ref _connection, null);
        }

        _teller.Restart();
    }

    /// <summary>Goes on with what is to be forgotten; false where another thread is the keeper.</summary>
    private bool Forget(KernelTeller.Turn turn)
    {
        while (_forgetting is { } forgetting)
        {
            if (_stop.IsSet || !forgetting.MoveNext())
            {
                _forgetting = null;
                Interlocked.Increment(ref _flushes);
                if (_everything != 0 && _channel is not null)
                {
                    _forgotten = false;
                    Gate.Open();
                    _teller.Told(_everything);
                }

                _everything = 0;
                return true;
            }

            Changed(forgetting.Current.Node);
            if (!turn.Tell(forgetting.Current, 0))
            {
                return false;
            }
        }

        return true;
    }

    // Contents first: telling of a name waits for requests in its directory, and without its attributes nobody uses a name
    // without asking the host.
    private IEnumerable<Invalidation> Known()
    {
        yield return Invalidation.Content(FuseConstants.FUSE_ROOT_ID);
        foreach (ulong node in _nodes.All())
        {
            if (Take(node))
            {
                yield return Invalidation.Content(node);
            }
        }

        _taken.AddRange(_names.Take(onlyFull: false));
        for (; _taken.Count > 0; _taken.RemoveAt(0))
        {
            for (int at = 0; Name(_taken[0], ref at) is { } name;)
            {
                yield return name;
            }

            _taken[0].Dispose();
        }
    }

    // What the kernel believed of names for which there was no room is asked for again, and remembered then.
    private void MakeRoom(KernelTeller.Turn turn)
    {
        IReadOnlyList<TakenNames> all = _names.Take(onlyFull: true);

        // Replies by which they were remembered may be on their way to the kernel.
        Gate.AwaitLanes();
        foreach (TakenNames names in all)
        {
            for (int at = 0; !_stop.IsSet && Name(names, ref at) is { } name;)
            {
                _ = turn.Tell(name, 0);
            }

            names.Dispose();
        }
    }

    private static Invalidation? Name(TakenNames names, ref int at)
    {
        ReadOnlySpan<byte> arena = names.Arena;
        ReadOnlySpan<byte> rest = arena[at..];
        if (!KnownNames.Read(ref rest, out ulong directory, out ReadOnlySpan<byte> name))
        {
            return null;
        }

        at = arena.Length - rest.Length;
        return Invalidation.Entry(directory, name);
    }
}
