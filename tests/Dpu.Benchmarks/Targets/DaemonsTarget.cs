using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Dpu.Benchmarks.Harness;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>Our remote mount: host agent and DPU runtime of this build as two processes, joined by a unix socket or by TCP with mutual TLS.</summary>
/// <param name="store">Where the files lie.</param>
/// <param name="tls">TCP with TLS instead of a unix socket.</param>
/// <param name="cached">With coherent caches; otherwise with none.</param>
/// <param name="name">Its name; null for one made of the others.</param>
/// <param name="locks">Who keeps locks, as in the runtime's configuration; null for its default.</param>
/// <param name="transport">How requests come from the kernel, as in the runtime's configuration; null for its default.</param>
/// <param name="keeper">Whether a dpu-keeper holds what the daemons have, as on a DPU; else nothing does.</param>
/// <param name="sockets">Whether sockets of the export may be reached, and bound.</param>
/// <param name="programs">Programs of the host that may be run; then each machine has a keeper of its own.</param>
/// <param name="view">A program that a view <c>bench</c> has a stub for; null for no view. With programs.</param>
internal sealed class DaemonsTarget(
    string store, bool tls, bool cached = false, string? name = null, string? locks = null, string? transport = null, bool keeper = false, bool sockets = false, string[]? programs = null, string? view = null)
    : FileTarget(name ?? (tls ? "remote tls" : "remote unix") + (cached ? " cached" : ""), store)
{
    private static readonly TimeSpan CommandLimit = TimeSpan.FromSeconds(30);

    // A configuration is read and refused before anything else.
    private static readonly TimeSpan TransportLimit = TimeSpan.FromSeconds(3);

    // dpu-runtime(8): the configuration is wrong.
    private const int UsageCode = 2;

    // Its numbers are asked for between runs only.
    private readonly string[] metrics = [.. Enumerable.Range(0, 2).Select(_ => $"127.0.0.1:{FreePort().ToString(CultureInfo.InvariantCulture)}")];

    private RunningProgram? agent;
    private RunningProgram? runtime;
    private KeeperProcess? kept;
    private KeeperProcess? keptHere;

    /// <summary>The managed memory that both daemons have allocated since their start, in bytes.</summary>
    public double AllocatedBytes()
    {
        using HttpClient client = new() { Timeout = CommandLimit };
        return metrics.Sum(address =>
        {
            using HttpRequestMessage request = new(HttpMethod.Get, $"http://{address}/metrics");
            using HttpResponseMessage response = client.Send(request);
            response.EnsureSuccessStatusCode();
            using StreamReader reader = new(response.Content.ReadAsStream());
            return PrometheusText.Parse(reader.ReadToEnd()).Value("dotnet_gc_heap_total_allocated_bytes_total");
        });
    }

    /// <summary>Agent and runtime.</summary>
    public IEnumerable<int> Processes => [agent!.Id, runtime!.Id];

    /// <summary>The host's and the DPU's.</summary>
    public IEnumerable<int> Keepers => [kept!.Running.Id, keptHere!.Running.Id];

    /// <summary>Where stubs find the runtime.</summary>
    public string StubSocket => $"{Folder}/stub.sock";

    /// <summary>Where dpu-run finds it.</summary>
    public string ViewSocket => $"{Folder}/state/view.sock";

    public override void Abort()
    {
        runtime?.Kill();
        agent?.Kill();
    }

    public override void Dispose()
    {
        if (view is not null && runtime is { HasExited: false })
        {
            // Views outlive their runtime.
            _ = ExternalProgram.Run(Repository.Program("Dpu.Ctl", "dpuctl"), ["--socket", $"{Folder}/runtime.sock", "view", "delete", "--force", "bench"], CommandLimit);
        }

        // The runtime first, while its host still answers.
        Stop(runtime);
        Stop(agent);
        kept?.Dispose();
        keptHere?.Dispose();
        Unmount();
    }

    private protected override void StartCore()
    {
        string endpoint = tls ? $"tcp://127.0.0.1:{FreePort().ToString(CultureInfo.InvariantCulture)}" : $"unix://{Folder}/link.sock";
        JsonObject peer = new() { ["name"] = "dpu1" };
        JsonObject host = new() { ["name"] = "host1", ["endpoint"] = endpoint };
        JsonObject agentConfiguration = new()
        {
            ["listen"] = new JsonArray(endpoint),
            ["peers"] = new JsonArray(peer),
            ["exports"] = new JsonArray(new JsonObject
            {
                ["name"] = "bench",
                ["path"] = Backing,
                ["peers"] = new JsonArray("dpu1"),
                ["access"] = "read-write",
                ["squash"] = "none",
            }),
            ["control"] = new JsonObject { ["socket"] = $"{Folder}/agent.sock" },
            ["metrics"] = new JsonObject { ["listen"] = metrics[0] },
        };
        if (sockets)
        {
            agentConfiguration["exports"]![0]!["sockets"] = new JsonObject { ["connect"] = new JsonArray("*"), ["bind"] = new JsonArray("*") };
            agentConfiguration["limits"] = new JsonObject { ["connections"] = 65_536 };
        }

        JsonObject mount = new() { ["host"] = "host1", ["export"] = "bench", ["target"] = Seen, ["cache"] = cached ? "coherent" : "none" };
        Add(mount, "locks", locks);
        Add(mount, "transport", transport);
        JsonObject runtimeConfiguration = new()
        {
            ["name"] = "dpu1",
            ["hosts"] = new JsonArray(host),
            ["mounts"] = new JsonArray(mount),
            ["control"] = new JsonObject { ["socket"] = $"{Folder}/runtime.sock" },
            ["metrics"] = new JsonObject { ["listen"] = metrics[1] },
        };
        if (tls)
        {
            Issue();
            agentConfiguration["tls"] = Certificate("host1");
            runtimeConfiguration["tls"] = Certificate("dpu1");
        }
        else
        {
            peer["uid"] = 0;
            host["uid"] = 0;
        }

        kept = keeper ? new KeeperProcess("--launcher", Path.Combine(AppContext.BaseDirectory, "dpu-launch")) : null;
        agentConfiguration["keeper"] = new JsonObject { ["socket"] = kept?.Socket ?? "none", ["onStop"] = "end" };
        runtimeConfiguration["keeper"] = agentConfiguration["keeper"]!.DeepClone();
        if (programs is not null)
        {
            keptHere = new KeeperProcess("--launcher", Path.Combine(AppContext.BaseDirectory, "dpu-launch"));
            runtimeConfiguration["keeper"]!["socket"] = keptHere.Socket;
            runtimeConfiguration["stubSocket"] = StubSocket;
            agentConfiguration["programs"] = new JsonArray([.. programs.Select(path => new JsonObject
            {
                ["peers"] = new JsonArray("dpu1"),
                ["path"] = path,
                ["arguments"] = new JsonArray("*"),
                ["environment"] = new JsonArray("*"),
                ["squash"] = "none",
            })]);
            agentConfiguration["limits"] = new JsonObject { ["connections"] = 4096 };
        }

        if (view is not null)
        {
            Directory.CreateDirectory($"{Folder}/views.d");
            File.WriteAllText($"{Folder}/views.d/bench.json", new JsonObject { ["stubs"] = new JsonArray(new JsonObject { ["program"] = view }) }.ToJsonString());
            runtimeConfiguration["viewSocket"] = ViewSocket;
            runtimeConfiguration["viewsFolder"] = $"{Folder}/views.d";
        }

        agent = StartDaemon("Dpu.HostAgent", "dpu-host-agent", "host-agent.json", agentConfiguration);
        runtime = StartDaemon("Dpu.Runtime", "dpu-runtime", "runtime.json", runtimeConfiguration);
        RequireTransport();

        // The runtime dials again until the agent listens.
        AwaitMount(runtime);
    }

    private static void Add(JsonObject mount, string key, string? value)
    {
        if (value is not null)
        {
            mount[key] = value;
        }
    }

    // A runtime that does not know the option refuses its configuration; a kernel that has it switched off would make it fall back.
    private void RequireTransport()
    {
        const string parameter = "/sys/module/fuse/parameters/enable_uring";
        if (transport != "io_uring")
        {
            return;
        }

        if (!File.Exists(parameter) || !File.ReadAllText(parameter).StartsWith('Y'))
        {
            throw new UnavailableException($"this kernel has no FUSE over io_uring, or it is off: 'echo Y > {parameter}'");
        }

        if (runtime!.WaitForExit(TransportLimit) && runtime.ExitCode == UsageCode)
        {
            throw new UnavailableException("this runtime has no transport io_uring");
        }
    }

    private RunningProgram StartDaemon(string project, string program, string file, JsonObject configuration)
    {
        string path = Path.Combine(Folder, file);
        File.WriteAllText(path, configuration.ToJsonString());
        return RunningProgram.Start(Repository.Program(project, program), ["--config", path]);
    }

    private void Issue()
    {
        string dpuctl = Repository.Program("Dpu.Ctl", "dpuctl");
        ExternalProgram.Check(dpuctl, ["pki", "init", "--dir", $"{Folder}/pki"], CommandLimit);
        ExternalProgram.Check(dpuctl, ["pki", "issue", "host", "host1", "--dir", $"{Folder}/pki"], CommandLimit);
        ExternalProgram.Check(dpuctl, ["pki", "issue", "dpu", "dpu1", "--dir", $"{Folder}/pki"], CommandLimit);
    }

    private JsonObject Certificate(string name) => new()
    {
        ["certificate"] = $"{Folder}/pki/{name}.crt",
        ["key"] = $"{Folder}/pki/{name}.key",
        ["authority"] = $"{Folder}/pki/ca.crt",
    };

    private static void Stop(RunningProgram? daemon)
    {
        if (daemon is null)
        {
            return;
        }

        if (!daemon.HasExited)
        {
            ExternalProgram.Run("kill", ["-TERM", daemon.Id.ToString(CultureInfo.InvariantCulture)], CommandLimit);
            daemon.WaitForExit(CommandLimit);
        }

        daemon.Dispose();
    }

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
