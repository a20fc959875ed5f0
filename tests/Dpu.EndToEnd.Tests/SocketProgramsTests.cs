using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Debian's own clients on the DPU, each with its server on the host, by a socket of the mount: in C, in Go, and with an XDR protocol of its own.</summary>
[TestClass]
public sealed class SocketProgramsTests
{
    // A user of the DPU whom the map makes one of the host's, and a number that is nobody's on either.
    private const int Mapped = 7001;

    [TestMethod]
    [TestCategory("interop")]
    public void Psql_OverASocketOfTheMount_IsTheMappedUser_AndItsSessionOutlivesCuts()
    {
        int seed = Environment.TickCount;
        using var pair = new Pair();
        int own = int.Parse(Shell.Check("id -u postgres", "/"), CultureInfo.InvariantCulture);
        JsonObject export = Connectable(pair, "pg/*");
        export["userMap"] = Map((Mapped, own), (1, 1));
        export["groupMap"] = Map((Mapped, own), (1, 1));
        using LinkProxy proxy = Up(pair, out string mount);
        string data = Path.Combine(pair.Folder, "database");
        string client = Path.Combine(pair.Folder, "client");
        Shell.Check($"install -d -o postgres -g postgres -m 700 {data}; install -d -m 777 {client}", "/");
        using var postgres = new Postgres(Path.Combine(pair.ExportRoot, "pg"));
        Postgres.Init(data);
        Shell.Check("echo local all all peer > pg_hba.conf; echo 'log_connections = on' >> postgresql.conf", data);
        postgres.Start(data);
        _ = postgres.Query("create role daemon login");

        string Psql(string user, string more) => $"{Postgres.ClientProgram} -X -h {mount}/pg -U {user} -v ON_ERROR_STOP=1 -At {more} postgres";
        Assert.AreEqual("postgres", Shell.Check(Psql("postgres", "-c 'select current_user'"), client, Mapped));
        Assert.Contains("identity=\"postgres\" method=peer", postgres.Log);
        Assert.AreEqual("daemon", Shell.Check(Psql("daemon", "-c 'select current_user'"), client, uid: 1));
        Assert.Contains("Peer authentication failed for user \"postgres\"", Shell.Run(Psql("postgres", "-c 'select 1'"), client, uid: 1).Error);
        Assert.AreNotEqual(0, Shell.Run(Psql("postgres", "-c 'select 1'"), client, own).ExitCode, "the host's number is not that user on the DPU");

        // The table is of the session: a psql that connected once more would not find it.
        var random = new Random(seed);
        byte[] value = new byte[24];
        File.WriteAllLines(Path.Combine(client, "in"), Enumerable.Range(0, 100_000).Select(i =>
        {
            random.NextBytes(value);
            return $"{i}\t{Convert.ToHexString(value)}";
        }));
        File.WriteAllText(
            Path.Combine(client, "script"),
            """
            create temporary table t (i int, v text);
            select pg_backend_pid() as first \gset
            \copy t from 'in'
            \copy (select * from t order by i) to 'out'
            select count(*), pg_backend_pid() = :first from t;
            """);
        proxy.CutAtRandom(seed, most: 1_500_000);
        string said = Shell.Check(Psql("postgres", "-q -f script"), client, Mapped);
        proxy.CutAtRandom(seed, most: 0);
        Assert.AreEqual("100000|t", said, $"seed {seed}, {proxy.Cuts} cuts");
        _ = Shell.Check("cmp in out", client);
        Assert.IsGreaterThan(3, proxy.Cuts, "hardly any cut");
        Console.WriteLine($"seed {seed}: {proxy.Cuts} cuts");
        postgres.Stop();
    }

    [TestMethod]
    [TestCategory("interop")]
    public void Ctr_OverASocketOfTheMount_DrivesTheHostsContainerd_ThroughCuts()
    {
        int seed = Environment.TickCount;
        using var pair = new Pair();
        Connectable(pair, "run/*.sock");
        using LinkProxy proxy = Up(pair, out string mount);
        Shell.Check("mkdir own export/run", pair.Folder);
        string configuration = Path.Combine(pair.Folder, "containerd.toml");
        File.WriteAllText(
            configuration,
            $"""
            version = 2
            root = "{pair.Folder}/own/root"
            state = "{pair.Folder}/own/state"
            disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart", "io.containerd.monitor.v1.cgroups",
              "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.overlayfs", "io.containerd.snapshotter.v1.zfs"]
            [grpc]
              address = "{pair.ExportRoot}/run/containerd.sock"
            """);
        using RunningProgram daemon = RunningProgram.Start("containerd", ["--config", configuration], directory: "/");
        _ = daemon.WaitForLine(line => line.Contains("successfully booted", StringComparison.Ordinal), Pair.Limit);

        string ctr = $"{Requires.Tool("ctr")} --address {mount}/run/containerd.sock --connect-timeout 20s";
        string version = Shell.Check($"{ctr} version", pair.Folder);
        Assert.Contains("Server:", version);
        Assert.AreEqual(Shell.Check($"ctr --address {pair.ExportRoot}/run/containerd.sock version", pair.Folder), version, "what the host's own client is told");

        // A stream of events that is there before the cut, and tells what happens after it.
        using RunningProgram events = RunningProgram.Start("bash", ["-c", $"exec {ctr} events"], directory: pair.Folder);
        Eventually.True(() => IsConnected(pair, events) || events.HasExited, Pair.Limit, "the connection of ctr events");
        proxy.Cut();
        Eventually.True(
            () => Shell.Check($"{ctr} namespaces create lab-$RANDOM$RANDOM kind=test", pair.Folder).Length == 0
                && (events.HasExited || events.Output.Contains("/namespaces/create", StringComparison.Ordinal)),
            Pair.Limit,
            "the event");
        Assert.IsFalse(events.HasExited, events.Error);
        Assert.Contains("kind=test", Shell.Check($"{ctr} namespaces ls", pair.Folder));

        byte[] content = RandomNumberGenerator.GetBytes(4_000_000);
        string digest = "sha256:" + Convert.ToHexStringLower(SHA256.HashData(content));
        File.WriteAllBytes(Path.Combine(pair.Folder, "content"), content);
        proxy.CutAtRandom(seed, most: 1_500_000);
        _ = Shell.Check($"{ctr} content ingest --expected-digest {digest} test < content", pair.Folder);
        _ = Shell.Check($"{ctr} content get {digest} | cmp - content", pair.Folder);
        proxy.CutAtRandom(seed, most: 0);
        Assert.Contains(digest, Shell.Check($"{ctr} content ls", pair.Folder));
        Assert.Contains("REF", Shell.Check($"{ctr} images ls", pair.Folder));
        Assert.IsGreaterThan(1, proxy.Cuts, "hardly any cut");
        Assert.IsFalse(events.HasExited, events.Error);
        Console.WriteLine($"seed {seed}: {proxy.Cuts} cuts");
    }

