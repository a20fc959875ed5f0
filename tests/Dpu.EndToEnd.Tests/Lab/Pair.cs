using System.Text.Json.Nodes;
using Dpu.Link;
using Dpu.TestSupport;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>How a pair of daemons is joined.</summary>
public enum LinkKind
{
    /// <summary>A unix socket, peers known by uid.</summary>
    Unix,

    /// <summary>TCP on the loopback interface with mutual TLS.</summary>
    Tls,
}

/// <summary>
/// A host agent and DPU runtimes as real processes of the build, with real certificates, on this machine: the mounts
/// appear in a temporary folder. <see cref="Dispose"/> stops all and fails where something is left.
/// </summary>
public sealed class Pair : IDisposable
{
    /// <summary>How long a daemon may take to do what it was asked; generous, for a loaded machine.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>Set to io_uring it runs every test on that transport that does not choose one itself.</summary>
    private const string TransportVariable = "DPU_TEST_TRANSPORT";

    private readonly TemporaryDirectory _folder = new();
    private readonly List<Daemon> _daemons = [];
    private readonly PidNamespace? _host;
    private readonly RunningProgram? _hostKeeper;
    private readonly int _port = FreePort.Take();

    /// <summary>Prepares folders and certificates; starts nothing.</summary>
    /// <param name="kind">The link.</param>
    /// <param name="keeper">Whether they have one.</param>
    /// <param name="host">Where the agent runs, with a keeper of its own; null for here.</param>
    /// <param name="build">As <see cref="Build"/>, and where the keeper is from.</param>
    public Pair(LinkKind kind = LinkKind.Unix, bool keeper = false, PidNamespace? host = null, string? build = null)
    {
        _host = host;
        Kind = kind;
        Build = build;
        Keeper = !keeper ? null
            : build is null ? new KeeperProcess("--launcher", Path.Combine(AppContext.BaseDirectory, "dpu-launch"))
            : new KeeperProcess(Repository.Program("Dpu.Runtime", "dpu-keeper", build), []);
        _folder.CreateDirectory("export");
        _folder.CreateDirectory("mnt");
        Authority = CertificateAuthority.Init(_folder["pki"], "test", TimeSpan.FromDays(1));
        Authority.Issue(LinkRole.Host, "host1", TimeSpan.FromHours(1));
        Authority.Issue(LinkRole.Dpu, "dpu1", TimeSpan.FromHours(1));
        AgentConfiguration = new JsonObject
        {
            ["listen"] = new JsonArray(Endpoint),
            ["peers"] = new JsonArray(Peer("dpu1")),
            ["exports"] = new JsonArray(Export("data", ExportRoot)),
            ["control"] = new JsonObject { ["socket"] = _folder["agent.sock"] },
            ["keeper"] = host is null ? KeeperSection : new JsonObject { ["socket"] = _folder["host-keeper.sock"] },
            ["log"] = new JsonObject { ["level"] = "Debug" },
        };
        _hostKeeper = host?.Start(KeeperProcess.Program, "--socket", _folder["host-keeper.sock"], "--launcher", Path.Combine(AppContext.BaseDirectory, "dpu-launch"));
        if (kind == LinkKind.Tls)
        {
            AgentConfiguration["tls"] = Tls("host1");
        }
    }

    public LinkKind Kind { get; }

    /// <summary>The repository whose daemons are started next; null for this one.</summary>
    public string? Build { get; set; }

    /// <summary>The keeper of both daemons; null where they have none.</summary>
    public KeeperProcess? Keeper { get; }

    public CertificateAuthority Authority { get; }

    /// <summary>The folder of everything, removed at the end.</summary>
    public string Folder => _folder.FullPath;

    /// <summary>The host directory behind export <c>data</c>.</summary>
    public string ExportRoot => _folder["export"];

    /// <summary>Where mounts are made.</summary>
    public string MountRoot => _folder["mnt"];

    public string Endpoint => Kind == LinkKind.Unix ? $"unix://{_folder["link.sock"]}" : $"tcp://127.0.0.1:{_port}";

    /// <summary>Changed by tests before <see cref="StartAgent"/> or a reload.</summary>
    public JsonObject AgentConfiguration { get; }

    public Daemon Agent { get; private set; } = null!;

