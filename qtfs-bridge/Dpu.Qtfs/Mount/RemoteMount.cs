using System.Diagnostics;
using Dpu.Fuse;
using Dpu.Fuse.Ring;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Coherence;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// A host's directory, mounted here: the kernel's FUSE requests cross the link unchanged. Lives until it is unmounted,
/// by <see cref="Unmount"/> or by umount(8); an absent host makes its callers wait, not the mount go away. Thread-safe.
/// </summary>
public sealed partial class RemoteMount : IDisposable
{
    /// <summary>For FUSE_INIT, which is one exchange with the host: the time of a dial and some reserve.</summary>
    private static readonly TimeSpan InitLimit = TimeSpan.FromSeconds(15);

    // Said once for the process: every mount's threads fare alike.
    private static int s_protectionTold;

    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly FuseDevice _device;
    private readonly SafeFileHandle _guardDevice;
    private readonly MountLane[] _lanes;
    private readonly Thread _guardThread;
    private readonly Thread? _grantsThread;
    private readonly bool _hostReadOnly;

    // The guard's thread alone.
    private readonly List<RequestUnderWay> _pending = [];
    private ulong _id = (ulong)Random.Shared.NextInt64();
    private ulong _lastNumber;
    private int _lanesRunning;
    private string? _fault;

    private RemoteMount(RemoteMountOptions options, IHostConnector connector, ILogger logger, SlowRequestLimit slow)
    {
        Options = options = Uncached(options);
        Merge = MergeOf(options);
        Connector = connector;
        _logger = logger;
        Slow = new SlowRequests(options, slow, logger);
        Guard = new MountGuard(this);
        Cache = options.Coherent ? new CacheKeeper(this, logger) : null;
        Grants = options.Coherent ? new GrantedLocks(this, Cache!) : null;
        Pending = new PendingRequests(this);
        Relief = new ReliefLanes(this);
        Polls = new PollWaits(this);
        _lanes = [.. Enumerable.Range(0, options.Lanes).Select(number => new MountLane(this, (uint)number))];
        SafeFileHandle[] devices;
        LinkConnection first;
        try
        {
            first = _lanes[0].Connect();
            FsResult served = first.Reply.Fs;
            _hostReadOnly = served.ReadOnly;
            Relief.Allowed = (int)Math.Clamp((long)served.MaxLanes - options.Lanes, 0, ReliefLanes.Most);
            InitExchange.AllowZeroMessageOpen = ZeroMessageOpen;
            InitExchange.ListAttributes = options.Coherent;
            InitExchange.AllowLocks = options.Locks != MountLocks.Local && served.HostLocks;
            RequireKind(served);
            if (options.Locks == MountLocks.Host && !served.HostLocks)
            {
                throw new IOException($"host '{options.Host}' cannot keep the locks of a mount; update its agent, or mount with locks \"local\"");
            }

            // Switches rings on: the kernel offers what is on when it mounts. What is missing StartLanes says.
            _ = options.Transport == MountTransport.IoUring ? FuseRingSupport.FindRefusal() : null;

            _device = FuseDevice.Mount(new FuseMountOptions
            {
                Target = options.Target,
                Source = $"{options.Host}:{options.Export}",
                Subtype = "qtfs",
                ReadOnly = ReadOnly,
                AllowSuid = options.AllowSuid,
                AllowDev = options.AllowDev,

                // What a runtime left that was killed: every access to it fails.
                ReplaceStale = true,
            });
            _guardDevice = CloneDevice();
            devices = [.. _lanes.Select(_ => _device.Clone())];
        }
        catch
        {
            // The host has opened the mount already.
            _ = _lanes[0].SendDestroy();
            DisposeParts();
            throw;
        }

        _guardThread = StartThread("guard", () => Guard.Run(_guardDevice));
        Cache?.Start(_device.Handle);
        _grantsThread = Grants is { } grants ? StartThread("grants", () => grants.Run(_device.Handle)) : null;
        StartLanes(devices, first);
        AwaitInit();
        AttachProcesses();
        TellOfProtection();
        Log.Mounted(logger, options.Host, options.Export, options.Target, ReadOnly, options.Lanes);
    }

