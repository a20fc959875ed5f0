using System.Diagnostics.Metrics;
using Dpu.Fuse;
using Dpu.Hosting.Metrics;
using Dpu.Proto.V1;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;

namespace Dpu.Runtime;

/// <summary>The runtime's metrics, by host and by mount: read when they are asked for, so that requests pay nothing for them.</summary>
public sealed class RuntimeMetrics : IHistogramSource, IDisposable
{
    private readonly Meter _meter = new("Dpu.Runtime");
    private readonly MountManager _mounts;

    /// <summary>Registers the instruments.</summary>
    public RuntimeMetrics(HostLinks hosts, MountManager mounts, Dpu.Relay.RelayHub relays, Processes.ProcessTable processes, Views.ViewTable views)
    {
        _mounts = mounts;
        _meter.CreateObservableGauge("dpu.host.up", () => hosts.All.Select(host => Of(host, host.IsUp ? 1L : 0L)), null, "1 where the link to the host is up.");
        _meter.CreateObservableCounter("dpu.host.reconnects", () => hosts.All.Select(host => Of(host, (long)host.State.Reconnects)), "{reconnect}", "Times that the link came up again.");
        _meter.CreateObservableGauge("dpu.host.round_trip", () => hosts.All.Select(host => Of(host, host.State.RoundTrip.TotalSeconds)), "s", "Round trip of the last keep-alive.");
        _meter.CreateObservableGauge("dpu.socket.relays", () => relays.Count, "{relay}", "Connections of programs here with sockets of hosts.");
        _meter.CreateObservableCounter("dpu.socket.opened", () => relays.Opened, "{relay}", "Such connections begun.");
        _meter.CreateObservableCounter("dpu.socket.broken", () => relays.Broken, "{relay}", "Such connections that neither program ended in order.");
        _meter.CreateObservableCounter("dpu.socket.resumed", () => relays.ResumedCount, "{connection}", "Connections of the link with which such connections went on.");
        _meter.CreateObservableCounter("dpu.socket.reused", () => relays.Reused, "{relay}", "Such connections begun on a connection of the link that another one had left.");
        _meter.CreateObservableGauge("dpu.socket.kept", () => relays.KeptBytes, "By", "Bytes that such connections keep until the host has said to have them.");
        _meter.CreateObservableCounter("dpu.socket.polled", () => relays.Polled.TotalSeconds, "s", "How long threads have looked for what such connections expect, instead of sleeping (busyPoll).");
        _meter.CreateObservableCounter("dpu.socket.sent", () => relays.Sent, "By", "Bytes of programs here sent to sockets of hosts.");
        _meter.CreateObservableCounter("dpu.socket.received", () => relays.Received, "By", "Bytes from sockets of hosts received by programs here.");
        _meter.CreateObservableCounter("dpu.socket.dropped_descriptors", () => relays.DroppedDescriptors, "{descriptor}", "Descriptors that programs passed and that did not cross.");
        _meter.CreateObservableGauge("dpu.process.running", () => processes.Running, "{process}", "Processes of hosts that programs here stand for.");
        _meter.CreateObservableCounter("dpu.process.started", () => processes.Started, "{process}", "Such processes begun.");
        _meter.CreateObservableCounter("dpu.process.refused", () => processes.Refused, "{process}", "Stubs that were refused: by the host's policy, or as it could not be reached.");
        _meter.CreateObservableCounter("dpu.process.exited", () => processes.Exits.Select(end => new Measurement<long>(end.Value, new KeyValuePair<string, object?>("how", end.Key))), "{process}", "Such processes that have ended: success, failure or signal.");
        _meter.CreateObservableCounter("dpu.process.start.duration", () => processes.StartSeconds, "s", "Time from a stub's connection until its process runs, of all of them.");
        _meter.CreateObservableGauge("dpu.view.active", () => views.Live.Count(), "{view}", "Views that are there.");
        _meter.CreateObservableCounter("dpu.view.call.intercepted", () => Calls(views, static call => call.Intercepted), "{call}", "Calls of views' programs that were held, since the runtime's start.");
        _meter.CreateObservableCounter("dpu.view.call.done", () => Calls(views, static call => call.Done), "{call}", "Of those, done on a host or here in the kernel's place.");
        _meter.CreateObservableCounter("dpu.view.mount.unknown", () => views.UnknownMounts, "{call}", "Calls for mounts that ended with EIO, as nobody can say whether the host has carried them out.");
        _meter.CreateObservableCounter("dpu.view.call.failed", () => Calls(views, static call => call.Failed), "{call}", "Of those, ended with an error.");
        _meter.CreateObservableGauge("dpu.mount.mounted", () => mounts.All.Select(mount => Of(mount, mount.State == MountState.Mounted ? 1L : 0L)), null, "1 where the mount stands and its host is there.");
        _meter.CreateObservableGauge("dpu.mount.in_flight", () => Counters(mounts, static counters => counters.InFlight), "{request}", "Requests under way.");
        _meter.CreateObservableCounter("dpu.mount.requests", () => Counters(mounts, static counters => counters.Requests), "{request}", "FUSE requests.");
        _meter.CreateObservableCounter("dpu.mount.errors", () => Counters(mounts, static counters => counters.Errors), "{request}", "FUSE requests answered with an error, ENOENT and the like included.");
        _meter.CreateObservableCounter("dpu.mount.unknown_outcome", () => Counters(mounts, static counters => counters.UnknownOutcome), "{request}", "Requests ended with EIO because the link broke after they were sent.");
        _meter.CreateObservableCounter("dpu.mount.sent", () => Counters(mounts, static counters => counters.BytesSent), "By", "Bytes of FUSE messages sent to the host.");
        _meter.CreateObservableCounter("dpu.mount.received", () => Counters(mounts, static counters => counters.BytesReceived), "By", "Bytes of FUSE messages received from the host.");
        _meter.CreateObservableCounter("dpu.mount.repeats", () => Counters(mounts, static counters => counters.Repeats), "{request}", "Requests sent again after the link broke.");
        _meter.CreateObservableCounter("dpu.mount.interrupts", () => Counters(mounts, static counters => counters.Interrupts), "{request}", "Requests ended with EINTR before the host answered.");
        _meter.CreateObservableCounter("dpu.mount.operation.errors", () => Operations(static operation => operation.Errors), "{request}", "FUSE requests answered with an error, by opcode.");
        _meter.CreateObservableCounter("dpu.mount.operation.sent", () => Operations(static operation => operation.RequestBytes), "By", "Bytes of FUSE messages sent to the host, by opcode.");
        _meter.CreateObservableCounter("dpu.mount.operation.received", () => Operations(static operation => operation.ReplyBytes), "By", "Bytes of FUSE messages received from the host, by opcode.");
        _meter.CreateObservableGauge("dpu.mount.operation.duration.max", () => Operations(static operation => operation.MaxLatency.TotalSeconds), "s", "The slowest FUSE request since the mount was made, by opcode.");
    }

