using System.Globalization;
using System.Text.RegularExpressions;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.Tests.Support;
using Dpu.TestSupport;

namespace Dpu.Reconciler.Tests.Interop;

/// <summary>Megaflows of a real ovs-vswitchd that are not what its OpenFlow tables ask for: ghosts that no revalidator takes, and wrong actions that none sees.</summary>
[TestClass]
public sealed class MegaflowTests
{
    private const int Rules = 40;
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(20);

    [TestMethod, TestCategory("interop")]
    public async Task GhostsOfPausedRevalidatorsAndWrongActions_AreFoundClassifiedAndRepairedInOnePass()
    {
        using VirtualSwitch ovs = new();
        Prepare(ovs);
        DataPathTarget target = new(ovs.ControlSocket);
        FlowSet truth = Fill(ovs, target);
        for (int seed = 0; seed < 8; seed++)
        {
            Random random = new(seed);
            int[] order = [.. Enumerable.Range(0, Rules)];
            random.Shuffle(order);
            int[] ghosts = [.. order.Take(random.Next(1, 8))], wrong = [.. order.Skip(ghosts.Length).Take(random.Next(1, 8))];
            MemoryTarget desired = new(Without(truth, ghosts), "what should be", timeouts: false);
            Ask(ovs, "revalidator/pause");
            foreach (int rule in ghosts)
            {
                _ = ovs.OpenFlow("del-flows", "--strict", $"priority=100,{MatchOf(rule)}");
            }

            wrong.ToList().ForEach(rule => Ask(ovs, "dpctl/mod-flow", KeyOf(rule), random.Next(2) == 0 ? "drop" : "1"));

            // Nothing but what was broken, each by its name.
            PassReport found = await Reconciler(desired, target).RunAsync(apply: false);
            AssertFound(found.Found, ghosts, wrong, seed);
            if (seed % 2 == 0)
            {
                PassReport repaired = await Reconciler(desired, target).RunAsync(apply: true);
                Assert.AreEqual((new RepairCounts(0, wrong.Length, ghosts.Length, 0), 0, 1), (repaired.Counts, repaired.Remaining.Problems, repaired.Rounds), $"seed {seed}");
                Assert.IsEmpty((await Reconciler(desired, target).RunAsync(apply: true)).Plan.Steps, "a second pass finds nothing");

                // A ghost's packet asks the tables again, which have nothing for it; one of a rule that is there leaves as before.
                ulong left = Sent(ovs, ghosts[0]);
                Send(ovs, ghosts[0]);
                Send(ovs, order.Skip(ghosts.Length + wrong.Length).First(rule => PortOf(rule) == PortOf(ghosts[0])));
                Eventually.True(() => Sent(ovs, ghosts[0]) > left, _limit, "a packet left");
                Assert.AreEqual(left + 1, Sent(ovs, ghosts[0]), "and the ghost's did not");
            }

            Ask(ovs, "revalidator/resume");
            Ask(ovs, "revalidator/wait");
            if (seed % 2 != 0)
            {
                // Ghosts go by themselves now. Wrong actions stay: revalidators compare with what they believe, and never with what the data path does.
                Assert.AreEqual("drop", DoingOf(target, ghosts[0]), "the ghost is gone");
                DiffResult after = FlowDiff.Compare(desired.Read().Flows, target.Read().Flows, new DiffOptions { CompareCookies = false, CompareTimeouts = false });
                Assert.AreEqual(wrong.Length, after.Differences.Count(d => d.Word == "divergent-action"), $"seed {seed}");
            }

            Ask(ovs, "revalidator/purge");
            ghosts.ToList().ForEach(rule => AddRule(ovs, rule));
            truth = Fill(ovs, target);
        }
    }

    [TestMethod, TestCategory("interop")]
    public void MegaflowThatChangedSinceItWasRead_IsNotTouched_AndNoneIsAdded()
    {
        using VirtualSwitch ovs = new();
        Prepare(ovs);
        DataPathTarget target = new(ovs.ControlSocket);
        FlowSet flows = Fill(ovs, target);
        Ask(ovs, "dpctl/mod-flow", KeyOf(3), "1");
        int number = Enumerable.Range(0, flows.Count).Single(i => RuleOf(flows.Definition(i)) == 3);
        TargetChange delete = new(null, flows.HandleOf(number), flows.Definition(number));
        Assert.AreEqual(ChangeStatus.Gone, target.Apply([delete])[0].Status);
        Assert.AreEqual("output:1", DoingOf(target, 3), "it is there still");
        Assert.AreEqual(ChangeStatus.Done, target.Apply([delete with { Definition = null }])[0].Status);
        Assert.AreEqual((ChangeStatus.Gone, null), (target.Apply([delete])[0].Status, target.Find(delete.Handle)), "it went");
        ChangeResult added = target.Apply([new TargetChange(Samples.Of("ip,actions=output:1"))])[0];
        Assert.AreEqual(ChangeStatus.Refused, added.Status);
        Assert.Contains("with its next packet", added.Reason);
        int other = Enumerable.Range(0, flows.Count).Single(i => RuleOf(flows.Definition(i)) == 4);
        ChangeResult strange = target.Apply([new TargetChange(flows.Definition(other) with { Actions = [FlowAction.Goto(3)] }, flows.HandleOf(other), flows.Definition(other))])[0];
        Assert.AreEqual(ChangeStatus.Refused, strange.Status);
        Assert.Contains("revalidator/purge", strange.Reason);
    }