    /// <summary>Variables that runtimes have besides; changed by tests before they start one.</summary>
    public Dictionary<string, string?> RuntimeEnvironment { get; } = [];

    /// <summary>Where stubs find the runtime.</summary>
    public string StubSocket => _folder["dpu1.stub"];

    private JsonObject KeeperSection => new() { ["socket"] = Keeper?.Socket ?? "none" };

    /// <summary>A peer entry; on unix links this test's own uid.</summary>
    public JsonObject Peer(string name)
    {
        var peer = new JsonObject { ["name"] = name };
        if (Kind == LinkKind.Unix)
        {
            peer["uid"] = 0;
        }

        return peer;
    }

    /// <summary>A writable export for <c>dpu1</c> that trusts the DPU's users.</summary>
    public static JsonObject Export(string name, string path, string access = "read-write", string squash = "none", params string[] peers) => new()
    {
        ["name"] = name,
        ["path"] = path,
        ["access"] = access,
        ["squash"] = squash,
        ["peers"] = new JsonArray([.. (peers.Length == 0 ? ["dpu1"] : peers).Select(peer => (JsonNode)peer)]),
    };

    /// <summary>The tls section for a certificate of <see cref="Authority"/>.</summary>
    public JsonObject Tls(string name) => new()
    {
        ["certificate"] = _folder[$"pki/{name}.crt"],
        ["key"] = _folder[$"pki/{name}.key"],
        ["authority"] = _folder["pki/ca.crt"],
        ["revocations"] = _folder["pki/ca.crl"],
    };

    /// <summary>A runtime's configuration without mounts.</summary>
    public JsonObject RuntimeConfiguration(string name = "dpu1")
    {
        var host = new JsonObject { ["name"] = "host1", ["endpoint"] = Endpoint };
        if (Kind == LinkKind.Unix)
        {
            host["uid"] = 0;
        }

        var configuration = new JsonObject
        {
            ["name"] = name,
            ["hosts"] = new JsonArray(host),
            ["mounts"] = new JsonArray(),
            ["control"] = new JsonObject { ["socket"] = _folder[$"{name}.sock"] },
            ["stubSocket"] = _folder[$"{name}.stub"],
            ["viewSocket"] = _folder[$"{name}-views/view.sock"],
            ["keeper"] = KeeperSection,
            ["log"] = new JsonObject { ["level"] = "Debug" },
        };
        if (Kind == LinkKind.Tls)
        {
            configuration["tls"] = Tls(name);
        }

        return configuration;
    }

    /// <summary>A mount entry for a runtime's configuration; its target is made.</summary>
    public JsonObject Mount(string export, string target)
    {
        var mount = new JsonObject { ["host"] = "host1", ["export"] = export, ["target"] = _folder.CreateDirectory("mnt/" + target) };
        if (Environment.GetEnvironmentVariable(TransportVariable) is { Length: > 0 } transport)
        {
            mount["transport"] = transport;
        }

        return mount;
    }

    /// <summary>Starts the agent and waits until it serves.</summary>
    /// <param name="environment">Variables that it has besides.</param>
    public Daemon StartAgent(IReadOnlyDictionary<string, string?>? environment = null)
    {
        string file = WriteAgentConfiguration();
        Agent = Keep(new Daemon("Dpu.HostAgent", "dpu-host-agent", file, _folder["agent.sock"], environment: environment, inside: _host, build: Build));
        return Agent;
    }

    /// <summary>Writes the agent's configuration as it is now; returns the file.</summary>
    public string WriteAgentConfiguration() => _folder.WriteFile("host-agent.json", AgentConfiguration.ToJsonString());

    /// <summary>Writes a runtime's configuration; returns the file.</summary>
    public string WriteRuntimeConfiguration(JsonObject configuration, string name = "dpu1") => _folder.WriteFile($"{name}.json", configuration.ToJsonString());

    /// <summary>Starts a runtime and waits until it serves.</summary>
    public Daemon StartRuntime(JsonObject? configuration = null, string name = "dpu1")
    {
        string file = WriteRuntimeConfiguration(configuration ?? RuntimeConfiguration(name), name);
        return Keep(new Daemon("Dpu.Runtime", "dpu-runtime", file, _folder[$"{name}.sock"], environment: RuntimeEnvironment, build: Build));
    }

