using System.Diagnostics.Metrics;
using Dpu.Fuse;
using Dpu.Hosting.Metrics;
using Dpu.Link;
using Dpu.Qtfs.Export;

namespace Dpu.HostAgent;

/// <summary>The host agent's metrics, by peer: read when they are asked for, so that requests pay nothing for them.</summary>
public sealed class HostAgentMetrics : IHistogramSource, IDisposable
{
    private readonly Meter _meter = new("Dpu.HostAgent");
    private readonly ExportService _exports;

    /// <summary>Registers the instruments.</summary>
    public HostAgentMetrics(ExportService exports, LinkListener listener, Dpu.Relay.RelayHub relays, Processes.ProcessService processes)
    {
        _exports = exports;
        _meter.CreateObservableGauge("dpu.agent.connections", () => listener.Connections, "{connection}", "Connections of the link.");
        _meter.CreateObservableGauge("dpu.agent.process.running", () => processes.Running, "{process}", "Processes that DPUs have run.");
        _meter.CreateObservableCounter("dpu.agent.process.started", () => processes.Started, "{process}", "Such processes begun.");
        _meter.CreateObservableCounter("dpu.agent.process.refused", () => processes.Refused, "{process}", "Such processes that policy has refused.");
        _meter.CreateObservableCounter("dpu.agent.process.failed", () => processes.Failed, "{process}", "Such processes that could not be executed.");
        _meter.CreateObservableCounter("dpu.agent.process.ended", () => processes.Ends.Select(end => new Measurement<long>(end.Value, new KeyValuePair<string, object?>("how", end.Key))), "{process}", "Such processes that have ended: success, failure or signal.");
        _meter.CreateObservableGauge("dpu.agent.socket.relays", () => relays.Count, "{relay}", "Connections of DPUs with sockets of this host.");
        _meter.CreateObservableCounter("dpu.agent.socket.opened", () => relays.Opened, "{relay}", "Such connections begun.");
        _meter.CreateObservableCounter("dpu.agent.socket.broken", () => relays.Broken, "{relay}", "Such connections that neither program ended in order.");
        _meter.CreateObservableCounter("dpu.agent.socket.reused", () => relays.Reused, "{relay}", "Such connections begun on a connection of the link that another one had left.");
        _meter.CreateObservableCounter("dpu.agent.socket.resumed", () => relays.ResumedCount, "{connection}", "Connections of the link with which such connections went on.");
        _meter.CreateObservableGauge("dpu.agent.socket.kept", () => relays.KeptBytes, "By", "Bytes that such connections keep until the DPU has said to have them.");
        _meter.CreateObservableCounter("dpu.agent.socket.polled", () => relays.Polled.TotalSeconds, "s", "How long threads have looked for what such connections expect, instead of sleeping (busyPoll).");
        _meter.CreateObservableCounter("dpu.agent.socket.refused", () => exports.SocketsRefused, "{relay}", "Such connections that policy has refused.");
        _meter.CreateObservableGauge("dpu.agent.made_mounts", () => exports.MadeMounts, "{mount}", "Mounts of this host that DPUs have had made, and that are there.");
        _meter.CreateObservableCounter("dpu.agent.mount.changed", () => exports.MountChanges, "{change}", "Changes of this host's mounts that DPUs have asked for and that were made.");
        _meter.CreateObservableCounter("dpu.agent.mount.refused", () => exports.MountsRefused, "{change}", "Such changes that policy has refused, or that failed.");
        _meter.CreateObservableGauge("dpu.agent.sessions", () => Measure(exports, static _ => 1), "{session}", "Sessions.");
        _meter.CreateObservableGauge("dpu.agent.mounts", () => Measure(exports, static session => session.Mounts), "{mount}", "Mounts of exports.");
        _meter.CreateObservableGauge("dpu.agent.open_nodes", () => Measure(exports, static session => session.OpenNodes), "{node}", "Nodes that peers' kernels hold.");
        _meter.CreateObservableGauge("dpu.agent.open_handles", () => Measure(exports, static session => session.OpenHandles), "{handle}", "Open files and directories.");
        _meter.CreateObservableGauge("dpu.agent.session_requests", () => Measure(exports, static session => session.Requests), "{request}", "Requests of the sessions that are open.");
        _meter.CreateObservableGauge("dpu.agent.session_refused", () => Measure(exports, static session => session.Refused), "{request}", "Requests of open sessions that a limit refused.");
        _meter.CreateObservableCounter("dpu.agent.operation.errors", () => Operations(static operation => operation.Errors), "{request}", "FUSE requests answered with an error, by opcode.");
        _meter.CreateObservableCounter("dpu.agent.operation.received", () => Operations(static operation => operation.RequestBytes), "By", "Bytes of FUSE messages received from the DPU, by opcode.");
        _meter.CreateObservableCounter("dpu.agent.operation.sent", () => Operations(static operation => operation.ReplyBytes), "By", "Bytes of FUSE messages sent to the DPU, by opcode.");
        _meter.CreateObservableGauge("dpu.agent.operation.duration.max", () => Operations(static operation => operation.MaxLatency.TotalSeconds), "s", "The slowest FUSE request, by opcode.");
    }

    /// <inheritdoc/>
    public IEnumerable<ObservableHistogram> Histograms =>
    [
        new(
            "dpu.agent.operation.duration",
            "s",
            "FUSE requests by opcode: from the arrival of one, over the wait that a rate limit imposes, to the sending of its reply.",
            LatencyScale.OctaveSeconds,
            () => _exports.Totals().SelectMany(total => total.Operations.Select(operation => new HistogramSeries(
                LatencyScale.ToOctaves(operation.Buckets), operation.TotalLatency.TotalSeconds, Labels(total, operation))))),
    ];

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private IEnumerable<Measurement<T>> Operations<T>(Func<FuseOperationStatistics, T> value)
        where T : struct =>
        _exports.Totals().SelectMany(total => total.Operations.Select(operation => new Measurement<T>(value(operation), Labels(total, operation))));

    // Names that the configuration gives: a peer cannot make up more.
    private static KeyValuePair<string, object?>[] Labels(ExportTotals total, FuseOperationStatistics operation) =>
        [new("peer", total.Peer), new("export", total.Export), new("opcode", operation.Name)];

    private static IEnumerable<Measurement<long>> Measure(ExportService exports, Func<ExportSessionSnapshot, long> value) =>
        exports.Sessions()
            .GroupBy(session => session.Peer, StringComparer.Ordinal)
            .Select(peer => new Measurement<long>(peer.Sum(value), new KeyValuePair<string, object?>("peer", peer.Key)));
}
