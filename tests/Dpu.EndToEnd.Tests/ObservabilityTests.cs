using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>What operators see of the requests themselves: figures by opcode at both ends, metrics, slow requests.</summary>
[TestClass]
public sealed class ObservabilityTests
{
    private const int Made = 7;
    private const int Written = 3 << 20;

    [TestMethod]
    [TestCategory("root")]
    public void Stats_AfterKnownOperations_CountThemAlikeAtBothEnds()
    {
        using var pair = new Pair(LinkKind.Tls);
        string mount = pair.UpUncached();
        Work(mount);

        JsonNode dpu = Json(pair.Runtime, "stats", mount), host = Json(pair.Agent, "stats", "data");
        Assert.AreEqual(mount, dpu["target"]!.GetValue<string>());
        Assert.AreEqual("dpu1:data", host["mount"]!.GetValue<string>());
        Assert.AreEqual(("mounted", "up", "up"), (dpu["state"]!.GetValue<string>(), dpu["link"]!.GetValue<string>(), host["link"]!.GetValue<string>()));
        foreach (JsonNode end in new[] { dpu, host })
        {
            Assert.AreEqual(Made, Operation(end, "FUSE_MKDIR", "requests"));
            Assert.AreEqual(Made, Operation(end, "FUSE_RMDIR", "requests"));
            Assert.AreEqual(1, Operation(end, "FUSE_RMDIR", "errors"), "a directory that was not empty");
            Assert.AreEqual(1, Operation(end, "FUSE_UNLINK", "requests"));
            Assert.IsGreaterThanOrEqualTo(Made + 1, Operation(end, "FUSE_LOOKUP", "errors"), "each name was free before it was made");
            long written = Operation(end, "FUSE_WRITE", "requestBytes");
            Assert.AreEqual(Written + (80 * Operation(end, "FUSE_WRITE", "requests")), written, "a write's bytes, and those of its two headers");
            Assert.IsGreaterThan(Written, Operation(end, "FUSE_READ", "replyBytes"));
            JsonNode write = Find(end, "FUSE_WRITE");
            double p50 = write["p50"]!.GetValue<double>(), p99 = write["p99"]!.GetValue<double>(), most = write["max"]!.GetValue<double>();
            Assert.IsTrue(p50 > 0 && p50 <= p99 && p99 <= most && most < Pair.Limit.TotalSeconds, $"{p50} {p99} {most}");
            Assert.AreEqual(write["requests"]!.GetValue<long>(), write["latencies"]!.AsArray().Sum(bucket => bucket!["count"]!.GetValue<long>()));
        }

        // What one end has sent the other has received: nothing was lost on the way, and nothing was counted twice.
        foreach (string name in new[] { "FUSE_MKDIR", "FUSE_UNLINK", "FUSE_WRITE", "FUSE_READ" })
        {
            foreach (string figure in new[] { "requests", "requestBytes", "replyBytes" })
            {
                Assert.AreEqual(Operation(dpu, name, figure), Operation(host, name, figure), $"{figure} of {name}");
            }
        }

        // For people, and over time: nothing happens between two reports of an idle mount.
        string[] lines = pair.Runtime.Ctl("stats").EnsureSuccess().Output.Split('\n');
        Assert.Contains(line => line.StartsWith($"MKDIR  ", StringComparison.Ordinal) && line.Contains($" {Made} ", StringComparison.Ordinal), lines);
        string[] reports = pair.Runtime.Ctl("stats", mount, "--watch", "50ms", "--count", "2", "--json").EnsureSuccess().Output.TrimEnd('\n').Split('\n');
        Assert.IsGreaterThan(0, JsonNode.Parse(reports[0])!["mounts"]![0]!["total"]!["requests"]!.GetValue<long>());
        Assert.AreEqual(0, JsonNode.Parse(reports[1])!["mounts"]![0]!["total"]!["requests"]!.GetValue<long>());
        Assert.AreEqual(4, pair.Agent.Ctl("stats", "nothing").ExitCode);
        Assert.Contains("dpu1:data", pair.Agent.Ctl("top", "--batch", "-n", "1").EnsureSuccess().Output);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SlowHost_RequestsThatWaitAndThatEnd_AreLoggedOnceEach_WithTheirCaller()
    {
        using var pair = new Pair();
        pair.StartAgent();
        (Daemon runtime, string mount) = Start(pair, configuration => configuration["slowRequest"] = "300ms");
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "x");
        Assert.DoesNotContain("SlowRequest", runtime.Log);

        // More callers than lanes: those that wait for a lane are slow too, and no host has seen them.
        RunningProgram[] callers;
        pair.Agent.Signal("STOP");
        try
        {
            callers = [.. Enumerable.Range(0, 4).Select(_ => RunningProgram.Start("stat", [Path.Combine(mount, "f")]))];
            Eventually.True(() => callers.All(caller => Told(runtime, "2121 SlowRequestPending", caller.Id) == 1), Pair.Limit, "a line of each that waits");

            // And what the kernel had to say beside them: a directory that was closed, say.
            Assert.IsGreaterThanOrEqualTo(callers.Length, Json(runtime, "stats", mount)["total"]!["inFlight"]!.GetValue<int>());
            Assert.DoesNotContain("2120 SlowRequest", runtime.Log);
        }
        finally
        {
            pair.Agent.Signal("CONT");
        }

        Array.ForEach(callers, caller => Assert.IsTrue(caller.WaitForExit(Pair.Limit) && caller.ExitCode == 0, caller.Error));
        Eventually.True(() => callers.All(caller => Told(runtime, "2120 SlowRequest", caller.Id) == 1), Pair.Limit, "a line of each that ended");
        Assert.IsTrue(callers.All(caller => Told(runtime, "2121 SlowRequestPending", caller.Id) == 1), "once each");
        string line = runtime.Log.Split('\n').First(text => text.Contains("[2120 SlowRequest]", StringComparison.Ordinal));
        Assert.Contains($"{mount}: FUSE_", line);
        Assert.Contains("at host 'host1'", line);
        Array.ForEach(callers, caller => caller.Dispose());
        Assert.AreEqual(0, Json(runtime, "stats", mount)["total"]!["inFlight"]!.GetValue<int>());
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task Metrics_OverHttp_AreValidAndCountWhatHappened()
    {
        using var pair = new Pair();
        int agentPort = FreePort.Take(), runtimePort = FreePort.Take();
        pair.AgentConfiguration["metrics"] = new JsonObject { ["listen"] = $"127.0.0.1:{agentPort}" };
        pair.StartAgent();
        (Daemon runtime, string mount) = Start(pair, configuration => configuration["metrics"] = new JsonObject { ["listen"] = $"127.0.0.1:{runtimePort}" });
        Work(mount);
        using var client = new HttpClient { Timeout = Pair.Limit };
        PrometheusText dpu = PrometheusText.Parse(await client.GetStringAsync($"http://127.0.0.1:{runtimePort}/metrics"));
        PrometheusText host = PrometheusText.Parse(await client.GetStringAsync($"http://127.0.0.1:{agentPort}/metrics"));

        Assert.AreEqual(Made, dpu.Value("dpu_mount_operation_duration_seconds_count", ("target", mount), ("opcode", "FUSE_MKDIR")));
        Assert.AreEqual(Made, host.Value("dpu_agent_operation_duration_seconds_count", ("peer", "dpu1"), ("export", "data"), ("opcode", "FUSE_MKDIR")));
        Assert.AreEqual(1, dpu.Value("dpu_mount_operation_errors_total", ("opcode", "FUSE_RMDIR")));
        Assert.AreEqual(1, host.Value("dpu_agent_operation_errors_total", ("opcode", "FUSE_RMDIR")));
        Assert.AreEqual(dpu.Value("dpu_mount_operation_sent_bytes_total", ("opcode", "FUSE_WRITE")), host.Value("dpu_agent_operation_received_bytes_total", ("opcode", "FUSE_WRITE")));
        Assert.AreEqual(dpu.Value("dpu_mount_operation_received_bytes_total", ("opcode", "FUSE_READ")), host.Value("dpu_agent_operation_sent_bytes_total", ("opcode", "FUSE_READ")));
        double sum = dpu.Value("dpu_mount_operation_duration_seconds_sum", ("opcode", "FUSE_WRITE")), most = dpu.Value("dpu_mount_operation_duration_max_seconds", ("opcode", "FUSE_WRITE"));
        Assert.IsTrue(most > 0 && most <= sum && sum < Pair.Limit.TotalSeconds, $"{most} {sum}");
        Assert.AreEqual(0, dpu.Value("dpu_mount_repeats_total"));
        Assert.AreEqual(0, dpu.Value("dpu_metrics_failed_scrapes_total") + dpu.Value("dpu_metrics_dropped_measurements_total"));
        Assert.AreEqual(0, host.Value("dpu_metrics_failed_scrapes_total") + host.Value("dpu_metrics_dropped_measurements_total"));

        // The host's figures outlive the mount: a counter that fell would look like a restart.
        runtime.Stop();
        Eventually.True(() => JsonNode.Parse(pair.Agent.Ctl("stats", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray().Count == 0, Pair.Limit, "the end of the mount");
        PrometheusText later = PrometheusText.Parse(await client.GetStringAsync($"http://127.0.0.1:{agentPort}/metrics"));
        Assert.AreEqual(Made, later.Value("dpu_agent_operation_duration_seconds_count", ("opcode", "FUSE_MKDIR")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void SlowRequestAndBusyPoll_Reloaded_HoldForMountsThatStand()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        string file = Path.Combine(pair.Folder, "dpu1.json");
        JsonObject configuration = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        (configuration["slowRequest"], configuration["busyPoll"]) = ("1us", "0s");
        File.WriteAllText(file, configuration.ToJsonString());
        Assert.DoesNotContain("SlowRequest", pair.Runtime.Log);

        JsonNode applied = JsonNode.Parse(pair.Runtime.Ctl("reload", "--json").EnsureSuccess().Output)!["applied"]!;
        Assert.AreEqual("slowRequest is 1us, busyPoll is 0s", string.Join(", ", applied.AsArray().Select(one => one!.GetValue<string>())), "and the mount was left alone");
        _ = Directory.GetFiles(mount);
        Eventually.True(() => pair.Runtime.Log.Contains("[2120 SlowRequest]", StringComparison.Ordinal), Pair.Limit, "a request that takes longer than that");
    }

    private static (Daemon Runtime, string Mount) Start(Pair pair, Action<JsonObject> change)
    {
        JsonObject configuration = pair.RuntimeConfiguration(), mount = pair.Mount("data", "data");
        mount["cache"] = "none";
        configuration["mounts"]!.AsArray().Add(mount);
        change(configuration);
        Daemon runtime = pair.StartRuntime(configuration);
        string target = mount["target"]!.GetValue<string>();
        Pair.WaitMounted(target);
        return (runtime, target);
    }

    /// <summary>Operations whose number is known.</summary>
    private static void Work(string mount)
    {
        for (int i = 0; i < Made; i++)
        {
            Directory.CreateDirectory(Path.Combine(mount, $"d{i}"));
        }

        Shell.Check($"dd if=/dev/zero of=d0/file bs={Written} count=1 2>/dev/null", mount);
        Assert.AreEqual(1, Shell.Run("rmdir d0", mount).ExitCode, "it is not empty");
        for (int i = 1; i < Made; i++)
        {
            Directory.Delete(Path.Combine(mount, $"d{i}"));
        }

        // By a direct read: what was just written is in this machine's page cache.
        Shell.Check("dd if=d0/file of=/dev/null bs=1M iflag=direct 2>/dev/null && rm d0/file", mount);
    }

    private static JsonNode Json(Daemon daemon, string verb, string mount) =>
        JsonNode.Parse(daemon.Ctl(verb, mount, "--json").EnsureSuccess().Output)!["mounts"]!.AsArray().Single()!;

    private static JsonNode Find(JsonNode mount, string operation) => mount["operations"]!.AsArray().Single(o => o!["operation"]!.GetValue<string>() == operation)!;

    private static long Operation(JsonNode mount, string operation, string figure) => Find(mount, operation)[figure]!.GetValue<long>();

    private static int Told(Daemon daemon, string what, int thread) => daemon.Log.Split('\n').Count(line =>
        line.Contains($"[{what}]", StringComparison.Ordinal) && line.Contains(string.Create(CultureInfo.InvariantCulture, $" for thread {thread} "), StringComparison.Ordinal));
}
