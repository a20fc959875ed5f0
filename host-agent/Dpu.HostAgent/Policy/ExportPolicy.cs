using Dpu.Fuse;
using Dpu.HostAgent.Control;
using Dpu.HostAgent.Processes;
using Dpu.HostAgent.Sockets;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Keeper;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.Qtfs.Export.Fifos;
using Dpu.Qtfs.Export.Mounting;
using Dpu.Relay;

namespace Dpu.HostAgent.Policy;

/// <summary>Turns the configuration into what the export service enforces, at start and at each reload.</summary>
/// <param name="exports">The service.</param>
/// <param name="forwards">What is outside of exports.</param>
/// <param name="programs">What may be run.</param>
/// <param name="relays">What moves the bytes of sockets.</param>
/// <param name="mounts">Holds what is known of mounts that were made for DPUs.</param>
public sealed class ExportPolicy(ExportService exports, HostForwards forwards, ProgramPolicy programs, RelayHub relays, [FromKeyedServices(PeerMountsService.KeptAs)] Keeping mounts) : IReloadable<HostAgentConfiguration>
{
    /// <summary>Puts a configuration into force.</summary>
    public void Apply(HostAgentConfiguration configuration)
    {
        Dictionary<string, ExportLimits> limits = configuration.Peers.ToDictionary(peer => peer.Name, peer => From(peer.Limits), StringComparer.Ordinal);
        ExportLimits otherwise = From(configuration.Limits);
        exports.Grace = configuration.SessionGrace;
        relays.BusyPoll = configuration.BusyPoll;
        exports.Configure([.. configuration.Exports.Select(From)], name => limits.GetValueOrDefault(name, otherwise));
        forwards.Configure([.. configuration.Sockets.Select(From)]);
        programs.Configure([.. configuration.Programs.Select(program => new ProgramRule(
            program, IdentityOf(program.Squash, program.AnonymousUid, program.AnonymousGid, program.UserMap, program.GroupMap)))]);
    }

    /// <summary>Before anything else: this agent has the service that connects peers to sockets.</summary>
    public void Serve() => exports.ServesSockets = true;

    /// <summary>Goes on with what an earlier life of the agent served, under the policy in force.</summary>
    public void Restore()
    {
        exports.Restore();
        exports.RestoreMounts(mounts.Socket is null ? null : mounts);
    }

    /// <inheritdoc/>
    public ReloadOutcome Reload(HostAgentConfiguration previous, HostAgentConfiguration next)
    {
        List<string> applied = [];
        foreach (ExportConfiguration export in next.Exports)
        {
            ExportConfiguration? old = previous.Exports.FirstOrDefault(other => other.Name == export.Name);
            if (old is null)
            {
                applied.Add($"export '{export.Name}' added");
            }
            else if (!IsSame(old, export))
            {
                applied.Add($"export '{export.Name}' changed");
            }
        }

        applied.AddRange(previous.Exports
            .Where(old => next.Exports.All(export => export.Name != old.Name))
            .Select(old => $"export '{old.Name}' removed"));
        if (!previous.Peers.SequenceEqual(next.Peers))
        {
            applied.Add("peers changed");
        }

        if (!previous.Sockets.SequenceEqual(next.Sockets))
        {
            applied.Add("sockets changed");
        }

        if (!previous.Programs.SequenceEqual(next.Programs))
        {
            applied.Add("programs changed; what runs goes on as it was begun");
        }

        if (previous.SessionGrace != next.SessionGrace)
        {
            applied.Add("sessionGrace changed");
        }

        if (previous.BusyPoll != next.BusyPoll)
        {
            applied.Add($"busyPoll is {DurationText.Format(next.BusyPoll)}");
        }

        Apply(next);
        return new ReloadOutcome(applied, [.. previous.Listen.SequenceEqual(next.Listen) ? (string[])[] : ["listen"], .. previous.Processes == next.Processes ? (string[])[] : ["processes"]]);
    }

