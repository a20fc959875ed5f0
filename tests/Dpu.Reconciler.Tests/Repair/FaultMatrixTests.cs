using Dpu.Flows.Nic;
using Dpu.Flows.Table;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.Tests.Support;
using Dpu.TestSupport;

namespace Dpu.Reconciler.Tests.Repair;

/// <summary>
/// Each fault of the emulated NIC: what is found is compared with what the NIC's own entries say, one by one, over 1,000 seeds;
/// then one pass repairs it, and a second one finds nothing to do.
/// </summary>
[TestClass]
public sealed class FaultMatrixTests
{
    private const int Seeds = 1000;
    private const int Count = 40;

    [TestMethod, TestCategory("unit")]
    [DataRow("lost insert")]
    [DataRow("corrupt action")]
    [DataRow("corrupt mask")]
    [DataRow("duplicate")]
    [DataRow("duplicate of corrupt")]
    [DataRow("lost delete")]
    [DataRow("ghost after reset")]
    [DataRow("falsely full")]
    [DataRow("interrupted dump")]
    [DataRow("all")]
    public async Task Fault_OverAThousandSeeds_IsFoundClassifiedAndRepairedInOnePass(string name)
    {
        long found = 0;
        for (int seed = 0; seed < Seeds; seed++)
        {
            NicFaults faults = FaultsOf(name, seed);
            EmulatedNic nic = new(8 * Count, faults with { InterruptedDump = 0 });
            NicTarget target = new(nic);
            FlowDefinition[] flows = [.. Enumerable.Range(0, Count).Select(Samples.Numbered)];
            Install(name, target, nic, flows);
            nic.Faults = name == "interrupted dump" ? faults : NicFaults.None;
            Dictionary<string, int> expected = Truth(nic, target, flows);
            FlowReconciler reconciler = Reconciler(flows, target);

            PassReport pass = await reconciler.RunAsync(apply: true);
            found += pass.Found.Problems;
            Assert.AreEqual(Text(expected), Text(pass.Found), $"{name}, seed {seed}");
            Assert.IsNull(pass.Refused);
            Assert.AreEqual(pass.Found.Problems == 0 ? 0 : 1, pass.Rounds, $"{name}, seed {seed}");
            Assert.AreEqual(0, pass.Remaining.Problems, $"{name}, seed {seed}: {Text(pass.Remaining)}");

            PassReport second = await reconciler.RunAsync(apply: true);
            Assert.AreEqual((0, 0, default), (second.Found.Differences.Count, second.Plan.Steps.Count, second.Counts), $"{name}, seed {seed}");
            Assert.AreEqual(Count, nic.Count);
        }

        // An interrupted dump is no difference: it must not make one.
        Assert.IsTrue(name == "interrupted dump" ? found == 0 : found > Seeds, $"{found}");
    }

    [TestMethod, TestCategory("unit")]
    public async Task Faults_ThatGoOnDuringTheRepair_AreRepairedInTheSamePass()
    {
        int rounds = 0;
        for (int seed = 0; seed < Seeds / 4; seed++)
        {
            EmulatedNic nic = new(8 * Count, FaultsOf("all", seed) with { InterruptedDump = 0.05 });
            NicTarget target = new(nic);
            FlowDefinition[] flows = [.. Enumerable.Range(0, Count).Select(Samples.Numbered)];
            Install("all", target, nic, flows);
            FlowReconciler reconciler = Reconciler(flows, target);
            PassReport pass = await reconciler.RunAsync(apply: true);
            Assert.AreEqual(0, pass.Remaining.Problems, $"seed {seed}: {Text(pass.Remaining)}");
            rounds = Math.Max(rounds, pass.Rounds);
            Assert.AreEqual(0, (await reconciler.RunAsync(apply: true)).Plan.Steps.Count);
        }

        Assert.IsTrue(rounds > 1, "the faults did go on");
    }

