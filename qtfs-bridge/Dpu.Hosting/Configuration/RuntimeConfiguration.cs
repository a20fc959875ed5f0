using System.Text.Json;
using Dpu.Link;

namespace Dpu.Hosting.Configuration;

/// <summary>The DPU runtime's configuration, <c>/etc/dpu/runtime.json</c>. Immutable.</summary>
/// <param name="Name">What this DPU calls itself at unix endpoints; null for the certificate's name, or else the machine's.</param>
/// <param name="Tls">Certificates; null where every host has a unix endpoint.</param>
/// <param name="Hosts">The hosts to connect to.</param>
/// <param name="Mounts">What to mount of them.</param>
/// <param name="Forwards">Addresses of sockets that are forwarded outside of mounts.</param>
/// <param name="StubSocket">Where stubs of programs of hosts connect; null for nowhere.</param>
/// <param name="ViewsFolder">Where views are described, a file each.</param>
/// <param name="ViewSocket">Where dpu-run connects; null for nowhere, and no views. Views have their state in "views" beside it.</param>
/// <param name="Reconcile">Flows that are kept in step.</param>
/// <param name="SlowRequest">From when on a request of a mount is logged as slow; zero for never.</param>
/// <param name="BusyPoll">How long a thread of relays looks for the next message of a conversation before it sleeps; zero for not at all.</param>
/// <param name="Control">The control interface.</param>
/// <param name="Keeper">What holds what must outlive the daemon.</param>
/// <param name="Metrics">The metrics endpoint; null for none.</param>
/// <param name="Log">The log.</param>
public sealed record RuntimeConfiguration(
    string? Name,
    TlsConfiguration? Tls,
    IReadOnlyList<HostConfiguration> Hosts,
    IReadOnlyList<MountConfiguration> Mounts,
    IReadOnlyList<ForwardConfiguration> Forwards,
    string? StubSocket,
    string ViewsFolder,
    string? ViewSocket,
    ReconcileConfiguration Reconcile,
    TimeSpan SlowRequest,
    TimeSpan BusyPoll,
    ControlConfiguration Control,
    KeeperConfiguration Keeper,
    MetricsConfiguration? Metrics,
    LogConfiguration Log) : IDaemonConfiguration<RuntimeConfiguration>
{
    /// <summary>From when on a request is slow where nothing is said: far above what a host's disk takes, below what people wait for.</summary>
    public static readonly TimeSpan DefaultSlowRequest = TimeSpan.FromSeconds(1);

    /// <summary>
    /// The longest <see cref="BusyPoll"/> that may be set: the processor that is spent should be worth a wake-up (5 to 20 µs; KVM looks for 200 µs at most).
    /// </summary>
    internal static readonly TimeSpan MostBusyPoll = TimeSpan.FromMilliseconds(1);

    // KVM's own on x86-64, and some four times what a host's answer takes ('bench sockets'); a DPU's processors are there for this.
    private static readonly TimeSpan s_busyPoll = TimeSpan.FromMicroseconds(200);

    /// <summary>Where stubs look for the runtime (dpu-stub(1)).</summary>
    public const string DefaultStubSocket = "/run/dpu/stub.sock";

    /// <inheritdoc/>
    public static string Program => "dpu-runtime";

    /// <inheritdoc/>
    public static string DefaultFile => "/etc/dpu/runtime.json";

    /// <inheritdoc/>
    public static string EnvironmentPrefix => "DPU_RUNTIME__";

    /// <inheritdoc/>
    public static LinkRole Role => LinkRole.Dpu;

    static RuntimeConfiguration IDaemonConfiguration<RuntimeConfiguration>.Read(ObjectReader reader)
    {
        string? name = reader.OptionalString("name", Checks.Name, Checks.NameAllowed);
        TlsConfiguration? tls = reader.Object("tls") is { } t ? TlsConfiguration.Read(t) : null;
        List<HostConfiguration> hosts = reader.Objects("hosts", HostConfiguration.Read);
        Endpoints.ReportDuplicates(reader, "hosts", hosts.Select(h => h.Name));
        if (tls is null && !reader.Has("tls") && hosts.Exists(h => h.Endpoint is not null && Endpoints.NeedsTls(h.Endpoint)))
        {
            reader.Error("tls", "is missing: hosts are reached with mutual TLS only, but on unix endpoints", "certificate, key, authority, revocations");
        }

        if (hosts.Count == 0)
        {
            reader.Warn("hosts", "is empty: nothing can be mounted");
        }

        List<MountConfiguration> mounts = reader.Objects(
            "mounts", r => MountConfiguration.Read(r, [.. hosts.Select(h => h.Name)]));
        Endpoints.ReportDuplicates(reader, "mounts", mounts.Select(m => m.Target));
        List<ForwardConfiguration> forwards = reader.Objects("forwards", r => ForwardConfiguration.Read(r, [.. hosts.Select(h => h.Name)]));
        Endpoints.ReportDuplicates(reader, "forwards", forwards.Select(f => f.Listens));
        string stubs = reader.OptionalString("stubSocket", text => text == "none" ? null : Checks.AbsolutePath(text), "an absolute path, or \"none\"") ?? DefaultStubSocket;
        string views = reader.OptionalString("viewsFolder", Checks.AbsolutePath, Checks.AbsolutePathAllowed) ?? ViewConfiguration.DefaultFolder;
        string joins = reader.OptionalString("viewSocket", text => text == "none" ? null : Checks.AbsolutePath(text), "an absolute path, or \"none\"") ?? ViewConfiguration.DefaultSocket;
        ReconcileConfiguration reconcile = ReconcileConfiguration.Read(reader.Object("reconcile"));
        TimeSpan slowRequest = reader.Duration("slowRequest", DefaultSlowRequest, TimeSpan.Zero, TimeSpan.FromDays(1));
        TimeSpan busyPoll = reader.Duration("busyPoll", s_busyPoll, TimeSpan.Zero, MostBusyPoll);
        ControlConfiguration control = ControlConfiguration.Read(
            reader.Object("control"), "/run/dpu/runtime.sock", remote: true, tls is not null);
        KeeperConfiguration keeper = KeeperConfiguration.Read(reader.Object("keeper"));
        MetricsConfiguration? metrics = MetricsConfiguration.Read(reader.Object("metrics"));
        LogConfiguration log = LogConfiguration.Read(reader.Object("log"));
        reader.End();
        return new(name, tls, hosts, mounts, forwards, stubs == "none" ? null : stubs, views, joins == "none" ? null : joins, reconcile, slowRequest, busyPoll, control, keeper, metrics, log);
    }

    /// <inheritdoc/>
    public void WriteTo(Utf8JsonWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartObject();
        if (Name is not null)
        {
            writer.WriteString("name", Name);
        }

        Tls?.WriteTo(writer);
        writer.WriteStartArray("hosts");
        foreach (HostConfiguration host in Hosts)
        {
            host.WriteTo(writer);
        }

        writer.WriteEndArray();
        writer.WriteStartArray("mounts");
        foreach (MountConfiguration mount in Mounts)
        {
            mount.WriteTo(writer);
        }

        writer.WriteEndArray();
        writer.WriteStartArray("forwards");
        foreach (ForwardConfiguration forward in Forwards)
        {
            forward.WriteTo(writer);
        }

        writer.WriteEndArray();
        writer.WriteString("stubSocket", StubSocket ?? "none");
        writer.WriteString("viewsFolder", ViewsFolder);
        writer.WriteString("viewSocket", ViewSocket ?? "none");
        Reconcile.WriteTo(writer);
        writer.WriteString("slowRequest", DurationText.Format(SlowRequest));
        writer.WriteString("busyPoll", DurationText.Format(BusyPoll));
        Control.WriteTo(writer, remote: true);
        Keeper.WriteTo(writer);
        Metrics?.WriteTo(writer);
        Log.WriteTo(writer);
        writer.WriteEndObject();
    }
}
