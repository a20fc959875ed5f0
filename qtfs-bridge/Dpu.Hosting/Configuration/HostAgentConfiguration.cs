using System.Text.Json;
using Dpu.Link;

namespace Dpu.Hosting.Configuration;

/// <summary>The host agent's configuration, <c>/etc/dpu/host-agent.json</c>. Immutable.</summary>
/// <param name="Listen">Where DPUs connect.</param>
/// <param name="Tls">Certificates; null where <paramref name="Listen"/> has unix endpoints only.</param>
/// <param name="Peers">Who may connect.</param>
/// <param name="Exports">What they may mount; nothing else is reachable.</param>
/// <param name="Sockets">What they may reach outside of exports.</param>
/// <param name="Programs">What they may have run; nothing else is.</param>
/// <param name="Processes">In which groups these are.</param>
/// <param name="Limits">What each peer may use unless it says otherwise.</param>
/// <param name="Control">The control interface.</param>
/// <param name="Keeper">What holds what must outlive the daemon.</param>
/// <param name="SessionGrace">How long a mount without any connection keeps its open files and locks for a DPU that comes back.</param>
/// <param name="BusyPoll">As of <see cref="RuntimeConfiguration.BusyPoll"/>; zero where nothing is said, since a host's processors are for its tenants.</param>
/// <param name="Metrics">The metrics endpoint; null for none.</param>
/// <param name="Log">The log.</param>
public sealed record HostAgentConfiguration(
    IReadOnlyList<LinkEndpoint> Listen,
    TlsConfiguration? Tls,
    IReadOnlyList<PeerConfiguration> Peers,
    IReadOnlyList<ExportConfiguration> Exports,
    IReadOnlyList<SocketRuleConfiguration> Sockets,
    IReadOnlyList<ProgramConfiguration> Programs,
    ProcessesConfiguration Processes,
    LimitsConfiguration Limits,
    ControlConfiguration Control,
    KeeperConfiguration Keeper,
    TimeSpan SessionGrace,
    TimeSpan BusyPoll,
    MetricsConfiguration? Metrics,
    LogConfiguration Log) : IDaemonConfiguration<HostAgentConfiguration>
{
    /// <summary>Longer than a DPU's restart, shorter than a night in which a dead one's locks would stop others.</summary>
    public static TimeSpan DefaultSessionGrace { get; } = TimeSpan.FromMinutes(5);

    /// <inheritdoc/>
    public static string Program => "dpu-host-agent";

    /// <inheritdoc/>
    public static string DefaultFile => "/etc/dpu/host-agent.json";

    /// <inheritdoc/>
    public static string EnvironmentPrefix => "DPU_AGENT__";

    /// <inheritdoc/>
    public static LinkRole Role => LinkRole.Host;

    static HostAgentConfiguration IDaemonConfiguration<HostAgentConfiguration>.Read(ObjectReader reader)
    {
        List<LinkEndpoint> listen = reader.Strings("listen", Checks.Endpoint, Checks.EndpointAllowed);
        TlsConfiguration? tls = reader.Object("tls") is { } t ? TlsConfiguration.Read(t) : null;
        if (!reader.Has("listen"))
        {
            reader.Error("listen", "is missing", $"a list of {Checks.EndpointAllowed}");
        }

        if (tls is null && !reader.Has("tls") && listen.Exists(Endpoints.NeedsTls))
        {
            reader.Error("tls", "is missing: every endpoint but unix ones is served with mutual TLS only", "certificate, key, authority, revocations");
        }

        LimitsConfiguration limits = LimitsConfiguration.Read(reader.Object("limits"), LimitsConfiguration.Default);
        List<PeerConfiguration> peers = reader.Objects("peers", r => PeerConfiguration.Read(r, limits));
        Endpoints.ReportDuplicates(reader, "peers", peers.Select(p => p.Name));
        Endpoints.ReportDuplicates(reader, "peers", peers.Where(p => p.Uid is not null).Select(p => $"uid {p.Uid}"));
        List<ExportConfiguration> exports = reader.Objects(
            "exports", r => ExportConfiguration.Read(r, [.. peers.Select(p => p.Name)]));
        Endpoints.ReportDuplicates(reader, "exports", exports.Select(e => e.Name));
        // A DPU may ask by path; then one peer must find one export there.
        Endpoints.ReportDuplicates(
            reader, "exports", exports.SelectMany(e => e.Peers.Select(p => $"path {e.Path} for peer {p}")));
        List<SocketRuleConfiguration> sockets = reader.Objects("sockets", r => SocketRuleConfiguration.Read(r, [.. peers.Select(p => p.Name)]));
        List<ProgramConfiguration> programs = reader.Objects("programs", r => ProgramConfiguration.Read(r, [.. peers.Select(p => p.Name)]));
        ProcessesConfiguration processes = ProcessesConfiguration.Read(reader.Object("processes"));
        if (exports.Count == 0)
        {
            reader.Warn("exports", "is empty: no DPU can mount anything");
        }

        ControlConfiguration control = ControlConfiguration.Read(
            reader.Object("control"), "/run/dpu/agent.sock", remote: false, tls is not null);
        KeeperConfiguration keeper = KeeperConfiguration.Read(reader.Object("keeper"));
        TimeSpan grace = reader.Duration("sessionGrace", DefaultSessionGrace, TimeSpan.Zero, TimeSpan.FromDays(1));
        TimeSpan busyPoll = reader.Duration("busyPoll", TimeSpan.Zero, TimeSpan.Zero, RuntimeConfiguration.MostBusyPoll);
        MetricsConfiguration? metrics = MetricsConfiguration.Read(reader.Object("metrics"));
        LogConfiguration log = LogConfiguration.Read(reader.Object("log"));
        reader.End();
        return new(listen, tls, peers, exports, sockets, programs, processes, limits, control, keeper, grace, busyPoll, metrics, log);
    }

    /// <inheritdoc/>
    public void WriteTo(Utf8JsonWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartObject();
        writer.WriteStrings("listen", Listen.Select(e => e.ToString()));
        Tls?.WriteTo(writer);
        writer.WriteStartArray("peers");
        foreach (PeerConfiguration peer in Peers)
        {
            peer.WriteTo(writer);
        }

        writer.WriteEndArray();
        writer.WriteStartArray("exports");
        foreach (ExportConfiguration export in Exports)
        {
            export.WriteTo(writer);
        }

        writer.WriteEndArray();
        writer.WriteStartArray("sockets");
        foreach (SocketRuleConfiguration rule in Sockets)
        {
            rule.WriteTo(writer);
        }

        writer.WriteEndArray();
        writer.WriteStartArray("programs");
        foreach (ProgramConfiguration rule in Programs)
        {
            rule.WriteTo(writer);
        }

        writer.WriteEndArray();
        Processes.WriteTo(writer);
        Limits.WriteTo(writer);
        Control.WriteTo(writer, remote: false);
        Keeper.WriteTo(writer);
        writer.WriteString("sessionGrace", DurationText.Format(SessionGrace));
        writer.WriteString("busyPoll", DurationText.Format(BusyPoll));
        Metrics?.WriteTo(writer);
        Log.WriteTo(writer);
        writer.WriteEndObject();
    }
}