    [TestMethod, TestCategory("unit")]
    public async Task NoFault_OverAThousandSeeds_HasNoFinding()
    {
        for (int seed = 0; seed < Seeds; seed++)
        {
            Random random = new(seed);
            FlowDefinition[] flows = [.. Enumerable.Range(0, Count).Select(_ => random.Next(1 << 20)).Distinct().Select(Samples.Numbered)];
            EmulatedNic nic = new(8 * Count);
            NicTarget target = new(nic);
            Install("", target, nic, flows);
            random.Shuffle(flows);
            PassReport pass = await Reconciler(flows, target).RunAsync(apply: true);
            Assert.IsEmpty(pass.Found.Differences, $"seed {seed}");
        }
    }

    [TestMethod, TestCategory("unit")]
    public async Task StuckCounter_OverManySeeds_IsFoundBesideOthersThatMoveAndRestAndLag()
    {
        int stuckAtAll = 0;
        TimeSpan lag = TimeSpan.FromSeconds(1);
        for (int seed = 0; seed < Seeds; seed++)
        {
            ManualTime time = new();
            EmulatedNic nic = new(8 * Count, new NicFaults { Seed = seed, StuckCounter = 0.1, CounterLag = lag }, time);
            NicTarget target = new(nic);
            FlowDefinition[] flows = [.. Enumerable.Range(0, Count).Select(Samples.Numbered)];
            Install("", target, nic, flows);
            nic.Faults = nic.Faults with { StuckCounter = 0 };
            CounterWatch watch = new(lag, time);
            Dictionary<ulong, ulong> sent = [];
            HashSet<ulong> busy = [];
            for (int sample = 0; sample < 6; sample++)
            {
                FlowSet dump = target.Read().Flows;
                watch.Sample(dump, i => sent.GetValueOrDefault(dump.Definition(i).Cookie));
                for (int i = 0; i < dump.Count; i++)
                {
                    // Every third flow has no packets: it may be stuck, and nobody can tell.
                    ulong cookie = dump.Definition(i).Cookie;
                    if (cookie % 3 != 0)
                    {
                        nic.Touch(new NicHandle(dump.HandleOf(i)), 1, 64);
                        sent[cookie] = sent.GetValueOrDefault(cookie) + 1;
                        busy.Add(dump.HandleOf(i));
                    }
                }

                time.Advance(lag);
            }

            FlowSet last = target.Read().Flows;
            HashSet<ulong> expected = [.. Enumerable.Range(0, last.Count).Where(i => busy.Contains(last.HandleOf(i)) && last.PacketsOf(i) == 0).Select(last.HandleOf)];
            Assert.IsTrue(expected.SetEquals(watch.Stuck), $"seed {seed}");
            stuckAtAll += expected.Count;

            FlowReconciler reconciler = Reconciler(flows, target);
            reconciler.Stuck = watch.Stuck;
            PassReport pass = await reconciler.RunAsync(apply: true);
            Assert.AreEqual(expected.Count, pass.Found.CountOf(DifferenceCategory.StuckCounter));
            Assert.AreEqual(expected.Count, pass.Found.Problems);
            Assert.AreEqual(0, pass.Remaining.Problems, $"seed {seed}");
            Assert.IsFalse(Enumerable.Range(0, pass.Remaining.Actual.Count).Any(i => watch.Stuck.Contains(pass.Remaining.Actual.HandleOf(i))), "the stuck entries are gone");
        }

        Assert.IsTrue(stuckAtAll > Seeds, $"{stuckAtAll}");
    }

    internal static FlowReconciler Reconciler(FlowDefinition[] desired, IFlowTarget target, ReconcilerOptions? options = null)
    {
        FlowSet set = new();
        foreach (FlowDefinition flow in desired)
        {
            _ = set.Add(flow);
        }

        return new FlowReconciler(new MemoryTarget(set, "desired"), target, (options ?? new ReconcilerOptions()) with { DumpAttempts = 40 }, null, (_, _) => Task.CompletedTask);
    }

