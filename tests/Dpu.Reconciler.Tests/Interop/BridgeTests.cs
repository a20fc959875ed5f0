using Dpu.Flows.Table;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.Tests.Repair;
using Dpu.Reconciler.Tests.Support;
using Dpu.TestSupport;

namespace Dpu.Reconciler.Tests.Interop;

/// <summary>A real ovs-vswitchd's OpenFlow tables as a target.</summary>
[TestClass]
public sealed class BridgeTests
{
    [TestMethod, TestCategory("interop")]
    public async Task Bridge_OutOfStepInEveryWay_IsRepairedAndAgreesWithOvsItself()
    {
        using VirtualSwitch ovs = new();
        BridgeTarget target = new(ovs.Address);
        FlowDefinition[] desired =
        [
            .. Enumerable.Range(0, 300).Select(Samples.Numbered),
            Samples.Of("cookie=0x900,table=1,priority=7,ipv6,ipv6_src=2001:db8::/32,actions=set_field:5->tun_id,goto_table:2"),
            Samples.Of("cookie=0x901,table=2,priority=8,idle_timeout=3000,tcp,dl_vlan=7,tp_dst=80,tcp_flags=+syn-ack,actions=pop_vlan,output:3"),
        ];
        PassReport filled = await FaultMatrixTests.Reconciler(desired, target).RunAsync(apply: true);
        Assert.AreEqual((desired.Length, 0, 1), (filled.Counts.Added, filled.Remaining.Problems, filled.Rounds));

        _ = ovs.OpenFlow("del-flows", "--strict", "priority=103,ip,in_port=4");
        _ = ovs.OpenFlow("mod-flows", "--strict", "priority=104,ip,in_port=5,actions=output:77");
        _ = ovs.OpenFlow("add-flow", "cookie=0x5000,priority=1,arp,actions=drop");
        _ = ovs.OpenFlow("add-flow", "cookie=0x777,priority=101,ip,in_port=2,actions=output:1001");
        _ = ovs.OpenFlow("del-flows", "--strict", "priority=102,ip,in_port=3");
        _ = ovs.OpenFlow("add-flow", "cookie=3,priority=50,ip,in_port=3,actions=output:1002");
        PassReport pass = await FaultMatrixTests.Reconciler(desired, target).RunAsync(apply: true);
        CollectionAssert.AreEquivalent(
            new[] { "missing", "divergent-action", "stale", "divergent-attribute", "divergent-priority" }, pass.Found.Differences.Select(d => d.Word).ToArray());
        Assert.AreEqual((0, 1, desired.Length), (pass.Remaining.Problems, pass.Rounds, pass.Remaining.InStep));
        Assert.AreEqual(new RepairCounts(2, 2, 2, 0), pass.Counts);
        Assert.IsEmpty((await FaultMatrixTests.Reconciler(desired, target).RunAsync(apply: true)).Plan.Steps);
        Assert.Contains("flow_count=302", ovs.OpenFlow("dump-aggregate"));
    }

    [TestMethod, TestCategory("interop")]
    public async Task FlowThatOvsRefuses_IsNotOffloadedWithItsReasonAndTheOthersAreIn()
    {
        using VirtualSwitch ovs = new();
        BridgeTarget target = new(ovs.Address);
        FlowDefinition[] desired =
        [
            Samples.Numbered(1),
            Samples.Of("cookie=7,udp,actions=meter:99,output:1"),
            Samples.Of("cookie=8,udp,tp_dst=10-20,actions=output:1"),
        ];
        PassReport pass = await FaultMatrixTests.Reconciler(desired, target).RunAsync(apply: true);
        Assert.AreEqual((1, 2), (pass.Counts.Added, pass.Remaining.Problems));
        Assert.Contains("flow_count=1", ovs.OpenFlow("dump-aggregate"));
    }

    [TestMethod, TestCategory("interop")]
    public void BridgeThatIsNotThere_SaysWhatFailed()
    {
        TargetException failure = Assert.ThrowsExactly<TargetException>(() => new BridgeTarget("unix:/nowhere").Read());
        StringAssert.Contains(failure.Message, "dump-flows unix:/nowhere failed");
        failure = Assert.ThrowsExactly<TargetException>(() => new BridgeTarget("br0", "ovs-ofctl-that-is-not-there").Read());
        StringAssert.Contains(failure.Message, "openvswitch-common");
    }

    [TestMethod, TestCategory("interop")]
    public void DataPathDump_OfARealSwitch_ReadsAndComparesWithItself()
    {
        using VirtualSwitch ovs = new();
        _ = ovs.Control("dpctl/add-dp", "dummy@dp0");
        _ = ovs.Control("dpctl/add-if", "dummy@dp0", "q1,type=dummy,port_no=1");
        for (int i = 0; i < 20; i++)
        {
            _ = ovs.Control("dpctl/add-flow", "dummy@dp0", $"in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.{i},dst=10.0.0.1,proto=6,tos=0,ttl=64,frag=no),tcp(src={i},dst=80)", i % 2 == 0 ? "1" : "drop");
        }

        FlowSet Read()
        {
            FlowFileReader reader = new(name => name == "q1" ? 1u : null);
            using MemoryStream text = new(System.Text.Encoding.UTF8.GetBytes(ovs.Control("dpctl/dump-flows", "-m", "dummy@dp0")));
            reader.Read(text);
            Assert.AreEqual(0, reader.Unreadable, string.Join('\n', reader.Problems));
            return reader.Flows;
        }

        FlowSet before = Read();
        Assert.AreEqual(20, before.Count);
        Assert.IsEmpty(Dpu.Reconciler.Diff.FlowDiff.Compare(before, new DataPathTarget(ovs.ControlSocket, "dummy@dp0").Read().Flows).Differences, "the same through the control socket");
        StringAssert.Contains(Assert.ThrowsExactly<TargetException>(() => new DataPathTarget(ovs.ControlSocket, "dummy@nowhere").Read()).Message, "dpctl/dump-flows: ");
        StringAssert.Contains(Assert.ThrowsExactly<TargetException>(() => new DataPathTarget("/nowhere").Read()).Message, "through /nowhere failed");
        Assert.IsEmpty(Dpu.Reconciler.Diff.FlowDiff.Compare(before, Read()).Differences);

        // Divergence by dpctl, as a wrong megaflow has it.
        _ = ovs.Control("dpctl/mod-flow", "dummy@dp0", "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.4,dst=10.0.0.1,proto=6,tos=0,ttl=64,frag=no),tcp(src=4,dst=80)", "drop");
        _ = ovs.Control("dpctl/del-flow", "dummy@dp0", "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.5,dst=10.0.0.1,proto=6,tos=0,ttl=64,frag=no),tcp(src=5,dst=80)");
        CollectionAssert.AreEquivalent(new[] { "divergent-action", "missing" }, Dpu.Reconciler.Diff.FlowDiff.Compare(before, Read()).Differences.Select(d => d.Word).ToArray());
    }
}
