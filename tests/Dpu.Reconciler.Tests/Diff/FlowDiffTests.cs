using Dpu.Flows.Table;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Tests.Support;

namespace Dpu.Reconciler.Tests.Diff;

/// <summary>Every category, and what is no difference.</summary>
[TestClass]
public sealed class FlowDiffTests
{
    private const string A = "cookie=1,priority=10,ip,nw_dst=10.0.0.1,actions=output:1";
    private const string B = "cookie=2,priority=10,ip,nw_dst=10.0.0.2,actions=output:2";

    [TestMethod, TestCategory("unit")]
    public void Compare_OfTheSameFlowsInAnotherOrder_FindsNothing()
    {
        DiffResult diff = FlowDiff.Compare(Samples.Set(A, B), Samples.Set(B, A));
        Assert.IsEmpty(diff.Differences);
        Assert.AreEqual((2, 0), (diff.InStep, diff.Problems));
    }

    [TestMethod, TestCategory("unit")]
    public void Compare_OfMissingAndStale_NamesBoth()
    {
        CollectionAssert.AreEqual(new[] { "missing 0 -1", "stale -1 0" }, Samples.Words([A], [B]));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("cookie=1,priority=10,ip,nw_dst=10.0.0.1,actions=output:9", "divergent-action 0 0")]
    [DataRow("cookie=1,priority=10,ip,nw_dst=10.0.0.0/31,actions=output:1", "divergent-match 0 0")]
    [DataRow("cookie=1,priority=11,ip,nw_dst=10.0.0.1,actions=output:1", "divergent-priority 0 0")]
    [DataRow("cookie=9,priority=11,ip,nw_dst=10.0.0.1,actions=output:1", "divergent-priority+attribute 0 0")]
    [DataRow("cookie=9,priority=10,ip,nw_dst=10.0.0.1,actions=output:1", "divergent-attribute 0 0")]
    [DataRow("cookie=1,idle_timeout=5,priority=10,ip,nw_dst=10.0.0.1,actions=output:1", "divergent-attribute 0 0")]
    [DataRow("cookie=1,priority=10,ip,nw_dst=10.0.0.0/31,actions=output:9", "divergent-action+match 0 0")]
    [DataRow("cookie=1,table=3,priority=10,ip,nw_dst=10.0.0.1,actions=output:1", "divergent-match 0 0")]
    public void Compare_OfADivergentFlow_SaysInWhat(string actual, string expected)
    {
        CollectionAssert.AreEqual(new[] { expected }, Samples.Words([A, B], [actual, B]));
    }

    [TestMethod, TestCategory("unit")]
    public void Compare_OfDuplicates_CountsEachAndKeepsTheOneThatIsRight()
    {
        const string wrong = "cookie=1,priority=10,ip,nw_dst=10.0.0.1,actions=output:9";
        CollectionAssert.AreEqual(new[] { "duplicate 0 1" }, Samples.Words([A], [A, A]));
        CollectionAssert.AreEqual(new[] { "duplicate 0 0" }, Samples.Words([A], [wrong, A]), "the wrong one is the duplicate, though it came first");
        CollectionAssert.AreEqual(new[] { "divergent-action 0 0", "duplicate 0 1" }, Samples.Words([A], [wrong, wrong]));
        const string wide = "cookie=1,priority=10,ip,nw_dst=10.0.0.0/31,actions=output:1";
        CollectionAssert.AreEqual(new[] { "divergent-match 0 0", "duplicate -1 1" }, Samples.Words([A], [wide, wide]).Order(StringComparer.Ordinal).ToArray());
    }

    [TestMethod, TestCategory("unit")]
    public void Compare_OfMultisets_PairsAsManyAsThereAre()
    {
        CollectionAssert.AreEqual(new[] { "missing 2 -1" }, Samples.Words([A, A, A], [A, A]));
        CollectionAssert.AreEqual(new[] { "duplicate 0 2", "duplicate 0 3" }, Samples.Words([A, A], [A, A, A, A]).Select(w => w.Replace("duplicate 1", "duplicate 0", StringComparison.Ordinal)).ToArray());
    }