    private static NicFaults FaultsOf(string name, int seed) => name switch
    {
        "lost insert" => new NicFaults { Seed = seed, LostInsert = 0.2 },
        "corrupt action" => new NicFaults { Seed = seed, CorruptAction = 0.2 },
        "corrupt mask" => new NicFaults { Seed = seed, CorruptMask = 0.2 },
        "duplicate" => new NicFaults { Seed = seed, Duplicate = 0.2 },
        "duplicate of corrupt" => new NicFaults { Seed = seed, Duplicate = 0.3, CorruptAction = 0.2, CorruptMask = 0.2 },
        "lost delete" => new NicFaults { Seed = seed, LostDelete = 0.5 },
        "ghost after reset" => new NicFaults { Seed = seed, GhostAfterReset = 0.3 },
        "falsely full" => new NicFaults { Seed = seed, FalselyFull = 0.2 },
        "interrupted dump" => new NicFaults { Seed = seed, InterruptedDump = 0.5 },
        _ => new NicFaults { Seed = seed, LostInsert = 0.08, CorruptAction = 0.08, CorruptMask = 0.08, Duplicate = 0.08, LostDelete = 0.2, GhostAfterReset = 0.2, FalselyFull = 0.08 },
    };

    private static void Install(string name, NicTarget target, EmulatedNic nic, FlowDefinition[] flows)
    {
        if (name is "lost delete" or "all")
        {
            // Flows of before, with cookies of their own, of which some deletes are lost.
            ChangeResult[] old = [.. target.Apply([.. Enumerable.Range(1000, Count / 4).Select(i => new TargetChange(Samples.Numbered(i)))])];
            _ = target.Apply([.. old.Where(r => r.Status == ChangeStatus.Done).Select(r => new TargetChange(null, r.Handle))]);
        }

        if (name is "ghost after reset" or "all")
        {
            _ = target.Apply([.. Enumerable.Range(2000, Count / 4).Select(i => new TargetChange(Samples.Numbered(i)))]);
            nic.Reset();
        }

        _ = target.Apply([.. flows.Select(flow => new TargetChange(flow))]);
    }

    // What is wrong, from the NIC's entries alone: cookies here are one flow's each.
    private static Dictionary<string, int> Truth(EmulatedNic nic, NicTarget target, FlowDefinition[] flows)
    {
        Dictionary<string, int> truth = [];
        void Count(string word) => truth[word] = truth.GetValueOrDefault(word) + 1;
        ILookup<ulong, NicEntry> entries = nic.Dump(0).Entries.ToLookup(e => e.Flow.Cookie);
        foreach (FlowDefinition flow in flows)
        {
            NicEntry[] there = [.. entries[flow.Cookie]];
            if (there.Length == 0)
            {
                Count(target.RefusalOf(flow) is null ? "missing" : "not-offloaded");
                continue;
            }

            // Both of a duplicate are alike, for the NIC makes it of what it has made of the flow.
            bool action = !there[0].Flow.Actions.SequenceEqual(flow.Actions), match = there[0].Flow.Match != flow.Match.Canonical();
            if (action || match)
            {
                Count((action, match) switch { (true, true) => "divergent-action+match", (true, false) => "divergent-action", _ => "divergent-match" });
            }

            for (int i = 1; i < there.Length; i++)
            {
                Count("duplicate");
            }
        }

        HashSet<ulong> wanted = [.. flows.Select(f => f.Cookie)];
        foreach (IGrouping<ulong, NicEntry> group in entries.Where(g => !wanted.Contains(g.Key)))
        {
            foreach (NicEntry _ in group)
            {
                Count("stale");
            }
        }

        return truth;
    }

    private static string Text(Dictionary<string, int> counts) => string.Join(", ", counts.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => $"{c.Key} {c.Value}"));

    private static string Text(DiffResult diff) => Text(diff.Differences.GroupBy(d => d.Word).ToDictionary(g => g.Key, g => g.Count()));
}
