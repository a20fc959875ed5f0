using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Nic;
using Dpu.Flows.Table;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.Tests.Support;

namespace Dpu.Reconciler.Tests.Repair;

/// <summary>
/// Packets through the emulated NIC while it is repaired, after each single change: each fares as before the repair or as it
/// should, and one that fared right goes on doing so.
/// </summary>
[TestClass]
public sealed class ForwardingTests
{
    private const int Seeds = 150;

    [TestMethod, TestCategory("unit")]
    public async Task Repair_OfOverlappingFlows_MisforwardsNoPacket()
    {
        long packets = 0;
        for (int seed = 0; seed < Seeds; seed++)
        {
            Scene scene = new(seed, spare: 1000);
            PassReport pass = await scene.Reconciler(new ReconcilerOptions { BatchSize = 1, Force = true }).RunAsync(apply: true);
            Assert.AreEqual(0, pass.Remaining.Problems, $"seed {seed}");
            Assert.IsTrue(pass.Found.Problems > 5, "there was something to repair");
            Assert.AreEqual(0, scene.Wrong, $"seed {seed}: {scene.First}");
            Assert.IsTrue(scene.IsAsDesired());
            packets += scene.Packets;
        }

        Assert.IsTrue(packets > 100_000, $"{packets}");
    }

    [TestMethod, TestCategory("unit")]
    public async Task Repair_InterruptedAfterAnyChange_OpensNoHoleAndIsFinishedByTheNextPass()
    {
        for (int seed = 0; seed < 20; seed++)
        {
            int changes = 0;
            for (int stop = 0; stop == 0 || stop < changes; stop++)
            {
                Scene scene = new(seed, spare: 1000);
                ReconcilerOptions options = new() { BatchSize = 1, Force = true };
                if (stop == 0)
                {
                    _ = await scene.Reconciler(options).RunAsync(apply: true);
                    changes = scene.Target.Batches;
                    continue;
                }

                scene.Target.Left = stop;
                await Assert.ThrowsExactlyAsync<TargetException>(() => scene.Reconciler(options).RunAsync(apply: true));
                scene.Target.Left = int.MaxValue;
                PassReport pass = await scene.Reconciler(options).RunAsync(apply: true);
                Assert.AreEqual(0, pass.Remaining.Problems, $"seed {seed}, stopped after {stop}");
                Assert.AreEqual(0, scene.Wrong, $"seed {seed}, stopped after {stop}: {scene.First}");
            }
        }
    }

    [TestMethod, TestCategory("unit")]
    public async Task Repair_WithLittleRoom_MisforwardsNoPacketOrSaysThatItMust()
    {
        int interleaved = 0, repaired = 0;
        for (int seed = 0; seed < Seeds; seed++)
        {
            Scene scene = new(seed, spare: 8);
            PassReport pass = await scene.Reconciler(new ReconcilerOptions { BatchSize = 1, Force = true }).RunAsync(apply: true);
            interleaved += pass.Plan.IsInterleaved ? 1 : 0;
            if (pass.Refused is not null)
            {
                // It is said beforehand, and nothing is done.
                Assert.IsTrue(pass.Plan.Gaps > 0 && scene.Packets == 0);
                continue;
            }

            repaired += pass.Plan.IsInterleaved ? 1 : 0;
            Assert.AreEqual(0, scene.Wrong, $"seed {seed}: {scene.First}");
            Assert.AreEqual(0, pass.Remaining.Problems);
        }

        Assert.IsTrue(interleaved > Seeds / 2 && repaired > 0, $"{interleaved} had too little room, {repaired} of them were repaired");
    }

    [TestMethod, TestCategory("unit")]
    public async Task FullTable_WithDivergentFlows_NeedsLeaveForAGap()
    {
        FlowDefinition[] flows = [.. Enumerable.Range(0, 10).Select(Samples.Numbered)];
        EmulatedNic nic = new(flows.Length, new NicFaults { Seed = 3, CorruptAction = 0.5 });
        NicTarget target = new(nic);
        _ = target.Apply([.. flows.Select(f => new TargetChange(f))]);
        nic.Faults = NicFaults.None;
        PassReport pass = await FaultMatrixTests.Reconciler(flows, target).RunAsync(apply: true);
        int divergent = pass.Found.Problems;
        Assert.IsTrue(divergent > 1);
        Assert.AreEqual(divergent, pass.Plan.Gaps);
        StringAssert.Contains(pass.Refused, "--allow-gap");
        Assert.AreEqual((default, divergent), (pass.Counts, pass.Remaining.Problems));

        PassReport allowed = await FaultMatrixTests.Reconciler(flows, target, new ReconcilerOptions { AllowGap = true }).RunAsync(apply: true);
        Assert.AreEqual((0, divergent, divergent), (allowed.Remaining.Problems, allowed.Counts.Added, allowed.Counts.Deleted));
    }

