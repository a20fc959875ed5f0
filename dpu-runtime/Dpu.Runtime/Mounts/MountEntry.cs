using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Runtime.Mounts;

/// <summary>A mount that is wanted, and the mount itself once it stands. Guarded by <see cref="MountManager"/>'s lock.</summary>
/// <param name="id">Its number, for <c>mounts/ID</c>.</param>
/// <param name="options">What is wanted.</param>
/// <param name="configured">Whether the configuration names it.</param>
internal sealed class MountEntry(long id, RemoteMountOptions options, bool configured)
{
    public string Name { get; } = $"mounts/{id}";

    public RemoteMountOptions Options { get; } = options;

    public bool Configured { get; } = configured;

    /// <summary>The mount; null while it waits for its host.</summary>
    public RemoteMount? Mount { get; set; }

    public DateTimeOffset MountTime { get; set; }

    /// <summary>Why the last try failed.</summary>
    public string Error { get; set; } = "";

    /// <summary>Set while some thread mounts it.</summary>
    public bool Starting { get; set; }

    /// <summary>Set once it is no longer wanted.</summary>
    public bool Removed { get; set; }

    /// <summary>The mount as the control interface shows it.</summary>
    /// <param name="hostIsUp">Whether its host's link is up.</param>
    public Mount ToMessage(bool hostIsUp)
    {
        string error = Mount?.Fault ?? Error;
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
            CacheTimeout = Duration.FromTimeSpan(Options.CacheTimeout),
            Lanes = Options.Lanes,
            Configured = Configured,
            GiveUpAfter = Duration.FromTimeSpan(Options.GiveUpAfter),
            Locks = Locks(),
        };
        if (Mount is { } mount)
        {
            message.MountTime = Timestamp.FromDateTimeOffset(MountTime);
            message.Counters = new Dpu.Proto.V1.MountCounters
            {
                Requests = (ulong)mount.Counters.Requests,
                Errors = (ulong)mount.Counters.Errors,
                BytesSent = (ulong)mount.Counters.BytesSent,
                BytesReceived = (ulong)mount.Counters.BytesReceived,
                UnknownOutcome = (ulong)mount.Counters.UnknownOutcome,
                InFlight = (ulong)mount.InFlight,
            };
        }

        return message;
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
            return Error.Length > 0 && hostIsUp ? MountState.Failed : MountState.Waiting;
        }

        if (!hostIsUp)
        {
            return MountState.Disconnected;
        }

        return Mount.Fault is null ? MountState.Mounted : MountState.Failed;
    }
}