    private static void AssertFound(DiffResult found, int[] ghosts, int[] wrong, int seed)
    {
        CollectionAssert.AreEquivalent(ghosts, found.Differences.Where(d => d.Word == "stale").Select(d => RuleOf(found.Actual.Definition(d.Actual))).ToArray(), $"seed {seed}");
        CollectionAssert.AreEquivalent(wrong, found.Differences.Where(d => d.Word == "divergent-action").Select(d => RuleOf(found.Actual.Definition(d.Actual))).ToArray(), $"seed {seed}");
        Assert.HasCount(ghosts.Length + wrong.Length, found.Differences, $"seed {seed}");
    }

    private static FlowReconciler Reconciler(IFlowTarget desired, IFlowTarget target) => new(desired, target, new ReconcilerOptions { Confirmations = 2, ConfirmAfter = TimeSpan.FromMilliseconds(1) });

    // Ports that nothing leaves by, rules whose every packet has a megaflow of its own, and time for them to stay.
    private static void Prepare(VirtualSwitch ovs)
    {
        _ = ovs.Configure([.. Enumerable.Range(1, 3).SelectMany(port => (string[])["--", "add-port", "br0", $"p{port}", "--", "set", "interface", $"p{port}", "type=dummy", $"ofport_request={port}"]), "--", "set", "Open_vSwitch", ".", "other_config:max-idle=600000"]);
        Enumerable.Range(0, Rules).ToList().ForEach(rule => AddRule(ovs, rule));
    }

    // Every fourth changes the packet, so that its megaflow has a "set".
    private static void AddRule(VirtualSwitch ovs, int rule) => _ = ovs.OpenFlow("add-flow", $"priority=100,{MatchOf(rule)},actions={(rule % 4 == 0 ? "mod_nw_ttl:9," : "")}output:{PortOf(rule)}");

    private static string MatchOf(int rule) => $"ip,in_port=1,nw_dst=10.0.{rule}.0/24";

    private static string KeyOf(int rule) => $"recirc_id(0),in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.9.0.2,dst=10.0.{rule}.1,proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=10)";

    private static void Send(VirtualSwitch ovs, int rule) => Ask(ovs, "netdev-dummy/receive", "p1", KeyOf(rule)["recirc_id(0),".Length..]);

    // A packet for each rule; the data path's flows when all are there as the rules have them.
    private static FlowSet Fill(VirtualSwitch ovs, DataPathTarget target)
    {
        Enumerable.Range(0, Rules).ToList().ForEach(rule => Send(ovs, rule));
        FlowSet flows = new();
        Eventually.True(
            () => (flows = target.Read().Flows).Count == Rules
                && Enumerable.Range(0, Rules).All(i => flows.Definition(i) is var flow && ActionText.Format(flow.Actions).EndsWith($"output:{PortOf(RuleOf(flow))}", StringComparison.Ordinal)),
            _limit, "each packet has its megaflow");
        return flows;
    }

    private static FlowSet Without(FlowSet flows, int[] rules)
    {
        FlowSet left = new();
        foreach (FlowDefinition flow in Enumerable.Range(0, flows.Count).Select(flows.Definition).Where(flow => !rules.Contains(RuleOf(flow))))
        {
            _ = left.Add(flow);
        }

        return left;
    }

    private static string? DoingOf(DataPathTarget target, int rule)
    {
        FlowSet flows = target.Read().Flows;
        return Enumerable.Range(0, flows.Count).Select(flows.Definition).Where(flow => RuleOf(flow) == rule).Select(flow => ActionText.Format(flow.Actions)).SingleOrDefault();
    }

    private static int PortOf(int rule) => 2 + (rule % 2);

    // Packets that left by a rule's port.
    private static ulong Sent(VirtualSwitch ovs, int rule)
    {
        string ports = ovs.OpenFlow("dump-ports", $"{PortOf(rule)}");
        return ulong.Parse(Regex.Match(ports, "tx pkts=([0-9]+)").Groups[1].Value, CultureInfo.InvariantCulture);
    }

    private static int RuleOf(FlowDefinition flow) => (int)((flow.Match.Key.IpDst.Word0 >> 8) & 0xff);

    private static void Ask(VirtualSwitch ovs, string method, params string[] arguments) => _ = UnixControl.Ask(ovs.ControlSocket, method, arguments, _limit);
}
