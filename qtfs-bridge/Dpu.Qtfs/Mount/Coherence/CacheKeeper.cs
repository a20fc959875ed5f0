using System.Buffers;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// Keeps what the kernel has cached of a mount right: takes the host's notifications on a connection of their own, and
/// gives them to the kernel. Where that connection is missing nothing new is cached, and after a while all is forgotten.
/// </summary>
/// <remarks>A thread of its own: telling the kernel may wait for a request that a lane is serving.</remarks>
internal sealed unsafe class CacheKeeper : IDisposable
{
    /// <summary>How long names are believed on a kernel that cannot forget them all at once (before Linux 6.16).</summary>
    private const ulong BoundedNameSeconds = 1;

    private static readonly TimeSpan WaitSlice = TimeSpan.FromMilliseconds(50);

    private readonly RemoteMount _mount;
    private readonly ILogger _logger;
    private readonly KnownIds _nodes = new();
    private readonly ManualResetEventSlim _stop = new();
    private LinkConnection? _connection;
    private ulong _nameSeconds = BoundedNameSeconds;
    private bool _forgotten = true;
    private bool _refusalTold;
    private long _received;
    private long _flushes;

    public CacheKeeper(RemoteMount mount, ILogger logger)
    {
        _mount = mount;
        _logger = logger;

        Gate = new CacheGate(mount.Options.Lanes + ReliefLanes.Most + Ring.RingLanes.CountFor(mount.Options));
    }

    public CacheGate Gate { get; }

    /// <summary>Files of which the kernel need not ask the host everything.</summary>
    public FreshFiles Fresh { get; } = new();

    /// <summary>Notifications received.</summary>
    public long Received => Interlocked.Read(ref _received);

    /// <summary>How often all was forgotten.</summary>
    public long Flushes => Interlocked.Read(ref _flushes);

    /// <summary>Takes away from a reply what must not be cached; call it inside the gate.</summary>
    public void Check(uint opcode, ulong asked, long since, byte* reply, int length)
    {
        // SAFETY: the lane's reply, whole and of that length.
        if (((fuse_out_header*)reply)->error != 0 || !GrantedReply.IsGrant(opcode))
        {
            return;
        }

        GrantedReply.Remember(opcode, reply, length, _nodes);
        bool holds = Gate.Holds(since, asked, GrantedReply.NodeOf(opcode, reply, length), opcode == (uint)fuse_opcode.FUSE_READDIRPLUS);
        ulong seconds = holds ? Volatile.Read(ref _nameSeconds) : 0;
        if (seconds != ulong.MaxValue)
        {
            GrantedReply.Bound(opcode, reply, length, seconds);
        }
    }

    /// <summary>Runs until <see cref="Stop"/>; on a thread of its own.</summary>
    public void Run(SafeFileHandle device)
    {
        while (!_stop.IsSet && !_mount.InitExchange.Answered.Wait(WaitSlice))
        {
            // Nothing can be cached yet.
        }

        long lostAt = Environment.TickCount64;
        while (!_stop.IsSet)
        {
            try
            {
                if (_mount.Connector.WaitUp(WaitSlice) && !_stop.IsSet)
                {
                    Receive(device);
                    lostAt = Environment.TickCount64;
                }
            }
            catch (LinkException e)
            {
                // Expected while the host is away; the lanes say so.
                _mount.LaneBroke(e.Message);
            }
            catch (Exception e) when (e is IOException or FuseChannelException or ObjectDisposedException or OperationCanceledException)
            {
                // Expected when the link breaks.
                lostAt = Environment.TickCount64;
                if (e is FuseChannelException)
                {
                    _mount.HostViolated(e.Message);
                }
            }

            Gate.Close();
            if (!_forgotten && Environment.TickCount64 - lostAt >= (long)_mount.Options.StaleAfter.TotalMilliseconds)
            {
                Forget(device);
            }

            _stop.Wait(WaitSlice);
        }
    }

    /// <summary>Ends <see cref="Run"/> soon.</summary>
    public void Stop()
    {
        _stop.Set();
        Volatile.Read(ref _connection)?.Abort();
    }

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();

    private void Receive(SafeFileHandle device)
    {
        using LinkConnection connection = _mount.DialNotifications();
        if (!connection.Reply.Fs.Coherent)
        {
            if (!_refusalTold)
            {
                _refusalTold = true;
                Log.NotCoherent(_logger, _mount.Options.Target, _mount.Options.Host);
            }

            // An older host, or an export that is not cached. It may change with the host's configuration.
            _stop.Wait(TimeSpan.FromSeconds(10));
            return;
        }

        Volatile.Write(ref _connection, connection);
        try
        {
            if (!_stop.IsSet)
            {
                Take(connection, device);
            }
        }
        finally
        {
            Volatile.Write(ref _connection, null);
            Gate.Close();
        }
    }

    private void Take(LinkConnection connection, SafeFileHandle device)
    {
        using var channel = new FuseChannel(connection.Stream, sizeof(fuse_out_header), Invalidation.MaxSize);
        byte[] message = ArrayPool<byte>.Shared.Rent(Invalidation.MaxSize);
        try
        {
            while (!_stop.IsSet)
            {
                int length = channel.Receive(out byte* received);
                if (length == 0)
                {
                    return;
                }

                if (!Invalidation.TryRead(new ReadOnlySpan<byte>(received, length), out Invalidation invalidation))
                {
                    throw new FuseChannelException($"the host sent a notification of {length} bytes that is none");
                }

                Interlocked.Increment(ref _received);
                if (invalidation.Code == Invalidation.EpochCode)
                {
                    Gate.Close();
                    Forget(device);
                    _forgotten = false;
                    Gate.Open();
                }
                else if (Gate.IsOpen)
                {
                    bool isName = invalidation.Code == (int)fuse_notify_code.FUSE_NOTIFY_INVAL_ENTRY;
                    Gate.Record(isName ? 0 : invalidation.Node, isName ? invalidation.Node : 0);
                    Fresh.Changed(invalidation.Node);
                    Tell(device, invalidation, message);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(message);
        }
    }

    // Contents and attributes node by node, names by a new epoch where the kernel has epochs; elsewhere names are believed
    // for a second only.
    private void Forget(SafeFileHandle device)
    {
        byte[] message = new byte[Invalidation.MaxSize];
        bool hasEpochs = Tell(device, Invalidation.Everything, message) == 0;
        Volatile.Write(ref _nameSeconds, hasEpochs ? ulong.MaxValue : BoundedNameSeconds);
        foreach (ulong node in _nodes.All())
        {
            if (_stop.IsSet)
            {
                return;
            }

            Fresh.Changed(node);
            Tell(device, Invalidation.Content(node), message);
        }

        Tell(device, Invalidation.Content(FuseConstants.FUSE_ROOT_ID), message);
        _forgotten = true;
        Interlocked.Increment(ref _flushes);
    }

    /// <summary>Tells the kernel to forget something; waits for pages of it that are under way.</summary>
    /// <param name="device">Where to.</param>
    /// <param name="invalidation">What.</param>
    /// <param name="message">Room for it.</param>
    /// <returns>0, also where the kernel had nothing of it, or a negated errno.</returns>
    internal static int Tell(SafeFileHandle device, in Invalidation invalidation, byte[] message)
    {
        int length = invalidation.Write(message, expireOnly: true);
        fixed (byte* bytes = message)
        {
            // SAFETY: pinned, and longer than any notification. ENOENT: the kernel has nothing of it.
            int result = FuseDevice.WriteReply(device, bytes, length);
            return result is -errno.ENOENT || result >= 0 ? 0 : result;
        }
    }
}