    // Desired flows with wide and narrow matches, and a NIC that has some of them, some wrongly, and others besides.
    private sealed class Scene
    {
        private readonly FlowDefinition[] _desired;
        private readonly EmulatedNic.Port _port;
        private readonly FlowKey[] _probes;
        private readonly (PacketVerdict, uint)[] _before;
        private readonly (PacketVerdict, uint)[] _wanted;

        internal Scene(int seed, int spare)
        {
            Random random = new(seed);
            Queue<ushort> priorities = new(Enumerable.Range(1, 200).Select(i => (ushort)i).OrderBy(_ => random.Next()));
            FlowDefinition Make(int number) => new() { Cookie = (ulong)number, Priority = priorities.Dequeue(), Match = MatchOf(random), Actions = [FlowAction.Output((uint)random.Next(1, 6))] };
            _desired = [.. Enumerable.Range(1, 30).Select(Make)];
            FlowDefinition[] there =
            [
                .. _desired.Select(flow => random.Next(5) switch
                {
                    0 => null,
                    1 => flow with { Actions = [FlowAction.Output(9)] },
                    2 => flow with { Match = MatchOf(random) },
                    _ => flow,
                }).OfType<FlowDefinition>(),
                .. Enumerable.Range(100, 10).Select(Make),
            ];
            EmulatedNic nic = new(there.Length + spare), clean = new(_desired.Length);
            Install(nic, there);
            Install(clean, _desired);
            Target = new SteppingTarget(new NicTarget(nic), Look);
            _probes = [.. Enumerable.Range(0, 120).Select(_ => new FlowKey { InPort = (uint)random.Next(1, 5), EthType = 0x0800, IpDst = new Address128(0x0a000000u | (uint)random.Next(16)), TpDst = (ushort)random.Next(4) })];
            _port = nic.CreatePort();
            using EmulatedNic.Port right = clean.CreatePort();
            _wanted = [.. _probes.Select(p => Send(right, p))];
            _before = [.. _probes.Select(p => Send(_port, p))];
        }

        internal SteppingTarget Target { get; }

        internal int Wrong { get; private set; }

        internal string First { get; private set; } = "";

        internal long Packets { get; private set; }

        internal FlowReconciler Reconciler(ReconcilerOptions options) => FaultMatrixTests.Reconciler(_desired, Target, options);

        internal bool IsAsDesired() => _probes.Select(p => Send(_port, p)).SequenceEqual(_wanted);

        private static void Install(EmulatedNic nic, FlowDefinition[] flows) =>
            Assert.IsTrue(new NicTarget(nic).Apply([.. flows.Select(f => new TargetChange(f))]).All(r => r.Status == ChangeStatus.Done));

        private static FlowMatch MatchOf(Random random)
        {
            FlowMatch match = FlowMatch.Any;
            (match.Key.EthType, match.Mask.Bits.EthType) = (0x0800, 0xffff);
            if (random.Next(2) == 0)
            {
                (match.Key.InPort, match.Mask.Bits.InPort) = ((uint)random.Next(1, 5), uint.MaxValue);
            }

            int length = random.Next(28, 33);
            match.Key.IpDst.Word0 = 0x0a000000u | (uint)random.Next(16);
            match.Mask.Bits.IpDst = Address128.Prefix(length);
            if (random.Next(3) == 0)
            {
                (match.Key.TpDst, match.Mask.Bits.TpDst) = ((ushort)random.Next(4), ushort.MaxValue);
            }

            return match.Canonical();
        }

        private static (PacketVerdict, uint) Send(EmulatedNic.Port port, FlowKey key)
        {
            uint[] outputs = new uint[4];
            PacketVerdict verdict = port.Process(ref key, 64, outputs, out _);
            return (verdict, outputs[0]);
        }

        private void Look()
        {
            for (int i = 0; i < _probes.Length; i++)
            {
                (PacketVerdict, uint) now = Send(_port, _probes[i]);
                Packets++;
                bool wasRight = _before[i] == _wanted[i];
                if (now != _wanted[i] && (wasRight || now != _before[i]))
                {
                    Wrong++;
                    First = First.Length > 0 ? First : $"packet {i}: {_before[i]}, then {now}, should be {_wanted[i]}";
                }
            }
        }
    }
}
