using System.Diagnostics;
using System.Globalization;
using Dpu.Fuse;
using Dpu.Fuse.Ring;
using Dpu.Fuse.Wire;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Coherence;
using Dpu.Qtfs.Mount.Handover;
using Dpu.Qtfs.Mount.Held;
using Dpu.Qtfs.Mount.Sockets;
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
    private static readonly Keeping s_none = new(null, "");

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
    private int _lanesRunning;
    private string? _fault;

    private RemoteMount(RemoteMountOptions options, IHostConnector connector, ILogger logger, SlowRequestLimit slow, KeptState state, bool configured, bool isTakenOver, DateTimeOffset started)
    {
        _asked = options;
        Options = options = Uncached(options);
        Merge = MergeOf(options);
        Connector = connector;
        State = state;
        IsTakenOver = isTakenOver;
        _configured = configured;
        _started = started;
        _logger = logger;
        Counters = new MountCounters(state);
        Slow = new SlowRequests(options, slow, logger);
        Cells = new RequestCells(state);
        Flushes = new FlushRules(state);
        Held = new HeldFiles(state);
        Guard = new MountGuard(this);
        Cache = options.Coherent ? new CacheKeeper(this, logger) : null;
        Grants = options.Coherent ? new GrantedLocks(this, Cache!) : null;
        Pending = new PendingRequests(this);
        Relief = new ReliefLanes(this);
        Polls = new PollWaits(this);
        Sockets = connector.Sockets is { } relays && options is { Transport: MountTransport.Fuse, OwnProcesses: false } ? new MountSockets(this, relays, logger) : null;
        _lanes = [.. Enumerable.Range(0, options.Lanes).Select(number => new MountLane(this, (uint)number))];
        _device = null!;
        _guardDevice = null!;
        _guardThread = null!;
    }

    private RemoteMount(RemoteMountOptions options, Keeping keeping, IHostConnector connector, ILogger logger, SlowRequestLimit slow, bool configured, DateTimeOffset started)
        : this(options, connector, logger, slow, new KeptState(keeping, Random.Shared.NextInt64().ToString("x16", CultureInfo.InvariantCulture)), configured, isTakenOver: false, started)
    {
        options = Options;
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
            HoldDevices(devices);
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
        _grantsThread = Grants is { } grants ? StartThread("grants", grants.Run) : null;
        StartLanes(devices, first);
        AwaitInit();
        AttachProcesses();
        TellOfProtection();
        Log.Mounted(logger, options.Host, options.Export, options.Target, ReadOnly, options.Lanes);
    }

    private RemoteMount(KeptMount kept, Keeping keeping, IHostConnector connector, ILogger logger, SlowRequestLimit slow)
        : this(kept.Options, connector, logger, slow, new KeptState(keeping, kept.Key), kept.Configured, isTakenOver: true, kept.Started)
    {
        try
        {
            MountDescription was = kept.Description;
            _id = was.Id;
            _hostReadOnly = was.HostReadOnly;
            Relief.Allowed = was.MoreLanes;
            InitExchange.Resume(was.Init, was.Agreed);
            _device = FuseDevice.Adopt(Take(keeping, kept.Key, MainDevice), was.Place, kept.Options.Target, was.Connection);
            _guardDevice = Take(keeping, kept.Key, GuardsDevice);
            _laneDevices = [.. Enumerable.Range(0, _lanes.Length).Select(lane => Take(keeping, kept.Key, LanesDevice(lane)))];
            if (!_device.Connected)
            {
                throw new IOException("it was unmounted meanwhile");
            }

            // So that a keeper that comes after this one is given them.
            HoldDevices(_laneDevices);
            Describe();
            Counters.CountTakenOver();
            Recover();
        }
        catch
        {
            DisposeParts();
            throw;
        }

        _guardThread = StartThread("guard", () => Guard.Run(_guardDevice));
        Cache?.Start(_device.Handle);
        _grantsThread = Grants is { } grants ? StartThread("grants", grants.Run) : null;
        AdoptProcesses();
        Interlocked.Increment(ref _lanesRunning);
        StartDeviceLanes(_lanes.Length);
        LaneEnded(_lanes[0]);
        Relief.StartRecovered();
        Polls.Recover();
        AskForOffered();
        TellOfProtection();
        Log.TakenOver(logger, Options.Host, Options.Export, Options.Target, Counters.Recovered);
    }

    /// <summary>What was asked for.</summary>
    public RemoteMountOptions Options { get; }

    /// <summary>What it has done.</summary>
    public MountCounters Counters { get; }

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
    internal unsafe ulong NextNumber() => Interlocked.Increment(ref *State.LastNumber);

    internal SlowRequests Slow { get; }

    internal MountGuard Guard { get; }

    /// <summary>What keeps the kernel's cache right; null where nothing is cached, or for a fixed time.</summary>
    internal CacheKeeper? Cache { get; }

    /// <summary>Whether the host's answers may bring what the kernel asks for next, which lanes take off and rings do not.</summary>
    internal bool AsksAhead => Cache is not null && Options.Transport == MountTransport.Fuse;

    /// <summary>Locks that the host has granted; null where nothing is cached.</summary>
    internal GrantedLocks? Grants { get; }

    /// <summary>Which closes the host need not hear of.</summary>
    internal FlushRules Flushes { get; }

    /// <summary>Requests that wait on the host.</summary>
    internal PendingRequests Pending { get; }

    /// <summary>Programs that wait for events of the host's files.</summary>
    internal PollWaits Polls { get; }

    /// <summary>The host's sockets; null where programs here cannot connect to them.</summary>
    internal MountSockets? Sockets { get; }

    /// <summary>The mount's number in the session, of the moment.</summary>
    public ulong Id => Volatile.Read(ref _id);

    /// <summary>The minor number of the mount's device; the major number is 0.</summary>
    public long DeviceNumber => _device.ConnectionNumber;

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
    /// <param name="keeping">What holds it while no runtime serves it; null for nothing.</param>
    /// <param name="configured">Whether the configuration names it, for a runtime that takes the place of this one.</param>
    /// <param name="started">The time, for the same.</param>
    public static RemoteMount Start(
        RemoteMountOptions options, IHostConnector connector, ILogger logger, SlowRequestLimit? slow = null, Keeping? keeping = null, bool configured = false, DateTimeOffset started = default) =>
        new(options, keeping ?? s_none, connector, logger, slow ?? new SlowRequestLimit(), configured, started);

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

        Sockets?.End();
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
}
