using System.Diagnostics.Metrics;
using Dpu.Link;
using Dpu.Qtfs.Export;

namespace Dpu.HostAgent;

/// <summary>The host agent's metrics, by peer: read when they are asked for, so that requests pay nothing for them.</summary>
public sealed class HostAgentMetrics : IDisposable
{
    private readonly Meter _meter = new("Dpu.HostAgent");

    /// <summary>Registers the instruments.</summary>
    public HostAgentMetrics(ExportService exports, LinkListener listener)
    {
        _meter.CreateObservableGauge("dpu.agent.connections", () => listener.Connections, "{connection}", "Connections of the link.");
        _meter.CreateObservableGauge("dpu.agent.sessions", () => Measure(exports, static _ => 1), "{session}", "Sessions.");
        _meter.CreateObservableGauge("dpu.agent.mounts", () => Measure(exports, static session => session.Mounts), "{mount}", "Mounts of exports.");
        _meter.CreateObservableGauge("dpu.agent.open_nodes", () => Measure(exports, static session => session.OpenNodes), "{node}", "Nodes that peers' kernels hold.");
        _meter.CreateObservableGauge("dpu.agent.open_handles", () => Measure(exports, static session => session.OpenHandles), "{handle}", "Open files and directories.");
        _meter.CreateObservableGauge("dpu.agent.session_requests", () => Measure(exports, static session => session.Requests), "{request}", "Requests of the sessions that are open.");
        _meter.CreateObservableGauge("dpu.agent.session_refused", () => Measure(exports, static session => session.Refused), "{request}", "Requests of open sessions that a limit refused.");
    }

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private static IEnumerable<Measurement<long>> Measure(ExportService exports, Func<ExportSessionSnapshot, long> value) =>
        exports.Sessions()
            .GroupBy(session => session.Peer, StringComparer.Ordinal)
            .Select(peer => new Measurement<long>(peer.Sum(value), new KeyValuePair<string, object?>("peer", peer.Key)));
}