    [TestMethod, TestCategory("unit")]
    public void Compare_OfTwoExcessFlowsWithOneCookie_FindsBoth()
    {
        CollectionAssert.AreEqual(
            new[] { "stale -1 1", "stale -1 2" },
            Samples.Words([A], [A, "cookie=7,priority=5,ip,nw_dst=1.1.1.1,actions=drop", "cookie=7,priority=5,ip,nw_dst=2.2.2.2,actions=drop"]));
    }

    [TestMethod, TestCategory("unit")]
    public void Compare_OfASharedCookie_DoesNotPairByIt()
    {
        string[] desired = ["cookie=5,priority=1,ip,nw_dst=1.1.1.1,actions=drop", "cookie=5,priority=2,ip,nw_dst=2.2.2.2,actions=drop"];
        CollectionAssert.AreEqual(new[] { "missing 1 -1", "stale -1 1" }, Samples.Words(desired, [desired[0], "cookie=5,priority=1,ip,nw_dst=9.9.9.9,actions=drop"]));
    }

    [TestMethod, TestCategory("unit")]
    public void Compare_OfForeignFlows_TellsThemAndTheirPlaces()
    {
        DiffOptions ours = new() { Owner = new OwnerFilter(0, 0xf00) };
        string theirs = "cookie=0x100,priority=10,ip,nw_dst=10.0.0.1,actions=drop";
        DiffResult diff = FlowDiff.Compare(Samples.Set(A, B), Samples.Set(theirs, B), ours);
        CollectionAssert.AreEqual(new[] { "missing 0 0", "foreign -1 0" }, Samples.Words(diff));
        Assert.AreEqual(1, diff.Problems);
        Assert.AreEqual("a flow of another owner has its place", diff.Differences[0].Reason);
    }

    [TestMethod, TestCategory("unit")]
    public void Compare_OfHardwareStates_SaysWhatIsNotInHardware()
    {
        FlowSet desired = Samples.Set(A, B), actual = new();
        _ = actual.Add(Samples.Of(A), new FlowFacts(1, Offload: OffloadState.No));
        _ = actual.Add(Samples.Of(B), new FlowFacts(2, Offload: OffloadState.Yes));
        CollectionAssert.AreEqual(new[] { "not-offloaded 0 0" }, Samples.Words(FlowDiff.Compare(desired, actual, new DiffOptions { ExpectOffload = true })));
        Assert.IsEmpty(FlowDiff.Compare(desired, actual).Differences);
        DiffResult refused = FlowDiff.Compare(desired, Samples.Set(A), new DiffOptions { RefusalOf = flow => flow.Cookie == 2 ? "too wide" : null });
        CollectionAssert.AreEqual(new[] { "not-offloaded 1 -1" }, Samples.Words(refused));
        Assert.AreEqual("too wide", refused.Differences[0].Reason);
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("set_field:1->tp_src,set_field:2->tp_dst,output:1", "set_field:2->tp_dst,set_field:1->tp_src,output:1", true)]
    [DataRow("set_field:1->tp_src,set_field:2->tp_src,output:1", "set_field:2->tp_src,output:1", true)]
    [DataRow("set_field:1->tp_src,output:1,set_field:2->tp_dst,output:2", "set_field:2->tp_dst,output:1,set_field:1->tp_src,output:2", false)]
    [DataRow("output:1,output:2", "output:2,output:1", false)]
    [DataRow("set_field:0x10/0xf0->tun_id,set_field:0x5/0xf->tun_id,output:1", "set_field:0x15/0xff->tun_id,output:1", true)]
    [DataRow("push_vlan:0x8100,set_field:5->vlan_vid,output:1", "push_vlan:0x8100,set_field:6->vlan_vid,output:1", false)]
    public void Compare_OfActions_IsByWhatTheyDo(string one, string other, bool same)
    {
        string[] words = Samples.Words([$"udp,actions={one}"], [$"udp,actions={other}"]);
        CollectionAssert.AreEqual(same ? [] : new[] { "divergent-action 0 0" }, words);
    }

