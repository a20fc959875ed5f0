using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>Our remote mount: host agent and DPU runtime of this build as two processes, joined by a unix socket or by TCP with mutual TLS.</summary>
internal sealed class DaemonsTarget(string store, bool tls, bool cached = false) : FileTarget((tls ? "remote tls" : "remote unix") + (cached ? " cached" : ""), store)
{
    private static readonly TimeSpan CommandLimit = TimeSpan.FromSeconds(30);

    private RunningProgram? agent;
    private RunningProgram? runtime;

    public override void Abort()
    {
        runtime?.Kill();
        agent?.Kill();
    }

    public override void Dispose()
    {
        // The runtime first, while its host still answers.
        Stop(runtime);
        Stop(agent);
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
        };
        JsonObject runtimeConfiguration = new()
        {
            ["name"] = "dpu1",
            ["hosts"] = new JsonArray(host),
            ["mounts"] = new JsonArray(new JsonObject { ["host"] = "host1", ["export"] = "bench", ["target"] = Seen, ["cache"] = cached ? "coherent" : "none" }),
            ["control"] = new JsonObject { ["socket"] = $"{Folder}/runtime.sock" },
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

        agent = StartDaemon("Dpu.HostAgent", "dpu-host-agent", "host-agent.json", agentConfiguration);
        runtime = StartDaemon("Dpu.Runtime", "dpu-runtime", "runtime.json", runtimeConfiguration);
        // The runtime dials again until the agent listens.
        AwaitMount(runtime);
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
