using System.Collections.Concurrent;
using Dpu.Fuse;
using Dpu.Fuse.Ring;

namespace Dpu.Qtfs.Mount.Ring;

/// <summary>
/// The ring lanes of a mount. One lane on /dev/fuse goes on beside them, for what the kernel does not send by rings:
/// FUSE_INIT, FUSE_FORGET, FUSE_INTERRUPT. Thread-safe.
/// </summary>
/// <remarks>
/// Rings are made before FUSE_INIT is answered, and given to the kernel after: once it was told of rings it lets no
/// request pass until each queue has one, and goes back to /dev/fuse only where it has refused one.
/// </remarks>
internal sealed class RingLanes : IDisposable
{
    /// <summary>
    /// Requests of a processor that can be under way at once. Each takes 1 MiB of address space, and of memory what it has used: the kernel uses the slot again
    /// that it has had back last. So many, as a slot that comes when all are taken does not help what waits in the kernel by then (<see cref="FuseRing.TryAddSlot"/>).
    /// </summary>
    public const int Depth = 64;

    /// <summary>Lanes at most.</summary>
    private const int MaxLanes = 15;

    /// <summary>Connections that are left to lanes on /dev/fuse.</summary>
    private const int DeviceConnections = 8;

    private static readonly TimeSpan SetUpLimit = TimeSpan.FromSeconds(10);

    private readonly RemoteMount _mount;
    private readonly RingLane[] _lanes;
    private readonly CountdownEvent _prepared;
    private readonly ManualResetEventSlim _go = new();
    private readonly ConcurrentDictionary<ulong, RingLane> _held = new();
    private string? _refusal;
    private volatile bool _use;

    private RingLanes(RemoteMount mount, RingLane[] lanes)
    {
        _mount = mount;
        _lanes = lanes;
        _prepared = new CountdownEvent(lanes.Length);
    }

    /// <summary>How many there are.</summary>
    public int Count => _lanes.Length;

    /// <summary>Whether they serve.</summary>
    public bool InUse => _use;

    /// <summary>Requests under way.</summary>
    public int Busy => _lanes.Sum(lane => lane.Busy);

    /// <summary>How many ring lanes a mount has: one for each processor, as far as its lanes go.</summary>
    public static int CountFor(RemoteMountOptions options) =>
        options.Transport == MountTransport.IoUring ? Math.Clamp(Math.Min(options.Lanes, FuseRingSupport.Queues), 1, MaxLanes) : 0;

    /// <summary>How many connections each of them may have.</summary>
    /// <param name="lanes">How many ring lanes there are.</param>
    /// <param name="allowed">Connections that the host lets a mount have.</param>
    public static int LinksFor(int lanes, long allowed) => (int)Math.Clamp((allowed - DeviceConnections) / Math.Max(lanes, 1), 1, RingLane.MaxLinks);

    /// <summary>Makes the lanes, each with a clone of the device; nothing runs yet.</summary>
    public static RingLanes Create(RemoteMount mount, FuseDevice device, int allowed)
    {
        int count = CountFor(mount.Options);
        int links = LinksFor(count, allowed);
        int queues = FuseRingSupport.Queues;
        return new RingLanes(mount, [.. Enumerable.Range(0, count).Select(i => new RingLane(
            mount,
            (uint)(mount.Options.Lanes + ReliefLanes.Most + i),
            device.Clone(),
            links,
            [.. Enumerable.Range(0, queues).Where(queue => queue % count == i)]))]);
    }

    /// <summary>Starts the threads, and waits until each has its ring.</summary>
    /// <param name="ended">Called on a lane's thread when it has ended, with why the ring was of no use, or null.</param>
    /// <returns>Null, or why there are no rings; the threads then end.</returns>
    public string? Start(Action<string?> ended)
    {
        foreach (RingLane lane in _lanes)
        {
            _mount.StartThread($"ring{lane.Number}", () => Run(lane, ended));
        }

        string? refusal = _prepared.Wait(SetUpLimit) ? Volatile.Read(ref _refusal) : $"the rings were not made within {SetUpLimit.TotalSeconds} s";
        if (refusal is not null)
        {
            Go(use: false);
        }

        return refusal;
    }

    /// <summary>FUSE_INIT is answered, or will never be: lets the threads serve or end. The first call counts.</summary>
    public void Go(bool use)
    {
        if (!_go.IsSet)
        {
            _use = use;
            _go.Set();
        }
    }

    /// <summary>Waits until it is said whether they serve.</summary>
    public void AwaitGo(TimeSpan limit) => _go.Wait(limit);

    /// <summary>A lane's request waits for a lock; false where the mount has ended.</summary>
    public bool TryHold(ulong unique, RingLane lane) => _held.TryAdd(unique, lane);

    /// <summary>It does not.</summary>
    public void Forget(ulong unique) => _held.TryRemove(unique, out _);

    /// <summary>Answers a request that waits for a lock, if it came by a ring.</summary>
    public bool TryReply(ulong unique, int error)
    {
        if (!_held.TryRemove(unique, out RingLane? lane))
        {
            return false;
        }

        lane.Complete(unique, error);
        return true;
    }

    /// <summary>As <see cref="MountLane.Interrupt"/>.</summary>
    public bool Interrupt(ulong unique, bool expired)
    {
        bool held = false;
        foreach (RingLane lane in _lanes)
        {
            held |= lane.Interrupt(unique, expired);
        }

        return held;
    }

    /// <summary>The requests under way.</summary>
    public void AddPending(List<RequestUnderWay> pending) => Array.ForEach(_lanes, lane => lane.AddPending(pending));

    /// <summary>The mount has ended: the threads look up, and end.</summary>
    public void Stop()
    {
        Go(use: false);
        Array.ForEach(_lanes, lane => lane.Wake());
    }

    /// <summary>Breaks all connections.</summary>
    public void Cut() => Array.ForEach(_lanes, lane => lane.Cut());

    /// <inheritdoc/>
    public void Dispose()
    {
        _prepared.Dispose();
        _go.Dispose();
    }

    private void Run(RingLane lane, Action<string?> ended)
    {
        string? failure = null;
        try
        {
            try
            {
                lane.Prepare(Depth);
            }
            catch (FuseMountException e)
            {
                Interlocked.CompareExchange(ref _refusal, e.Message, null);
            }

            _prepared.Signal();
            _go.Wait();
            failure = _use ? lane.Run() : null;
        }
        finally
        {
            lane.Dispose();
            ended(failure);
        }
    }
}