    /// <inheritdoc/>
    public IEnumerable<ObservableHistogram> Histograms =>
    [
        new(
            "dpu.mount.operation.duration",
            "s",
            "FUSE requests by opcode: from reading one to writing its reply.",
            LatencyScale.OctaveSeconds,
            () => _mounts.Figures.SelectMany(mount => mount.Operations.Select(operation => new HistogramSeries(
                LatencyScale.ToOctaves(operation.Buckets), operation.TotalLatency.TotalSeconds, Labels(mount, operation))))),
    ];

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private static IEnumerable<Measurement<long>> Calls(Views.ViewTable views, Func<(string Name, long Intercepted, long Done, long Failed), long> value) =>
        views.Live.SelectMany(view => view.Counts.All.Select(call => new Measurement<long>(
            value(call), new KeyValuePair<string, object?>("view", view.Configuration.Name), new KeyValuePair<string, object?>("call", call.Name))));

    private static IEnumerable<Measurement<long>> Counters(MountManager mounts, Func<MountCounters, ulong> value) =>
        mounts.All.Where(mount => mount.Counters is not null).Select(mount => Of(mount, (long)value(mount.Counters)));

    private IEnumerable<Measurement<T>> Operations<T>(Func<FuseOperationStatistics, T> value)
        where T : struct =>
        _mounts.Figures.SelectMany(mount => mount.Operations.Select(operation => new Measurement<T>(value(operation), Labels(mount, operation))));

    private static KeyValuePair<string, object?>[] Labels(MountFigures mount, FuseOperationStatistics operation) =>
        [new("target", mount.Target), new("opcode", operation.Name)];

    private static Measurement<T> Of<T>(HostLink host, T value)
        where T : struct => new(value, new KeyValuePair<string, object?>("host", host.HostName));

    private static Measurement<T> Of<T>(Mount mount, T value)
        where T : struct => new(value, new KeyValuePair<string, object?>("target", mount.Target));
}
