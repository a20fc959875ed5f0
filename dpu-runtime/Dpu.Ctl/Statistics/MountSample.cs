using Dpu.Ctl.Output;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Statistics;

/// <summary>A mount's figures at one time: of the DPU's runtime, or of the host's agent. Immutable.</summary>
/// <param name="Name">The resource's name: what tells one mount from another.</param>
/// <param name="Title">What a person calls it: the target, or on a host <c>PEER:EXPORT</c>.</param>
/// <param name="Source">Where its files are: <c>HOST:EXPORT</c>, or the path on the host.</param>
/// <param name="State">The mount's state; null on a host.</param>
/// <param name="Link">Whether the other end is there.</param>
/// <param name="Since">When the mount was made; null while it waits for its host.</param>
/// <param name="Taken">When the figures were taken.</param>
/// <param name="Counters">Counters of the mount as a whole; null on a host.</param>
/// <param name="Operations">By opcode.</param>
internal sealed record MountSample(
    string Name,
    string Title,
    string Source,
    MountState? State,
    LinkState Link,
    DateTimeOffset? Since,
    DateTimeOffset Taken,
    MountCounters? Counters,
    IReadOnlyList<OperationFigures> Operations)
{
    public static MountSample Of(MountStats stats) => new(
        stats.Name,
        stats.Target,
        $"{stats.Host}:{stats.Export}",
        stats.State,
        stats.HostState,
        Human.Instant(stats.MountTime),
        Human.Instant(stats.SampleTime) ?? DateTimeOffset.UnixEpoch,
        stats.Counters ?? new MountCounters(),
        [.. stats.Operations.Select(OperationFigures.Of)]);

    public static MountSample Of(ExportStats stats) => new(
        stats.Name,
        $"{stats.Peer}:{stats.Export}",
        stats.Path,
        null,
        stats.Connections > 0 ? LinkState.Up : LinkState.Down,
        Human.Instant(stats.MountTime),
        Human.Instant(stats.SampleTime) ?? DateTimeOffset.UnixEpoch,
        null,
        [.. stats.Operations.Select(OperationFigures.Of)]);
}

/// <summary>What a mount did between two samples, or since it was made. Immutable.</summary>
/// <param name="Sample">The later sample.</param>
/// <param name="Seconds">How long that was; 0 where it is not known.</param>
/// <param name="Operations">By opcode, the most frequent first.</param>
/// <param name="Total">All opcodes together.</param>
internal sealed record MountInterval(MountSample Sample, double Seconds, IReadOnlyList<OperationFigures> Operations, OperationFigures Total)
{
    /// <summary>What happened since the earlier sample, or since the mount was made where there is none of this mount.</summary>
    public static MountInterval Of(MountSample now, MountSample? earlier)
    {
        bool goesOn = earlier is not null && earlier.Name == now.Name && earlier.Since == now.Since && earlier.Taken < now.Taken;
        DateTimeOffset? from = goesOn ? earlier!.Taken : now.Since;
        var before = goesOn ? earlier!.Operations.DistinctBy(o => o.Name).ToDictionary(o => o.Name, StringComparer.Ordinal) : [];
        OperationFigures[] operations =
        [
            .. now.Operations
                .Select(o => before.TryGetValue(o.Name, out OperationFigures? then) ? o.Since(then) : o)
                .Where(o => o.Requests > 0 || o.InFlight > 0)
                .OrderByDescending(o => o.Requests)
                .ThenBy(o => o.Name, StringComparer.Ordinal),
        ];
        return new(now, from is { } start ? Math.Max(0, (now.Taken - start).TotalSeconds) : 0, operations, OperationFigures.Total(operations));
    }

    /// <summary>A count as a rate a second; null where the time is not known.</summary>
    public double? Rate(ulong count) => Seconds > 0 ? count / Seconds : null;
}
