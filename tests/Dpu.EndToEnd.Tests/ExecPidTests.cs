using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>The numbers of processes: the host's is its stub's, where that may be, and else both are said.</summary>
[TestClass]
public sealed class ExecPidTests
{
    private const int Low = 20_000;
    private const int High = 3_000_000;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(32_768)]
    [DataRow(4_194_304)]
    public void Number_IsTheStubs_AsFarAsTheHostHasIt(int most)
    {
        using var host = new PidNamespace(most);
        using var pair = new ExecPair(host: host);
        using var view = new PidNamespace(4_194_304);
        Assert.AreEqual($"{Low}:{Low}", view.Run(PidNamespace.As($"as {Low} $REXEC /bin/sh -c 'echo $$'; as {Low} $REXEC /bin/sh -c 'echo $$'"), pair.Environment).Replace('\n', ':'), "and again");
        string high = view.Run(PidNamespace.As($"as {High} $REXEC /bin/sh -c 'echo $$'"), pair.Environment);
        JsonNode[] all = Ps(pair);
        Assert.AreEqual(("identity", Low, Low), Numbers(all[0]));
        if (most > High)
        {
            Assert.AreEqual(("identity", High, High), Numbers(all[2]));
            Assert.AreEqual(High.ToString(CultureInfo.InvariantCulture), high);
        }
        else
        {
            Assert.AreEqual(("mapped", int.Parse(high, CultureInfo.InvariantCulture), High), Numbers(all[2]));
            Assert.Contains("pid_max", (string)all[2]["pidsReason"]!);
            Assert.Contains("mapped: it is beyond the host's pid_max", pair.Pair.Runtime.Ctl("ps", "--all").EnsureSuccess().Output);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void HostForksAcrossTheRange_WhatIsTakenIsMapped_AndAllRun()
    {
        const int Most = 2048;
        using var host = new PidNamespace(Most);
        using var pair = new ExecPair(host: host);
        using var view = new PidNamespace();
        using RunningProgram holder = host.Start("bash", "-c", PidNamespace.As("echo 999 > /proc/sys/kernel/ns_last_pid; for i in $(seq 40); do sleep 1000 & done; echo held; wait"));
        _ = holder.WaitForLine(line => line == "held", Pair.Limit);
        int taken = int.Parse(host.Run("pgrep -x sleep | sort -n | tail -n 1"), CultureInfo.InvariantCulture);
        string another = view.Run(PidNamespace.As($"as {taken} $REXEC /bin/sh -c 'echo $$'"), pair.Environment);
        JsonNode mapped = Ps(pair)[^1];
        Assert.AreEqual(("mapped", int.Parse(another, CultureInfo.InvariantCulture), taken), Numbers(mapped));
        Assert.Contains($"the host uses {taken} for another one", (string)mapped["pidsReason"]!);

        // Every number is taken at some time, and the range begins again and again.
        using RunningProgram forks = host.Start("python3", "-c", "import os\nwhile True:\n  c = os.fork()\n  if not c: os._exit(0)\n  if c > 2000: print('across', flush=True)\n  os.waitpid(c, 0)");
        _ = forks.WaitForLine(line => line == "across", Pair.Limit);
        string[] numbers = view.Run(PidNamespace.As("for n in $(seq 1100 20 1880); do as $n $REXEC /bin/sh -c 'echo $$'; done"), pair.Environment).Split('\n');
        Assert.HasCount(40, numbers, "all run");
        JsonNode[] last = Ps(pair)[^40..];
        Assert.IsTrue(last.All(process => ((string)process["pids"]! == "identity") == ((int)process["hostPid"]! == (int)process["ownPid"]!)));
        CollectionAssert.AreEquivalent(numbers, last.Select(process => process["hostPid"]!.ToString()).ToArray());
        Assert.IsGreaterThan(20, last.Count(process => (string)process["pids"]! == "identity"), string.Join(' ', numbers));
    }

    private static JsonNode[] Ps(ExecPair pair)
    {
        JsonNode[] all = [];
        Eventually.True(
            () => (all = [.. JsonNode.Parse(pair.Pair.Runtime.Ctl("ps", "--all", "--json").EnsureSuccess().Output)!["processes"]!.AsArray().Select(process => process!)]).All(process => (string)process["state"]! == "ended"),
            Pair.Limit, "the ends");
        return all;
    }

    private static (string, int, int) Numbers(JsonNode process) => ((string)process["pids"]!, (int)process["hostPid"]!, (int)process["ownPid"]!);
}
