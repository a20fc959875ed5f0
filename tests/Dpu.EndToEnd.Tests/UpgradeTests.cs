using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Daemons of this build and of an earlier one take turns: upgraded, rolled back, each beside the other's partner, with the earlier one's keeper.</summary>
[TestClass]
public sealed class UpgradeTests
{
    /// <summary>Whose memory formats are those of today: raise it when one changes, for what a mount does then is tested elsewhere (it is let go).</summary>
    private const string Earlier = "c07304d";

    private const int Turns = 12;

    private static EarlierBuild s_earlier = null!;

    [ClassInitialize]
    public static void Build(TestContext context) => s_earlier = new EarlierBuild(Earlier);

    [ClassCleanup]
    public static void Remove() => s_earlier.Dispose();

    [TestMethod]
    [TestCategory("soak")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void UpgradedAndRolledBack_UnderLoad_EachOperationHappensOnce(string cache)
    {
        using var pair = new Pair(keeper: true, build: s_earlier.Root);
        string mount = pair.Up(entry => entry["cache"] = cache, runtime =>
        {
            // It is rolled back with its configuration, which has what both know.
            _ = runtime.Remove("stubSocket") && runtime.Remove("viewSocket");
        });
        int keeper = pair.Keeper!.Running.Id;
        using var held = Shell.StartPython($"f = os.open('held', os.O_CREAT | os.O_RDWR); os.write(f, b'kept'); os.unlink('held'); import fcntl; fcntl.lockf(f, fcntl.LOCK_EX); say('open'); wait('{pair.Folder}/go'); say(os.pread(f, 9, 0))", mount);
        Eventually.True(() => held.Output.Contains("open", StringComparison.Ordinal), Pair.Limit, "the file");
        using OnceWorkers workers = new(mount, seconds: 60);
        for (int turn = 0; turn < Turns; turn++)
        {
            workers.Work(TimeSpan.FromSeconds(2));

            // Up and down, so that each pairing of the two builds is met.
            pair.Build = turn % 4 < 2 ? null : s_earlier.Root;
            if (turn % 2 == 0)
            {
                Assert.AreEqual(0, pair.Runtime.Stop());
                _ = pair.RestartRuntime();
                Assert.IsGreaterThan(0, pair.Counters()["takenOver"]!.GetValue<long>(), $"turn {turn}: {pair.Runtime.Log}");
            }
            else
            {
                Assert.AreEqual(0, pair.Agent.Stop());
                _ = pair.RestartAgent();
            }
        }

        Console.WriteLine($"{workers.Check(pair.ExportRoot, seed: 0)} rounds, {Turns} turns");
        JsonNode counters = pair.Counters();
        Assert.AreEqual(0, counters["unknownOutcome"]!.GetValue<long>());
        File.WriteAllText($"{pair.Folder}/go", "");
        CollectionAssert.AreEqual(new[] { "open", "b'kept'" }, Shell.End(held));
        Assert.AreEqual(keeper, pair.Keeper.Running.Id);
    }
}
