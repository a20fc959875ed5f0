using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Dpu.TestSupport;

namespace Dpu.EndToEnd.Tests;

/// <summary>Flows that the runtime keeps in step by itself.</summary>
[TestClass]
public sealed class ReconcilePairTests
{
    private const string Rules = "cross-build/prometheus/dpu-reconcile.rules.yml";

    [TestMethod]
    [TestCategory("root")]
    public async Task Pairs_OnEventsOnRequestAndAfterAReload_AreKeptInStepOrOnlyCompared()
    {
        using var pair = new Pair();
        Directory.CreateDirectory(pair.MountRoot);
        string wanted = Path.Combine(pair.MountRoot, "wanted.txt"), history = Path.Combine(pair.MountRoot, "history.db");
        File.WriteAllLines(wanted, Enumerable.Range(0, 200).Select(i => $"cookie=0x{i + 1:x},priority=9,udp,nw_src=10.0.0.{i} actions=output:{(i % 7) + 1}"));
        int port = FreePort.Take();
        JsonObject configuration = pair.RuntimeConfiguration();
        configuration["metrics"] = new JsonObject { ["listen"] = $"127.0.0.1:{port}" };
        configuration["reconcile"] = new JsonObject
        {
            ["history"] = history,
            ["pairs"] = new JsonArray(
                new JsonObject { ["name"] = "table", ["desired"] = wanted, ["actual"] = "runtime", ["apply"] = true, ["interval"] = "1h", ["confirmAfter"] = "10ms" },
                new JsonObject { ["name"] = "look", ["desired"] = wanted + ".other", ["actual"] = "runtime", ["interval"] = "1h", ["confirmAfter"] = "10ms" }),
        };
        File.WriteAllText(wanted + ".other", "priority=9,udp,nw_src=10.0.0.1 actions=drop\n");
        Daemon runtime = pair.StartRuntime(configuration);

        // At start; then by an event, as the interval is an hour.
        Eventually.True(() => Flows(runtime) == 200, Pair.Limit, "the table is filled");
        runtime.Ctl("flows", "del", "udp,nw_src=10.0.0.7").EnsureSuccess();
        runtime.Ctl("flows", "add", "priority=9,arp actions=output:1").EnsureSuccess();
        Eventually.True(() => Flows(runtime) == 200 && runtime.Ctl("flows", "list", "arp").Output.Length == 0, Pair.Limit, "what was deleted is back, and what is too many gone");

        // On request: what was compared only is as it was, and told.
        ProgramResult look = runtime.Ctl("reconcile", "run", "look");
        Assert.AreEqual(2, look.ExitCode, look.Error);
        Assert.Contains("200 differences found, 200 left: 1 divergent, 199 stale", look.Output);
        Assert.AreEqual(200, Flows(runtime));
        Assert.AreEqual(0, runtime.Ctl("reconcile", "run", "table").EnsureSuccess().ExitCode);
        Assert.AreEqual(1, runtime.Ctl("reconcile", "run", "none").ExitCode);
        Assert.Contains("no pair 'none'", runtime.Ctl("reconcile", "run", "none").Error);
        JsonNode[] pairs = [.. JsonNode.Parse(runtime.Ctl("reconcile", "pairs", "--json").EnsureSuccess().Output)!["pairs"]!.AsArray().Select(p => p!)];
        CollectionAssert.AreEqual(new[] { "table", "look" }, pairs.Select(p => p["name"]!.GetValue<string>()).ToArray());
        Assert.AreEqual(199, pairs[1]["categories"]!["stale"]!.GetValue<int>());
        JsonNode compared = runtime.Ctl("reconcile", "history", "list", "--history", history, "--json").EnsureSuccess().Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(l => JsonNode.Parse(l)!).First(p => p["desired"]!.GetValue<string>() == wanted + ".other");
        Assert.AreEqual(1, compared["found"]!["divergent"]!.GetValue<int>());
        Assert.Contains("divergent-action+attribute: cookie=0x0", runtime.Ctl("reconcile", "history", "show", compared["id"]!.ToJsonString(), "--history", history).EnsureSuccess().Output);

        // All that alerts are about is told.
        using HttpClient client = new();
        string text = await client.GetStringAsync($"http://127.0.0.1:{port}/metrics");
        PrometheusText metrics = PrometheusText.Parse(text);
        foreach (Match name in Regex.Matches(File.ReadAllText(Repository.PathOf(Rules)), "dpu_reconcile_[a-z_]+"))
        {
            Assert.IsTrue(metrics.Families.ContainsKey(name.Value), $"{name.Value} is in the rules and not in:\n{text}");
        }

        Assert.Contains("dpu_reconcile_differences{category=\"stale\",pair=\"look\"} 199", Sorted(text));
        Assert.Contains("dpu_reconcile_differences{category=\"stale\",pair=\"table\"} 0", Sorted(text));

        // A side that is gone fails a pass, and the next one finds it again. A reload changes pairs.
        File.Move(wanted, wanted + ".away");
        ProgramResult failed = runtime.Ctl("reconcile", "run", "table");
        Assert.AreEqual(1, failed.ExitCode);
        Assert.Contains("cannot read", failed.Error);
        Assert.AreEqual(200, Flows(runtime), "nothing was changed");
        File.Move(wanted + ".away", wanted);
        runtime.Ctl("reconcile", "run", "table").EnsureSuccess();
        configuration["reconcile"]!["pairs"]!.AsArray().RemoveAt(1);
        File.WriteAllText(Path.Combine(pair.Folder, "dpu1.json"), configuration.ToJsonString());
        Assert.Contains("flows of look are not compared any more", runtime.Ctl("reload").EnsureSuccess().Output);
        Assert.DoesNotContain("look", runtime.Ctl("reconcile", "pairs").EnsureSuccess().Output);
        Assert.AreEqual(0, runtime.Stop());
    }