    /// <summary>Starts both, mounts export <c>data</c> and returns the mount point.</summary>
    public string Up(Action<JsonObject>? changeMount = null, Action<JsonObject>? changeRuntime = null)
    {
        StartAgent();
        JsonObject mount = Mount("data", "data");
        changeMount?.Invoke(mount);
        JsonObject configuration = RuntimeConfiguration();
        configuration["mounts"]!.AsArray().Add(mount);
        changeRuntime?.Invoke(configuration);
        Runtime = StartRuntime(configuration);
        string target = mount["target"]!.GetValue<string>();
        WaitMounted(target);
        return target;
    }

    /// <summary>Starts the runtime of <see cref="Up"/>, for an agent that runs elsewhere.</summary>
    /// <param name="configuration">Its own; null without mounts.</param>
    public Daemon StartRuntimeAlone(JsonObject? configuration = null) => Runtime = StartRuntime(configuration);

    /// <summary>As <see cref="Up"/>, and the mount asks the host each time: what is changed there is seen at once, not after its notification.</summary>
    public string UpUncached() => Up(entry => entry["cache"] = "none");

    /// <summary>Starts the runtime of <see cref="Up"/> once more; the last one has ended.</summary>
    /// <param name="quick">As of <see cref="Daemon"/>.</param>
    public Daemon RestartRuntime(bool quick = false) => Runtime = Keep(new Daemon("Dpu.Runtime", "dpu-runtime", _folder["dpu1.json"], _folder["dpu1.sock"], quick, build: Build));

    /// <summary>Starts the agent once more; the last one has ended.</summary>
    /// <param name="quick">As of <see cref="Daemon"/>.</param>
    public Daemon RestartAgent(bool quick = false) => Agent = Keep(new Daemon("Dpu.HostAgent", "dpu-host-agent", _folder["host-agent.json"], _folder["agent.sock"], quick, inside: _host, build: Build));

    /// <summary>What the one mount has done.</summary>
    public JsonNode Counters() => JsonNode.Parse(Runtime.Ctl("stats", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray().Single()!;

    /// <summary>The nodes that the agent holds for DPUs.</summary>
    public long OpenNodes() =>
        JsonNode.Parse(Agent.Ctl("status", "--json").EnsureSuccess().Output)!["sessions"]!.AsArray().Sum(session => session!["openNodes"]!.GetValue<long>());

    /// <summary>The runtime of <see cref="Up"/>.</summary>
    public Daemon Runtime { get; private set; } = null!;

    public static void WaitMounted(string target)
    {
        Eventually.True(() => MountTable.Targets().Contains(target), Limit, $"the mount at {target}");

        // The first call waits for the kernel and the host to agree.
        Directory.GetFileSystemEntries(target);
    }

    public static void WaitUnmounted(string target) =>
        Eventually.True(() => !MountTable.Targets().Contains(target), Limit, $"the end of the mount at {target}");

    public void Dispose()
    {
        // Runtimes first, while their host still answers. What they leave with the keeper is unmounted, or nobody would serve it.
        if (Keeper is not null && _daemons.Contains(Runtime) && !Runtime.HasExited)
        {
            foreach (string target in MountTable.Targets().Where(target => target.StartsWith(_folder.FullPath + "/", StringComparison.Ordinal)).Reverse())
            {
                ExternalProgram.Run("umount", ["-l", target], TimeSpan.FromSeconds(10));
            }
        }

        foreach (Daemon daemon in _daemons.AsEnumerable().Reverse())
        {
            daemon.Dispose();
        }

        string[] left = [.. MountTable.Targets().Where(target => target.StartsWith(_folder.FullPath + "/", StringComparison.Ordinal))];
        foreach (string target in left)
        {
            ExternalProgram.Run("umount", ["-l", target], TimeSpan.FromSeconds(10));
        }

        Keeper?.Dispose();
        _hostKeeper?.Dispose();
        _folder.Dispose();
        Assert.IsEmpty(left, $"mounts were left behind: {string.Join(", ", left)}\n{string.Join("\n\n", _daemons.Select(daemon => daemon.Log))}");
    }

    private Daemon Keep(Daemon daemon)
    {
        // Agent and runtime may be started at once.
        lock (_daemons)
        {
            _daemons.Add(daemon);
        }

        return daemon;
    }
}
