using System.Globalization;
using System.Text.Json.Nodes;
using Dpu.EndToEnd.Tests.Survival;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// Verified work on a mount while its link is cut and its daemons are killed, stopped and started, in an order that
/// <c>DPU_SURVIVAL_SEED</c> repeats: nothing is lost, doubled, hung or falsely told, and how long programs stand still.
/// </summary>
[TestClass]
[DoNotParallelize] // Stalls are measured.
public sealed class SurvivalTests
{
    /// <summary>What happens where <c>DPU_SURVIVAL_FAULTS</c> names nothing else.</summary>
    private const string Default = "all";

    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(50);

    [TestMethod]
    [TestCategory("root")]
    public void CutsAndKills_BesideVerifiedWork_LoseNothing() => RunShort(ThreeMounts.None, LinkKind.Unix);

    [TestMethod]
    [TestCategory("root")]
    public void CutsAndKills_BesideVerifiedWorkOnCoherentMountsOverTls_LoseNothing() => RunShort(ThreeMounts.Coherent, LinkKind.Tls);

    [TestMethod]
    [TestCategory("soak")]
    [DataRow(ThreeMounts.None, LinkKind.Unix)]
    [DataRow(ThreeMounts.Coherent, LinkKind.Unix)]
    [DataRow(ThreeMounts.Coherent, LinkKind.Tls)]
    public void ThousandCutsAndHundredKills_BesideVerifiedWork_LoseNothing(string cache, LinkKind link)
    {
        bool bounded = Environment.GetEnvironmentVariable("DPU_SOAK_SECONDS") is { Length: > 0 };
        new SurvivalRun(
            cache,
            link,
            new SurvivalSize(Cuts: 1000, Kills: 100, LoadSeconds: 10, bounded ? TimeSpan.FromSeconds(StressPrograms.SoakSeconds) : Longest, WithPostgres: true),
            Seed(),
            Kinds(Default)).Run();
    }

    private static void RunShort(string cache, LinkKind link) =>
        new SurvivalRun(cache, link, new SurvivalSize(Cuts: 20, Kills: 4, LoadSeconds: 4, TimeSpan.FromSeconds(25), WithPostgres: false), Seed(), Kinds(Default)).Run();

    // A peer beside us: nothing here must hold of it but that it can be measured.
    [TestMethod]
    [TestCategory("soak")]
    public void SshfsWithReconnect_BesideTheSameFaults_IsMeasured()
    {
        Requires.Exists("/usr/lib/openssh/sftp-server", "apt-get install openssh-sftp-server, or run './dev test'");
        int seed = Seed();
        using var folder = new TemporaryDirectory();
        using var peer = new SshfsPeer(folder.FullPath);
        using var prober = new Prober(StressPrograms.Prober, peer.Mount, folder.FullPath);
        var records = new List<FaultRecord>();
        string hung = "";
        foreach (Fault fault in Fault.Plan(seed, cuts: 100, kills: 10, new HashSet<FaultKind> { FaultKind.Cut, FaultKind.AgentKill }))
        {
            FaultyPair.Pause(fault.Pause);
            records.Add(peer.Let(fault, SurvivalRun.Idle));
            if (!Eventually.Within(() => prober.StandingStill(records[^1].Back).Length == 0, Pair.Limit))
            {
                hung = $"; then it hung for good: {string.Join(", ", prober.StandingStill(records[^1].Back))}";
                break;
            }
        }

        IReadOnlyList<Operation> slow = prober.Slow();
        Prober.Attribute(records, slow);
        string wrong = string.Join(", ", slow.Where(one => one.Wrong != "-").GroupBy(one => $"{one.Wrong} {one.Error}").Select(group => $"{group.Count()} {group.Key}"));
        JsonArray rows = StallTable.Rows("sshfs -o reconnect", records);
        Report.Add($"seed {seed}, sshfs -o reconnect: {records.Count} faults, {prober.Counts().Sum()} operations, of which failed {prober.Failed().Sum()} ({wrong}){hung}\n{StallTable.Markdown(rows)}");
        Report.Save("survival-sshfs", new JsonObject { ["seed"] = seed, ["failed"] = prober.Failed().Sum(), ["errors"] = wrong, ["hung"] = hung, ["stalls"] = rows });
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Plan_OfTheSameSeed_IsTheSame()
    {
        HashSet<FaultKind> all = [.. Enum.GetValues<FaultKind>()];
        Fault[] plan = Fault.Plan(7, cuts: 100, kills: 20, all);
        CollectionAssert.AreEqual(plan, Fault.Plan(7, cuts: 100, kills: 20, all));
        CollectionAssert.AreNotEqual(plan, Fault.Plan(8, cuts: 100, kills: 20, all));
        Assert.HasCount(100 + (2 * 20) + (4 * 2), plan);
        Assert.AreEqual(20, plan.Count(fault => fault.Kind == FaultKind.AgentKill));
        Assert.IsTrue(Fault.Plan(7, 5, 5, new HashSet<FaultKind> { FaultKind.Cut }).All(fault => fault.Kind == FaultKind.Cut));
    }

    private static int Seed()
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("DPU_SURVIVAL_SEED"), CultureInfo.InvariantCulture, out int given) ? given : Environment.TickCount;
        Console.WriteLine($"seed {seed}");
        return seed;
    }

    private static HashSet<FaultKind> Kinds(string otherwise)
    {
        string names = Environment.GetEnvironmentVariable("DPU_SURVIVAL_FAULTS") is { Length: > 0 } given ? given : otherwise;
        return names == "all" ? [.. Enum.GetValues<FaultKind>()] : [.. names.Split(',').Select(name => Enum.Parse<FaultKind>(name, ignoreCase: true))];
    }
}