    /// <summary>What was asked for.</summary>
    public RemoteMountOptions Options { get; }

    /// <summary>What it has done.</summary>
    public MountCounters Counters { get; } = new();

    /// <summary>Whether changes are refused, by the DPU's wish or by the host's policy.</summary>
    public bool ReadOnly => Options.ReadOnly || _hostReadOnly;

    /// <summary>Requests under way.</summary>
    public int InFlight => Lanes.Count(lane => lane.BusySince != 0) + Overflow.Count + Pending.Count + (Rings?.Busy ?? 0);

    /// <summary>The opcodes of the requests under way, one entry a request.</summary>
    public IReadOnlyList<uint> OpcodesInFlight
    {
        get
        {
            List<RequestUnderWay> pending = [];
            AddPending(pending);
            return [.. pending.Select(request => request.Opcode)];
        }
    }

    /// <summary>Whether locks are the host's: it and this machine's kernel agreed on it.</summary>
    public bool HostLocks => (InitExchange.Features & FuseFeatures.Locks) == FuseFeatures.Locks;

    // With the host's locks it must hear of each close, or a process that is killed would keep its locks.
    private bool ZeroMessageOpen => Options is { Coherent: true, Locks: MountLocks.Local };

    /// <summary>Ends when the mount is gone, whoever unmounted it.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Why the host gives no lane although the link is up; null where all is well.</summary>
    public string? Fault => Volatile.Read(ref _fault);

    internal IHostConnector Connector { get; }

    /// <summary>The next number of a request, for the host that keeps answers.</summary>
    internal ulong NextNumber() => Interlocked.Increment(ref _lastNumber);

    internal SlowRequests Slow { get; }

    internal MountGuard Guard { get; }

    /// <summary>What keeps the kernel's cache right; null where nothing is cached, or for a fixed time.</summary>
    internal CacheKeeper? Cache { get; }

    /// <summary>Whether the host's answers may bring what the kernel asks for next, which lanes take off and rings do not.</summary>
    internal bool AsksAhead => Cache is not null && Options.Transport == MountTransport.Fuse;

    /// <summary>Locks that the host has granted; null where nothing is cached.</summary>
    internal GrantedLocks? Grants { get; }

    /// <summary>Which closes the host need not hear of.</summary>
    internal FlushRules Flushes { get; } = new();

    /// <summary>Requests that wait on the host.</summary>
    internal PendingRequests Pending { get; }

    /// <summary>Programs that wait for events of the host's files.</summary>
    internal PollWaits Polls { get; }

    internal OverflowQueue Overflow => Guard.Overflow;

    /// <summary>Lanes that help while all others wait for the host.</summary>
    internal ReliefLanes Relief { get; }

    /// <summary>The lanes that there are at the moment.</summary>
    internal IEnumerable<MountLane> Lanes => _lanes.Take(Math.Max(Volatile.Read(ref _lanesStarted), 1)).Concat(Relief.Serving);

    internal InitExchange InitExchange { get; } = new();

    internal bool Stopping => _stopping.IsCancellationRequested;

    /// <summary>Whether the host has been away for so long that nobody is to wait any more.</summary>
    internal bool HasGivenUp => Connector.DownFor > Options.GiveUpAfter;

    /// <summary>Mounts an export; returns once the mount is visible.</summary>
    /// <exception cref="LinkException">The host is not reachable, or does not give the export.</exception>
    /// <exception cref="IOException">The kernel refused the mount.</exception>
    /// <param name="options">What to mount where.</param>
    /// <param name="connector">The link to the host.</param>
    /// <param name="logger">The log.</param>
    /// <param name="slow">From when on requests are logged as slow; null for never.</param>
    public static RemoteMount Start(RemoteMountOptions options, IHostConnector connector, ILogger logger, SlowRequestLimit? slow = null) =>
        new(options, connector, logger, slow ?? new SlowRequestLimit());

