using Dpu.Proto.V1;
using Dpu.Qtfs;
using Dpu.Qtfs.Mount;
using Dpu.Runtime.Hosts;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Runtime.Mounts;

/// <summary>A mount that is wanted, and the mount itself once it stands. Guarded by <see cref="MountManager"/>'s lock.</summary>
/// <param name="id">Its number, for <c>mounts/ID</c>.</param>
/// <param name="options">What is wanted.</param>
/// <param name="configured">Whether the configuration names it.</param>
internal sealed class MountEntry(long id, RemoteMountOptions options, bool configured)
{
    private TaskCompletionSource? _settled;

    public string Name { get; } = $"mounts/{id}";

    public RemoteMountOptions Options { get; } = options;

    public bool Configured { get; } = configured;

    /// <summary>The mount; null while it waits for its host.</summary>
    public RemoteMount? Mount { get; set; }

    public DateTimeOffset MountTime { get; set; }

    /// <summary>Why the last try failed.</summary>
    public string Error { get; set; } = "";

    /// <summary>The target of the mount that must stand before this one is made inside of it; null where none.</summary>
    public string? WaitsFor { get; set; }

    /// <summary>Set while some thread mounts it.</summary>
    public bool Starting
    {
        get => _settled is { Task.IsCompleted: false };
        set
        {
            if (value)
            {
                _settled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
            else
            {
                _settled?.TrySetResult();
            }
        }
    }

    /// <summary>Ends when it is not <see cref="Starting"/> any more.</summary>
    public Task Settled => _settled?.Task ?? Task.CompletedTask;

    /// <summary>Set once it is no longer wanted.</summary>
    public bool Removed { get; set; }

    /// <summary>The mount as the control interface shows it.</summary>
    /// <param name="hostIsUp">Whether its host's link is up.</param>
    public Mount ToMessage(bool hostIsUp)
    {
        string error = Mount?.Fault ?? (Mount is null && WaitsFor is not null ? $"it waits for the mount at {WaitsFor}" : Error);
        var message = new Mount
        {
            Name = Name,
            Host = Options.Host,
            Export = Options.Export,
            Target = Options.Target,
            State = State(hostIsUp),
            LastError = error,
            ReadOnly = Mount?.ReadOnly ?? Options.ReadOnly,
            AllowSuid = Options.AllowSuid,
            AllowDev = Options.AllowDev,
            Cache = Options.Coherent ? MountCache.Coherent : MountCache.None,
            CacheTimeout = Duration.FromTimeSpan(Options.CacheTimeout),
            Lanes = Options.Lanes,
            Configured = Configured,
            GiveUpAfter = Duration.FromTimeSpan(Options.GiveUpAfter),
            Locks = Locks(),
            Kind = Options.OwnProcesses ? "proc" : "plain",
            Processes = Options.ProcessFolder ?? string.Empty,
            Transport = (Mount?.Transport ?? Options.Transport) == MountTransport.IoUring ? "io_uring" : "fuse",
        };
        if (Mount is { } mount)
        {
            message.MountTime = Timestamp.FromDateTimeOffset(MountTime);
            message.Counters = Counters(mount);
            message.NotKept = mount.WhyNotKept ?? (mount.IsKept ? "" : "no dpu-keeper holds it");
        }

        return message;
    }

    /// <summary>What the mount has done, as the control interface shows it.</summary>
    /// <param name="host">Its host's link; null where the host is configured no more.</param>
    /// <param name="now">The time.</param>
    public MountStats ToStats(HostLink? host, DateTimeOffset now)
    {
        var stats = new MountStats
        {
            Name = Name + "/stats",
            Host = Options.Host,
            Export = Options.Export,
            Target = Options.Target,
            State = State(host is { IsUp: true }),
            HostState = host?.State.State ?? LinkState.Unspecified,
            SampleTime = Timestamp.FromDateTimeOffset(now),
            Counters = new Dpu.Proto.V1.MountCounters(),
        };
        if (Mount is { } mount)
        {
            stats.MountTime = Timestamp.FromDateTimeOffset(MountTime);
            stats.Counters = Counters(mount);
            stats.Operations.AddRange(StatisticsMessages.Operations(mount.Counters.Operations.Snapshot(), mount.OpcodesInFlight));
        }

        return stats;
    }

    /// <summary>What the mount has done, for metrics; null where there is none.</summary>
    public MountFigures? Figures => Mount is { } mount ? new MountFigures(Options.Target, mount.Counters.Operations.Snapshot()) : null;

    private static Dpu.Proto.V1.MountCounters Counters(RemoteMount mount)
    {
        MountTotals totals = mount.Counters.Totals;
        return new Dpu.Proto.V1.MountCounters
        {
            Requests = (ulong)totals.Requests,
            Errors = (ulong)totals.Errors,
            BytesSent = (ulong)totals.BytesSent,
            BytesReceived = (ulong)totals.BytesReceived,
            UnknownOutcome = (ulong)mount.Counters.UnknownOutcome,
            InFlight = (ulong)mount.InFlight,
            Repeats = (ulong)mount.Counters.Repeated,
            Interrupts = (ulong)mount.Counters.Interrupted,
            Recovered = (ulong)mount.Counters.Recovered,
            TakenOver = (ulong)mount.Counters.TakenOver,
            HostReturns = (ulong)mount.Counters.Returns,
            Reopened = (ulong)mount.Counters.Reopened,
            StaleFiles = (ulong)mount.Counters.StaleFiles,
            LostLocks = (ulong)mount.Counters.LostLocks,
        };
    }

    private string Locks() => (Mount, Options.Locks) switch
    {
        ({ HostLocks: true }, _) or (null, MountLocks.Host) => "host",
        (null, MountLocks.HostIfSupported) => "",
        _ => "local",
    };

    private MountState State(bool hostIsUp)
    {
        if (Mount is null)
        {
            return Error.Length > 0 && hostIsUp && WaitsFor is null ? MountState.Failed : MountState.Waiting;
        }

        if (!hostIsUp)
        {
            return MountState.Disconnected;
        }

        return Mount.Fault is null ? MountState.Mounted : MountState.Failed;
    }
}