    [TestMethod]
    [TestCategory("root")]
    public void FiltersThatSomebodyChanges_AreLookedAtAtOnce()
    {
        using var pair = new Pair();
        Directory.CreateDirectory(pair.MountRoot);
        string wanted = Path.Combine(pair.MountRoot, "wanted.txt");
        File.WriteAllText(wanted, "priority=9,udp actions=drop\n");
        JsonObject configuration = pair.RuntimeConfiguration();
        configuration["reconcile"] = new JsonObject
        {
            ["pairs"] = new JsonArray(new JsonObject { ["name"] = "filters", ["desired"] = wanted, ["actual"] = "tc:dpuev0", ["interval"] = "1h", ["confirmAfter"] = "10ms" }),
        };
        string Ip(params string[] arguments) => ExternalProgram.Check(Requires.Tool("ip"), arguments, Pair.Limit);
        string Tc(string command) => ExternalProgram.Check(Requires.Tool("tc"), command.Split(' '), Pair.Limit);
        JsonNode State(Daemon runtime) => JsonNode.Parse(runtime.Ctl("reconcile", "pairs", "--json").EnsureSuccess().Output)!["pairs"]![0]!;
        Ip("link", "add", "dpuev0", "type", "veth", "peer", "name", "dpuev1");
        try
        {
            Tc("qdisc add dev dpuev0 clsact");
            Daemon runtime = pair.StartRuntime(configuration);
            Eventually.True(() => State(runtime)["passes"]!.GetValue<int>() == 1, Pair.Limit, "the first pass");
            Tc("filter add dev dpuev0 ingress protocol all pref 16 u32 match u32 0 0 flowid 1:1");
            Eventually.True(() => State(runtime)["categories"]!["foreign"]?.GetValue<int>() == 1, Pair.Limit, "the filter is seen, though the interval is an hour");
            Tc("filter del dev dpuev0 ingress");
            Eventually.True(() => State(runtime)["categories"]!["foreign"] is null, Pair.Limit, "and that it went");
            Assert.AreEqual(0, runtime.Stop());
        }
        finally
        {
            Ip("link", "del", "dpuev0");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void SideThatNeverAnswers_HoldsUpNeitherTheDaemonNorItsEnd()
    {
        using var pair = new Pair();
        Directory.CreateDirectory(pair.MountRoot);
        JsonObject configuration = pair.RuntimeConfiguration();
        JsonArray pairs = [];
        for (int i = 0; i < 20; i++)
        {
            // Nobody writes: opening it to read does not return, and nothing but a signal ends that.
            string fifo = Path.Combine(pair.MountRoot, $"fifo{i}");
            _ = ExternalProgram.Check("mkfifo", [fifo], Pair.Limit);
            pairs.Add(new JsonObject { ["name"] = $"dead{i}", ["desired"] = fifo, ["actual"] = "runtime", ["apply"] = true, ["interval"] = "100ms", ["timeout"] = "1s" });
        }

        configuration["reconcile"] = new JsonObject { ["pairs"] = pairs };
        Daemon runtime = pair.StartRuntime(configuration);
        long before = Stopwatch.GetTimestamp();
        for (int i = 0; i < 20; i++)
        {
            runtime.Ctl("flows", "add", $"priority={i} actions=output:1").EnsureSuccess();
        }

        Eventually.True(() => runtime.Log.Contains("a pass over dead19 does not end", StringComparison.Ordinal), Pair.Limit, "it is told");
        Assert.IsLessThan(Pair.Limit, Stopwatch.GetElapsedTime(before), "commands go on");
        Assert.Contains("does not end", runtime.Ctl("reconcile", "pairs").EnsureSuccess().Output);
        before = Stopwatch.GetTimestamp();
        Assert.AreEqual(0, runtime.Stop());
        Assert.IsLessThan(TimeSpan.FromSeconds(10), Stopwatch.GetElapsedTime(before));
    }

    [TestMethod]
    [TestCategory("interop")]
    public void AlertRules_CheckedByPrometheus_AreRightAndFireWhenTheyShould()
    {
        using TemporaryDirectory folder = new();
        string rules = Repository.PathOf(Rules), promtool = Requires.Tool("promtool");
        Assert.Contains("SUCCESS: 3 rules found", ExternalProgram.Check(promtool, ["check", "rules", rules], Pair.Limit));
        string test = folder.WriteFile("test.yml", $$"""
            rule_files: ['{{rules}}']
            evaluation_interval: 1m
            tests:
              - interval: 1m
                input_series:
                  - { series: 'dpu_reconcile_differences{instance="d", pair="a", category="stale"}', values: '0 3x20' }
                  - { series: 'dpu_reconcile_differences{instance="d", pair="b", category="foreign"}', values: '9x20' }
                  - { series: 'dpu_reconcile_age_seconds{instance="d", pair="a"}', values: '0+60x20' }
                  - { series: 'dpu_reconcile_interval_seconds{instance="d", pair="a"}', values: '60x20' }
                  - { series: 'dpu_reconcile_age_seconds{instance="d", pair="b"}', values: '10x20' }
                  - { series: 'dpu_reconcile_interval_seconds{instance="d", pair="b"}', values: '60x20' }
                  - { series: 'dpu_reconcile_repair_failures_total{instance="d", pair="b"}', values: '0+1x20' }
                alert_rule_test:
                  - { eval_time: 3m, alertname: DpuFlowsOutOfStep, exp_alerts: [] }
                  - eval_time: 8m
                    alertname: DpuFlowsOutOfStep
                    exp_alerts: [ { exp_labels: { severity: warning, instance: d, pair: a }, exp_annotations: { summary: 'Flows of a are out of step: 3 differences', description: 'See "dpuctl reconcile pairs" and "dpuctl reconcile history list" on d.' } } ]
                  - { eval_time: 8m, alertname: DpuReconcileStale, exp_alerts: [] }
                  - eval_time: 10m
                    alertname: DpuReconcileStale
                    exp_alerts: [ { exp_labels: { severity: critical, instance: d, pair: a }, exp_annotations: { summary: 'Flows of a were last compared 10m 0s ago', description: 'A side does not answer, or cannot be read: "dpuctl reconcile pairs" on d says why.' } } ]
                  - eval_time: 15m
                    alertname: DpuReconcileRepairFails
                    exp_alerts: [ { exp_labels: { severity: warning, instance: d, pair: b }, exp_annotations: { summary: 'Repairs of b fail', description: 'Its target refuses changes, or says that they are done and they are not: "dpuctl reconcile history list" on d.' } } ]
            """);
        ProgramResult result = ExternalProgram.Run(promtool, ["test", "rules", test], Pair.Limit);
        Assert.AreEqual(0, result.ExitCode, result.Output + result.Error);
    }

    private static int Flows(Daemon runtime) => JsonNode.Parse(runtime.Ctl("flows", "show", "--json").EnsureSuccess().Output)!["flows"]!.GetValue<int>();

    // Labels in the order of their names, whatever the exporter's is.
    private static string Sorted(string metrics) => Regex.Replace(metrics, @"\{([^}]*)\}", match => "{" + string.Join(',', match.Groups[1].Value.Split(',').Order(StringComparer.Ordinal)) + "}");
}