    [TestMethod, TestCategory("unit")]
    public void Compare_OfMatchesWrittenDifferently_FindsNothing()
    {
        Assert.IsEmpty(Samples.Words(
            ["ip,nw_dst=10.1.2.3/8,actions=drop", "udp,tp_dst=1024-2047,actions=drop"],
            ["ip,nw_dst=10.0.0.0/255.0.0.0,actions=drop", "udp,tp_dst=0x400/0xfc00,actions=drop"]));
    }

    [TestMethod, TestCategory("unit")]
    public void Differences_OfTheSameFlows_HaveOneOrderWhateverTheirs()
    {
        Random random = new(1);
        FlowDefinition[] flows = [.. Enumerable.Range(0, 300).Select(Samples.Numbered)];
        string[]? first = null;
        for (int run = 0; run < 5; run++)
        {
            random.Shuffle(flows);
            FlowSet desired = new();
            foreach (FlowDefinition flow in flows)
            {
                _ = desired.Add(flow);
            }

            string[] order = [.. FlowDiff.Compare(desired, new FlowSet()).Differences.Select(d => $"{desired.Definition(d.Desired).Cookie}")];
            CollectionAssert.AreEqual(first ??= order, order);
        }
    }

    [TestMethod, TestCategory("unit")]
    public void Definition_OfAnAddedFlow_IsTheSameFlow()
    {
        foreach (string line in new[] { A, "table=7,cookie=0xffffffffffffffff,idle_timeout=3,hard_timeout=4,ipv6,ipv6_src=2001:db8::/32,tp_dst=1000-2001,actions=set_field:5->tun_id,goto_table:9", "actions=drop" })
        {
            FlowSet set = Samples.Set(line);
            Assert.AreEqual(Dpu.Flows.Text.OpenFlowText.Format(Samples.Of(line)), Dpu.Flows.Text.OpenFlowText.Format(set.Definition(0)));
        }
    }

    [TestMethod, TestCategory("unit")]
    public void Compare_OfRandomSets_IsWhatComparingAllWithAllFinds()
    {
        for (int seed = 0; seed < 300; seed++)
        {
            Random random = new(seed);
            string[] Make(int count) => [.. Enumerable.Range(0, count).Select(_ => $"cookie={random.Next(4)},table={random.Next(2)},priority={random.Next(3)},ip,nw_dst=10.0.0.{random.Next(4)},actions=output:{random.Next(1, 3)}")];
            string[] desired = Make(random.Next(12)), actual = Make(random.Next(12));
            DiffResult diff = FlowDiff.Compare(Samples.Set(desired), Samples.Set(actual));

            // Equal flows pair as often as they are on both sides; every flow is told of once, or agrees.
            int equal = desired.Intersect(actual).Sum(line => Math.Min(desired.Count(d => d == line), actual.Count(a => a == line)));
            Assert.AreEqual(equal, diff.InStep, $"seed {seed}");
            int[] told = [.. diff.Differences.Where(d => d.Category != DifferenceCategory.Duplicate && d.Desired >= 0).Select(d => d.Desired)];
            Assert.AreEqual(desired.Length, told.Distinct().Count() + equal, $"seed {seed}");
            Assert.HasCount(told.Length, told.Distinct());
            int[] there = [.. diff.Differences.Where(d => d.Actual >= 0).Select(d => d.Actual)];
            Assert.AreEqual(actual.Length, there.Distinct().Count() + equal, $"seed {seed}");
            Assert.HasCount(there.Length, there.Distinct());
        }
    }
}
