using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>A link that breaks at any byte: each operation happens once, and its caller has its true result.</summary>
[TestClass]
public sealed class CutTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None, LinkKind.Unix)]
    [DataRow(ThreeMounts.Coherent, LinkKind.Unix)]
    [DataRow(ThreeMounts.Coherent, LinkKind.Tls)]
    public void LinkCutAtAnyByte_EachOperationHappensOnce(string cache, LinkKind link) => Work(cache, link, seconds: 6, seed: Environment.TickCount);

    [TestMethod]
    [TestCategory("soak")]
    [DataRow(ThreeMounts.None, LinkKind.Unix)]
    [DataRow(ThreeMounts.Coherent, LinkKind.Unix)]
    [DataRow(ThreeMounts.Coherent, LinkKind.Tls)]
    public void LinkCutAtAnyByteForLong_EachOperationHappensOnce(string cache, LinkKind link) => Work(cache, link, StressPrograms.SoakSeconds, seed: Environment.TickCount);

    private static void Work(string cache, LinkKind link, int seconds, int seed)
    {
        using var pair = new Pair(link);
        using LinkProxy proxy = LinkProxy.Up(pair, out string mount, cache);
        proxy.CutAtRandom(seed, most: 30_000);
        using OnceWorkers workers = new(mount, seconds);
        string counts = workers.Check(pair.ExportRoot, seed, () => proxy.CutAtRandom(seed, most: 0));
        Console.WriteLine($"seed {seed}: {proxy.Cuts} cuts, {counts} rounds");
        Assert.IsGreaterThan(seconds / 2, proxy.Cuts, "hardly any cut");
        JsonNode counters = pair.Counters();
        Assert.AreEqual(0, counters["unknownOutcome"]!.GetValue<long>());
        Assert.IsGreaterThan(0, counters["repeated"]!.GetValue<long>(), "nothing was asked again");
        Console.WriteLine($"{counters["repeated"]} asked again");

        // Nothing that was asked again has left the host a reference or a handle too many.
        Shell.Check("rm -r w0 w1 w2", mount);
        Eventually.True(() => pair.OpenNodes() < 20, Pair.Limit, "the end of references");
    }
}
