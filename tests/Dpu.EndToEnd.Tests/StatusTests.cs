using System.Globalization;
using System.Text.Json.Nodes;
using Dpu.Hosting.Control;
using Dpu.Link;
using Dpu.Proto.V1;
using Grpc.Core;
using Grpc.Net.Client;

namespace Dpu.EndToEnd.Tests;

/// <summary>What operators see of daemons that run: status, mounts and events on the DPU, sessions and exports on the host.</summary>
[TestClass]
public sealed class StatusTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Mount_ThatTheKernelRefuses_LeavesNothingOnTheHost()
    {
        using var pair = new Pair();
        pair.StartAgent();
        Daemon runtime = pair.StartRuntime();
        string file = Path.Combine(pair.MountRoot, "file");
        Directory.CreateDirectory(pair.MountRoot);
        File.WriteAllText(file, "");

        ProgramResult refused = runtime.Ctl("mount", "host1:data", file);

        Assert.AreNotEqual(0, refused.ExitCode);
        Assert.Contains(file, refused.Error);
        Eventually.True(() => Json(pair.Agent, "status")["sessions"]!.AsArray().Count == 0, Pair.Limit, "the end of the host's side");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Status_OfBothEnds_TellsWhatIs()
    {
        using var pair = new Pair(LinkKind.Tls);
        DateTimeOffset before = TimeProvider.System.GetUtcNow().AddSeconds(-2);
        string mount = pair.Up();
        DateTimeOffset up = TimeProvider.System.GetUtcNow();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "x");
        using FileStream open = File.OpenRead(Path.Combine(mount, "f"));

        JsonNode status = Json(pair.Runtime, "status");
        JsonNode runtime = status["runtime"]!, host = status["hosts"]!.AsArray().Single()!, mounted = status["mounts"]!.AsArray().Single()!;
        Assert.AreEqual("dpu1", runtime["name"]!.GetValue<string>());
        Assert.AreEqual(pair.Runtime.Id, runtime["pid"]!.GetValue<int>());
        DateTimeOffset started = DateTimeOffset.Parse(runtime["startTime"]!.GetValue<string>(), CultureInfo.InvariantCulture);
        Assert.IsTrue(started >= before && started <= up, $"started {started:O}");
        Assert.AreEqual("up", host["state"]!.GetValue<string>());
        Assert.AreEqual(pair.Agent.Id, host["agent"]!["pid"]!.GetValue<int>());
        Assert.AreEqual("", host["agent"]!["configurationFile"]!.GetValue<string>(), "where the host keeps it is not the DPU's business");
        Assert.AreEqual("mounted", mounted["state"]!.GetValue<string>());
        Assert.AreEqual(mount, mounted["target"]!.GetValue<string>());

        long requests = mounted["counters"]!["requests"]!.GetValue<long>();
        _ = Directory.GetFiles(mount);
        Assert.IsGreaterThan(requests, Json(pair.Runtime, "mounts")["mounts"]![0]!["counters"]!["requests"]!.GetValue<long>());

        JsonNode agent = Json(pair.Agent, "status");
        Assert.AreEqual("host1", agent["agent"]!["name"]!.GetValue<string>());
        Assert.AreEqual(pair.Endpoint, agent["listening"]!.AsArray().Single()!.GetValue<string>());
        JsonNode session = agent["sessions"]!.AsArray().Single()!;
        Assert.AreEqual("dpu1", session["peer"]!.GetValue<string>());
        Assert.AreEqual(1, session["mounts"]!.GetValue<int>());
        Assert.AreEqual(1, session["openHandles"]!.GetValue<int>(), "the one open file");
        Assert.AreEqual(host["sessionId"]!.GetValue<string>(), session["id"]!.GetValue<string>(), "both ends name the session alike");
        Assert.AreEqual(pair.ExportRoot, agent["exports"]!.AsArray().Single()!["path"]!.GetValue<string>());

        // For people, the same.
        string table = pair.Agent.Ctl("status").EnsureSuccess().Output;
        Assert.Contains("listening on " + pair.Endpoint, table);
        Assert.Contains(pair.ExportRoot, table);
        Assert.Contains("dpu-host-agent", pair.Agent.Ctl("version").EnsureSuccess().Output);
        Assert.AreEqual(0, pair.Agent.Ctl("reload").ExitCode);
        ProgramResult notHere = pair.Agent.Ctl("mounts");
        Assert.AreEqual(1, notHere.ExitCode);
        Assert.Contains("it is the host agent", notHere.Error);

        // What the DPU gave back, the host no longer counts. A file is still open: the runtime waits a while for its
        // users, then ends the mount, and says so to the host.
        pair.Runtime.Stop();
        Eventually.True(() => Json(pair.Agent, "status")["sessions"]!.AsArray().Sum(s => s!["mounts"]!.GetValue<int>()) == 0, Pair.Limit, "the end of the mount");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Events_Followed_TellHostsGoingAndComing()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        using RunningProgram events = RunningProgram.Start(
            Repository.Program("Dpu.Ctl", "dpuctl"), ["--socket", pair.Runtime.Socket, "events", "--follow", "--json"]);
        events.WaitForLine(line => Is(line, "MountState", "mount", mount), Pair.Limit);

        pair.Agent.Kill();
        events.WaitForLine(line => Is(line, "HostDown", "host", "host1"), Pair.Limit);
        pair.StartAgent();
        events.WaitForLine(line => Is(line, "HostUp", "host", "host1"), Pair.Limit);
        string other = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "other")).FullName;
        Eventually.True(() => pair.Runtime.Ctl("mount", "host1:data", other).ExitCode == 0, Pair.Limit, "a second mount");
        events.WaitForLine(line => Is(line, "Mounted", "mount", other), Pair.Limit);

        // The daemon's end ends the stream, with a reason and a code of its own.
        pair.Runtime.Stop();
        Assert.IsTrue(events.WaitForExit(Pair.Limit), "events did not end with its daemon");
        Assert.AreEqual(3, events.ExitCode, events.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task ControlOfTheLink_ADpu_SeesItsOwnAndChangesNothing()
    {
        using var pair = new Pair(LinkKind.Tls);
        pair.Authority.Issue(LinkRole.Dpu, "dpu2", TimeSpan.FromHours(1));
        pair.AgentConfiguration["peers"]!.AsArray().Add(pair.Peer("dpu2"));
        string secret = Directory.CreateDirectory(Path.Combine(pair.Folder, "secret")).FullName;
        string shared = Directory.CreateDirectory(Path.Combine(pair.Folder, "shared")).FullName;
        pair.AgentConfiguration["exports"]!.AsArray().Add(Pair.Export("secret", secret));
        pair.AgentConfiguration["exports"]!.AsArray().Add(Pair.Export("shared", shared, peers: ["dpu1", "dpu2"]));
        pair.Up();
        using LinkCredentials credentials = LinkCredentials.Load(new LinkCredentialFiles
        {
            Certificate = $"{pair.Folder}/pki/dpu2.crt",
            Key = $"{pair.Folder}/pki/dpu2.key",
            Authority = pair.Authority.CertificatePath,
        });
        var dialer = new LinkDialer(credentials, new LinkDialerOptions { Local = new LinkLocal { Name = "dpu2" } });
        using LinkConnection connection = dialer.Dial(LinkEndpoint.Parse(pair.Endpoint), "host1", "control", new byte[16]);
        connection.SetTimeouts(TimeSpan.Zero, TimeSpan.Zero);
        using GrpcChannel channel = GrpcChannel.ForAddress("http://link", new GrpcChannelOptions
        {
            HttpHandler = ControlClient.CreateHandler(_ => ValueTask.FromResult(connection.Stream)),
            DisposeHttpClient = true,
        });
        var agent = new Agent.AgentClient(channel);
        CallOptions Soon() => new(deadline: TimeProvider.System.GetUtcNow().UtcDateTime + Pair.Limit);

        Assert.IsEmpty((await agent.ListSessionsAsync(new ListSessionsRequest(), Soon())).Sessions, "another's session");
        Export export = (await agent.ListExportsAsync(new ListExportsRequest(), Soon())).Exports.Single();
        Assert.AreEqual("exports/shared", export.Name);
        Assert.AreEqual("dpu2", export.Peers.Single(), "who else may mount it is not its business");
        AgentStatus status = await agent.GetAgentStatusAsync(new GetAgentStatusRequest(), Soon());
        Assert.AreEqual("", status.Daemon.ConfigurationFile);
        Assert.IsEmpty(status.Listening);
        RpcException refused = await Assert.ThrowsExactlyAsync<RpcException>(async () => await agent.ReloadAgentAsync(new ReloadAgentRequest(), Soon()));
        Assert.AreEqual(StatusCode.PermissionDenied, refused.StatusCode);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ControlOverTcp_ServesListedOperatorsOnly()
    {
        using var pair = new Pair(LinkKind.Tls);
        foreach (string name in new[] { "alice", "mallory" })
        {
            pair.Authority.Issue(LinkRole.Operator, name, TimeSpan.FromHours(1));
        }

        JsonObject configuration = pair.RuntimeConfiguration();
        string address = $"tcp://127.0.0.1:{FreePort.Take()}";
        configuration["control"]!["listen"] = new JsonArray(address);
        configuration["control"]!["operators"] = new JsonArray("alice");
        pair.StartRuntime(configuration);
        ProgramResult As(string name) => ExternalProgram.Run(
            Repository.Program("Dpu.Ctl", "dpuctl"),
            ["status", "--address", address, "--server", "dpu1", "--cert", $"{pair.Folder}/pki/{name}.crt", "--key", $"{pair.Folder}/pki/{name}.key", "--ca", $"{pair.Folder}/pki/ca.crt"],
            Pair.Limit);

        Assert.Contains("name dpu1", As("alice").EnsureSuccess().Output);
        foreach (string name in new[] { "mallory", "dpu1", "host1" })
        {
            ProgramResult refused = As(name);
            Assert.AreNotEqual(0, refused.ExitCode, name);
            Assert.Contains("control.operators", refused.Error, name);
            Assert.AreEqual("", refused.Output, name);
        }
    }

    private static JsonNode Json(Daemon daemon, string verb) => JsonNode.Parse(daemon.Ctl(verb, "--json").EnsureSuccess().Output)!;

    private static bool Is(string line, string code, string key, string value)
    {
        JsonNode happened = JsonNode.Parse(line)!;
        return happened["code"]!.GetValue<string>() == code && happened[key]?.GetValue<string>() == value;
    }
}
