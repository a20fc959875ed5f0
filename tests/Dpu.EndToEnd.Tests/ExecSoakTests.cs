using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Very many short processes of the host through one pair of daemons: they leave nothing.</summary>
[TestClass]
public sealed class ExecSoakTests
{
    // Pipes of logs, threads and connections that come and go.
    private const int Slack = 8;

    // What the collector has not given back yet; of the keeper, which has none, what malloc(3) keeps.
    private const long DaemonSlackKiB = 48 << 10;
    private const long KeeperSlackKiB = 256;

    [TestMethod]
    [TestCategory("root")]
    public void ShortOnes_LeaveNothing() => Run(60, 200, Pair.Limit);

    [TestMethod]
    [TestCategory("soak")]
    public void TenThousandShortOnes_LeaveNothing() => Run(1000, 10_000, TimeSpan.FromMinutes(30));

    private static void Run(int before, int count, TimeSpan limit)
    {
        using var pair = new ExecPair();
        Execute(pair, before, limit);
        Settle(pair);
        (int[] descriptors, long[] memory) = (Descriptors(pair), Memory(pair));
        Execute(pair, count, limit);
        Settle(pair);
        string now = "";
        Assert.IsTrue(
            Eventually.Within(() => Descriptors(pair) is var found && (now = string.Join(", ", found)).Length > 0 && found.Zip(descriptors).All(two => two.First <= two.Second + Slack), Pair.Limit),
            $"descriptors of agent, runtime and keeper were {string.Join(", ", descriptors)}, and are {now}");
        long[] after = Memory(pair);
        for (int i = 0; i < after.Length; i++)
        {
            Assert.IsLessThan(memory[i] + (i == 2 ? KeeperSlackKiB : DaemonSlackKiB), after[i], $"KiB of agent, runtime and keeper were {string.Join(", ", memory)}, and are {string.Join(", ", after)}");
        }

        // 1,000 are remembered; each has had a cgroup.
        JsonArray ended = (JsonArray)JsonNode.Parse(pair.Pair.Runtime.Ctl("ps", "--all", "--json").EnsureSuccess().Output)!["processes"]!;
        Assert.HasCount(Math.Min(1000, before + count), ended);
        foreach (JsonNode? one in ended)
        {
            Assert.AreEqual(("ended", 0), ((string)one!["state"]!, (int)one["exitCode"]!));
            Assert.StartsWith("/sys/fs/cgroup/", (string)one["group"]!);
            Assert.IsFalse(Directory.Exists((string)one["group"]!), (string)one["group"]!);
        }
    }

    private static void Execute(ExecPair pair, int count, TimeSpan limit)
    {
        ProgramResult result = ExternalProgram.Run("bash", ["-c", $"seq {count} | xargs -P 8 -I N $REXEC /bin/true"], limit, environment: pair.Environment);
        Assert.IsFalse(result.TimedOut, "they did not end in time");
        Assert.AreEqual(0, result.ExitCode, result.Error);
    }

    // No process of the keeper is left, not even as a zombie, nor anything that it holds of one.
    private static void Settle(ExecPair pair)
    {
        string keeper = pair.Pair.Keeper!.Running.Id.ToString(CultureInfo.InvariantCulture);
        Eventually.True(() => File.ReadAllText($"/proc/{keeper}/task/{keeper}/children").Trim().Length == 0, Pair.Limit, "the end of the keeper's children");
        Eventually.True(() => !Directory.GetFiles($"/proc/{keeper}/fd").Any(IsOfAProcess), Pair.Limit, "the end of what the keeper holds of processes");
    }

    private static bool IsOfAProcess(string descriptor) => new FileInfo(descriptor).LinkTarget is { } target && (target.Contains("pidfd", StringComparison.Ordinal) || target.Contains("exec/", StringComparison.Ordinal));

    private static int[] Descriptors(ExecPair pair) => [pair.Pair.Agent.Descriptors, pair.Pair.Runtime.Descriptors, pair.Pair.Keeper!.Descriptors];

    private static long[] Memory(ExecPair pair) => [pair.Pair.Agent.ResidentKiB, pair.Pair.Runtime.ResidentKiB, pair.Pair.Keeper!.ResidentKiB];
}