    private static bool IsSame(ExportConfiguration a, ExportConfiguration b) =>
        a.Peers.SequenceEqual(b.Peers)
        && a.Strict.SequenceEqual(b.Strict)
        && a.Connect.SequenceEqual(b.Connect)
        && a.Bind.SequenceEqual(b.Bind)
        && a.Fifos.SequenceEqual(b.Fifos)
        && a.Mounts.SequenceEqual(b.Mounts)
        && a.UserMap.SequenceEqual(b.UserMap)
        && a.GroupMap.SequenceEqual(b.GroupMap)
        && a with { Peers = b.Peers, Strict = b.Strict, Connect = b.Connect, Bind = b.Bind, Fifos = b.Fifos, Mounts = b.Mounts, UserMap = b.UserMap, GroupMap = b.GroupMap } == b;

    private static ExportDefinition From(ExportConfiguration export) => new()
    {
        Name = export.Name,
        Path = export.Path.Length > 1 ? export.Path.TrimEnd('/') : export.Path,
        Peers = export.Peers.ToHashSet(StringComparer.Ordinal),
        ReadOnly = export.ReadOnly,
        Cacheable = export.Cacheable,
        Strict = new StrictPaths(export.Strict),
        Processes = export.Processes,
        Connectable = new StrictPaths(export.Connect),
        Bindable = new StrictPaths(export.Bind),
        Fifos = new FifoRules(export.Fifos.Select(fifo => (fifo.Match, fifo.Direction switch
        {
            FifoWay.ToHost => FifoDirection.ToHost,
            FifoWay.ToDpu => FifoDirection.ToDpu,
            _ => FifoDirection.Unspecified,
        }))),
        Mounts = new MountRules(export.Mounts.Select(rule => new MountRule(rule.Match, rule.Types, rule.Options, rule.Sources, rule.AllowSuid, rule.AllowDev))),
        Interfaces = new StrictPaths(export.Interfaces.Rules.Select(rule => rule.Match)),
        MadeInterfaces = new StrictPaths(export.Interfaces.Rules.Where(rule => rule.Create).Select(rule => rule.Match)),
        AllowDeviceNodes = export.AllowDeviceNodes,
        Identity = IdentityOf(export),
    };

    private static ExportLimits From(LimitsConfiguration limits) => new()
    {
        RequestsPerSecond = limits.RequestsPerSecond,
        BytesPerSecond = limits.BytesPerSecond,
        OpenNodes = limits.OpenNodes,
        OpenHandles = limits.OpenHandles,
        LockOwners = limits.LockOwners,
        LockRanges = limits.LockRanges,
        LockWaits = limits.LockWaits,
        Sessions = limits.Sessions,
        Mounts = limits.Mounts,
    };

    private static ForwardRule From(SocketRuleConfiguration rule) => new(
        rule.Peers.ToHashSet(StringComparer.Ordinal),
        new AddressPatterns(rule.Connect),
        new AddressPatterns(rule.Listen),
        IdentityOf(rule.Squash, rule.AnonymousUid, rule.AnonymousGid, rule.UserMap, rule.GroupMap));

    private static IdentityPolicy IdentityOf(ExportConfiguration export) => IdentityOf(export.Squash, export.AnonymousUid, export.AnonymousGid, export.UserMap, export.GroupMap);

    private static IdentityPolicy IdentityOf(SquashMode squash, uint uid, uint gid, IReadOnlyList<IdMapping> users, IReadOnlyList<IdMapping> groups) => new()
    {
        Squash = squash switch
        {
            SquashMode.None => Squash.None,
            SquashMode.All => Squash.All,
            _ => Squash.Root,
        },
        AnonymousUid = uid,
        AnonymousGid = gid,
        Users = MapOf(users),
        Groups = MapOf(groups),
    };

    private static IdMap? MapOf(IReadOnlyList<IdMapping> ranges) =>
        ranges.Count == 0 ? null : new IdMap(ranges.Select(range => new IdMapRange(range.Dpu, range.Host, range.Count)));
}