    [TestMethod]
    [TestCategory("interop")]
    public void Virsh_OverASocketOfTheMount_DrivesTheHostsLibvirtd_ThroughACut()
    {
        using var pair = new Pair();
        Connectable(pair, "run/libvirt-sock");
        using LinkProxy proxy = Up(pair, out string mount);
        Shell.Check("install -d -o 1 -g 1 own export/run; echo \"<domain type='test'><name>lab</name><memory>65536</memory><os><type>hvm</type></os></domain>\" > lab.xml", pair.Folder);

        // As another user than root it keeps all that it writes to its own directories. It has no drivers but its own one for tests.
        string configuration = Path.Combine(pair.Folder, "libvirtd.conf");
        File.WriteAllText(configuration, $"unix_sock_dir = \"{pair.ExportRoot}/run\"\nauth_unix_rw = \"none\"\nlog_outputs = \"3:stderr\"\n");
        string environment = $"env -i PATH={Environment.GetEnvironmentVariable("PATH")} HOME={pair.Folder}/own XDG_RUNTIME_DIR={pair.Folder}/own LIBVIRT_DRIVER_DIR={pair.Folder}/none";
        using RunningProgram daemon = RunningProgram.Start(
            "setpriv",
            ["--reuid", "1", "--regid", "1", "--clear-groups", .. environment.Split(' '), Requires.Tool("libvirtd"), "--config", configuration],
            directory: "/");
        string Virsh(string where) => $"{environment} {Requires.Tool("virsh")} --quiet --connect test+unix:///default?socket={where}/run/libvirt-sock";
        string there = Virsh(mount);
        string onHost = Virsh(pair.ExportRoot);
        Eventually.True(() => daemon.HasExited || Shell.Run($"{onHost} uri", pair.Folder, uid: 1).ExitCode == 0, Pair.Limit, "libvirtd");
        Assert.IsFalse(daemon.HasExited, daemon.Error);

        Assert.MatchesRegex(@"^\s*1\s+test\s+running$", Shell.Check($"{there} list --all", pair.Folder, uid: 1));
        Assert.AreEqual(Shell.Check($"{onHost} nodeinfo", pair.Folder, uid: 1), Shell.Check($"{there} nodeinfo", pair.Folder, uid: 1));
        Assert.Contains("Permission denied", Shell.Run($"{there} list", pair.Folder, uid: 2).Error, "the socket is its owner's");

        // The driver for tests forgets its domains with its last connection: this one holds them, and is told through the cut of what the host's client does.
        using RunningProgram waiting = RunningProgram.Start(
            "setpriv",
            ["--reuid", "1", "--regid", "1", "--clear-groups", "bash", "-c", $"exec {there} event --domain test --event lifecycle --timeout 60"],
            directory: pair.Folder);
        Eventually.True(() => IsConnected(pair, waiting) || waiting.HasExited, Pair.Limit, "the connection of virsh event");
        _ = Shell.Check($"{there} 'define lab.xml; start lab'", pair.Folder, uid: 1);
        Assert.MatchesRegex(@"2\s+lab\s+running", Shell.Check($"{onHost} list --all", pair.Folder, uid: 1));
        proxy.Cut();
        Eventually.True(() => Shell.Run($"{onHost} 'suspend test; resume test'", pair.Folder, uid: 1).ExitCode == 0 && waiting.HasExited, Pair.Limit, "the event");
        Assert.Contains("event 'lifecycle' for domain 'test'", string.Concat(Shell.End(waiting)));
        Assert.AreEqual("", waiting.Error);
    }

    private static LinkProxy Up(Pair pair, out string mount)
    {
        // Users of the DPU get as far as the sockets.
        Shell.Check($"chmod 755 {pair.Folder} {pair.ExportRoot}", "/");
        return LinkProxy.Up(pair, out mount);
    }

    private static JsonObject Connectable(Pair pair, string pattern)
    {
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray(pattern) };
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        return export;
    }

    private static JsonArray Map(params (int Dpu, int Host)[] ids) =>
        [.. ids.Select(id => new JsonObject { ["dpu"] = id.Dpu, ["host"] = id.Host, ["count"] = 1 })];

    private static bool IsConnected(Pair pair, RunningProgram program) =>
        JsonNode.Parse(pair.Runtime.Ctl("socket", "list", "--json").EnsureSuccess().Output)!["sockets"]!.AsArray().Any(relay => relay!["pid"]!.GetValue<int>() == program.Id);
}