    /// <summary>Unmounts; blocks while the kernel writes back what is dirty.</summary>
    /// <param name="lazy">Detach now, end when the last user goes.</param>
    /// <exception cref="IOException">The kernel refused, e.g. EBUSY.</exception>
    public void Unmount(bool lazy)
    {
        if (_ended.Task.IsCompleted)
        {
            return;
        }

        _processes?.Detach();
        try
        {
            _device.Unmount(lazy);
        }
        catch
        {
            // It stays, and so does what is mounted in it.
            ReattachProcesses();
            throw;
        }
    }

    /// <summary>Ends the mount whatever its users do: every request, present and future, fails with ENOTCONN.</summary>
    public void Abort()
    {
        _stopping.Cancel();
        _device.Abort();
        Rings?.Stop();
        CutBusyLanes();
    }

    /// <summary>Frees what is left once the mount has <see cref="Ended"/>; aborts it before where it has not.</summary>
    public void Dispose()
    {
        if (_ended.Task.IsCompleted)
        {
            return;
        }

        Abort();
        if (!_ended.Task.Wait(TimeSpan.FromSeconds(3)))
        {
            Array.ForEach(_lanes, lane => lane.Cut());
            _ended.Task.Wait(TimeSpan.FromSeconds(2));
        }
    }

    /// <summary>Cuts the lanes that wait for the host: an idle one ends by itself, and tells the host that the mount has ended.</summary>
    internal void CutBusyLanes()
    {
        foreach (MountLane lane in Lanes)
        {
            if (lane.BusySince != 0)
            {
                lane.Cut();
            }
        }

        Rings?.Cut();
    }


    internal unsafe void Reply(SafeFileHandle device, ulong unique, int error)
    {
        if (Rings?.TryReply(unique, error) == true)
        {
            return;
        }

        var reply = new fuse_out_header { len = (uint)sizeof(fuse_out_header), error = error, unique = unique };

        // The guard answers on a lane's descriptor, which that lane may close meanwhile.
        bool held = false;
        int result = -errno.ENODEV;
        try
        {
            device.DangerousAddRef(ref held);

            // SAFETY: a struct on the stack, written whole. ENOENT: the caller is gone; ENODEV: so is the mount.
            result = FuseDevice.WriteReply(device, (byte*)&reply, sizeof(fuse_out_header));
        }
        catch (ObjectDisposedException)
        {
            // Expected: the lane has ended, and the mount with it.
            return;
        }
        finally
        {
            if (held)
            {
                device.DangerousRelease();
            }
        }

        if (result < 0 && result is not (-errno.ENOENT or -errno.ENODEV))
        {
            Log.ReplyRefused(_logger, Options.Target, -result);
        }
    }

    /// <summary>On the guard's thread.</summary>
    internal void TellOfSlowRequests()
    {
        _pending.Clear();
        AddPending(_pending);
        Slow.Look(_pending, Stopwatch.GetTimestamp());
    }

    internal void Connected() => Volatile.Write(ref _fault, null);

    internal void DialFailed(LinkException e)
    {
        if (Interlocked.Exchange(ref _fault, e.Message) != e.Message && Connector.IsUp)
        {
            Log.DialFailed(_logger, Options.Target, Options.Host, e.Message);
        }
    }

    internal void PauseAfterRefusal(TimeSpan time) => _stopping.Token.WaitHandle.WaitOne(time);

    internal void HostViolated(string reason) => Log.HostViolated(_logger, Options.Target, Options.Host, reason);

    internal void LaneBroke(string reason) => Log.LaneBroke(_logger, Options.Target, reason);

    internal void OutcomeUnknown(uint opcode, ulong node) => Log.OutcomeUnknown(_logger, Options.Target, opcode, node);

    internal void DeviceEnded(int result)
    {
        if (result is not (-errno.ENODEV or -errno.ECONNABORTED))
        {
            Log.ReplyRefused(_logger, Options.Target, -result);
        }

        _stopping.Cancel();
        Rings?.Stop();
    }

    /// <summary>One more descriptor of the kernel's requests, non-blocking.</summary>
    /// <exception cref="IOException">The kernel refuses it.</exception>
    internal SafeFileHandle CloneDevice()
    {
        SafeFileHandle clone = _device.Clone();
        if (LibC.SetNonBlocking(clone) is < 0 and int refused)
        {
            clone.Dispose();
            throw new IOException($"a descriptor of {Options.Target} cannot be made non-blocking: errno {-refused}");
        }

        return clone;
    }

    private void AddPending(List<RequestUnderWay> pending)
    {
        foreach (MountLane lane in Lanes)
        {
            if (lane.Current.TryRead(out RequestUnderWay request))
            {
                pending.Add(request);
            }
        }

        Overflow.CopyTo(pending);
        Rings?.AddPending(pending);
    }

    private void TellOfProtection()
    {
        if (ProcessProtection.Threads is { Applied: false } refused && Interlocked.Exchange(ref s_protectionTold, 1) == 0)
        {
            Log.ThreadsNotProtected(_logger, refused.ToString());
        }
    }

    private void AwaitInit()
    {
        bool answered = InitExchange.Answered.Wait(InitLimit);
        if (answered && InitExchange.Refusal is null)
        {
            Rings?.AwaitGo(InitLimit);
            return;
        }

        _device.Unmount(lazy: true);
        Dispose();
        throw new IOException(answered
            ? $"host '{Options.Host}' and this machine's kernel have no FUSE in common: {InitExchange.Refusal}; update the older side"
            : $"host '{Options.Host}' and this machine's kernel did not agree on FUSE within {InitLimit.TotalSeconds} s{(Fault is { } fault ? ": " + fault : "; see the host agent's log")}");
    }

    private void RunLane(MountLane lane, SafeFileHandle device)
    {
        try
        {
            lane.Run(device);
        }
        finally
        {
            device.Dispose();
            LaneEnded(lane);
        }
    }

    // On the last lane's thread.
    private void End(MountLane lane)
    {
        // The last lane first: the others' connections may have been cut.
        _ = lane.SendDestroy() || _lanes.Any(other => other != lane && other.SendDestroy());
        Guard.Stop();
        _guardThread.Join();
        Relief.Stop();
        Cache?.Stop();
        Pending.Stop();
        Grants?.Stop();
        _grantsThread?.Join();
        Polls.Stop();
        DisposeParts();
        Log.Unmounted(_logger, Options.Target);
        _ended.SetResult();
    }

    private void DisposeParts()
    {
        while (Overflow.TryTake() is { } waiting)
        {
            waiting.Dispose();
        }

        foreach (MountLane lane in _lanes)
        {
            lane.Dispose();
        }

        Guard.Dispose();
        Cache?.Dispose();
        Pending.Dispose();
        Polls.Dispose();
        _processes?.Dispose();
        Merge?.Processes.Dispose();
        Rings?.Dispose();
        Array.ForEach(_laneDevices, device => device.Dispose());
        _guardDevice?.Dispose();
        _device?.Dispose();
    }

    /// <summary>Starts a thread of the mount; where it fails, the mount is broken.</summary>
    internal Thread StartThread(string name, Action body)
    {
        var thread = new Thread(() =>
        {
            try
            {
                ProcessProtection.ProtectCurrentThread();
                body();
            }
            catch (Exception e)
            {
                // A bug. A mount that nobody serves would hang its callers: better to break it, loudly.
                Log.LaneCrashed(_logger, Options.Target, e);
                _device.Abort();
            }
        })
        {
            IsBackground = true,
            Name = $"qtfs-{name}",
        };
        thread.Start();
        return thread;
    }
}
