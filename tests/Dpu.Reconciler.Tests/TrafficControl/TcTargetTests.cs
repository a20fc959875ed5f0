using Dpu.Flows.Table;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.Tests.Repair;
using Dpu.Reconciler.Tests.Support;
using Dpu.Reconciler.TrafficControl;
using Dpu.TestSupport;

namespace Dpu.Reconciler.Tests.TrafficControl;

/// <summary>Filters of real kernels as a target.</summary>
[TestClass]
public sealed class TcTargetTests
{
    [TestMethod, TestCategory("unit")]
    public async Task InterruptedDump_IsTakenAgain()
    {
        using ReplayChannel channel = new() { Interrupted = 2 };
        byte[] request = Convert.FromHexString((string)GoldenTests.Requests.First()[2]);
        request[16 + 8] = 1;
        channel.Filters.Add(request[16..]);
        using TcTarget target = new(new TcPlace("lo"), channel);
        Assert.IsTrue(target.Read().Interrupted, "NLM_F_DUMP_INTR");
        FlowDefinition flow = Samples.Of((string)GoldenTests.Requests.First()[1]);
        PassReport pass = await FaultMatrixTests.Reconciler([flow], target).RunAsync(apply: true);
        Assert.AreEqual((0, 3), (pass.Found.Problems, channel.Dumps), "two interrupted dumps, and one that shows what is there");

        channel.Interrupted = int.MaxValue;
        TargetException failure = await Assert.ThrowsExactlyAsync<TargetException>(() => FaultMatrixTests.Reconciler([flow], target).RunAsync(apply: true));
        StringAssert.Contains(failure.Message, "changed during each of 40 dumps");
    }

    [TestMethod, TestCategory("root")]
    public void FiltersOfU32_AreForeignWithTheirCookiesAndCounters_AndErrorsSayWhy()
    {
        Requires.Root();
        using NetworkNamespace space = new();
        _ = space.Run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1");
        _ = space.Run("ip", "link", "set", "v0", "up");
        _ = space.Run("ip", "link", "set", "v1", "up");
        using TcTarget target = space.In(() => new TcTarget(new TcPlace("v0", Egress: true)));
        FlowDefinition flow = Samples.Of("tcp,nw_dst=10.0.0.1,actions=drop");
        ChangeResult result = target.Apply([new TargetChange(flow)])[0];
        Assert.AreEqual(ChangeStatus.Refused, result.Status);
        StringAssert.Contains(result.Reason, "tc qdisc add dev v0 clsact");

        _ = space.Run("tc", "qdisc", "add", "dev", "v0", "clsact");
        foreach (string cookie in (string[])["0000000000001234", "00112233445566778899aabbccddeeff"])
        {
            _ = space.Run("tc", "filter", "add", "dev", "v0", "egress", "protocol", "all", "pref", $"{cookie.Length}", "u32", "match", "u32", "0", "0", "action", "mirred", "egress", "mirror", "dev", "v0", "continue", "cookie", cookie);
        }

        // A packet that passes both filters.
        _ = space.Run("ip", "neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:09", "dev", "v0");
        _ = space.Run("ip", "addr", "add", "192.0.2.1/24", "dev", "v0");
        _ = space.Run("bash", "-c", "echo x > /dev/udp/192.0.2.2/9");
        FlowSet found = target.Read().Flows;
        Assert.AreEqual(2, found.Count);
        StringAssert.StartsWith(found.NoteOf(0)!, "u32 filter, chain 0 pref 16 handle 0x80000800: only flower");
        Assert.AreEqual((0x1234UL, 0UL), (found[0].Cookie, found[1].Cookie), "the second has the name that Open vSwitch gives");
        FlowSet named = new();
        _ = named.Add(new FlowDefinition(), new FlowFacts { Ufid = "33221100-7766-5544-bbaa-9988ffeeddcc" });
        Assert.AreEqual(named[0].Correlator, found[1].Correlator);
        Assert.IsGreaterThan(0UL, found.PacketsOf(0), "the first action counted what passed");
        Assert.IsGreaterThan(0UL, found.BytesOf(1));
        DiffResult diff = FlowDiff.Compare(new FlowSet(), found);
        Assert.AreEqual((2, 0), (diff.CountOf(DifferenceCategory.Foreign), diff.Problems));

        TargetException failure = Assert.ThrowsExactly<TargetException>(() => space.In(() => new TcTarget(new TcPlace("nowhere")).Read()));
        StringAssert.Contains(failure.Message, "there is no interface nowhere");
        result = target.Apply([new TargetChange(flow)])[0];
        Assert.AreEqual(ChangeStatus.Refused, result.Status, "this kernel may have no flower: what it says is handed on");
        Assert.AreEqual(result.Reason, target.RefusalOf(flow));
    }

    [TestMethod, TestCategory("vm")]
    public async Task FlowerInAGuest_OutOfStepInEveryWay_IsRepairedInSoftwareAndHardware()
    {
        using Guest guest = new();
        _ = guest.Run("/bin/ip link set ltc0 up; /bin/ip link set ltc1 up; /bin/tc qdisc add dev ltc0 clsact");
        Dictionary<uint, string> devices = new() { [1] = "ltc0", [2] = "ltc1" };
        using TcTarget target = new(new TcPlace("ltc0"), guest, devices);
        FlowDefinition[] desired =
        [
            .. Enumerable.Range(0, 200).Select(i => Samples.Of($"cookie={i + 1},priority={100 + (i % 16)},tcp,nw_dst=10.0.{i}.0/24,tp_dst={i + 1},actions=output:2")),
            .. GoldenTests.Requests.Select(r => (string)r[1]).Where(f => !f.StartsWith('!')).Select((f, i) => Samples.Of(f.Replace("cookie=0,", "", StringComparison.Ordinal).Replace("cookie=0x1234,", "", StringComparison.Ordinal)) with { Cookie = 0x500 + (ulong)i }),
            Samples.Of("cookie=0x600,priority=1,ip,actions=mirror:2,IN_PORT"),
            Samples.Of("cookie=0x601,table=7,priority=2,udp6,tp_src=3-9,actions=push_tunnel(type=gre,id=6,dst=192.0.2.2,src=192.0.2.1),mirror:2"),
        ];
        PassReport filled = await FaultMatrixTests.Reconciler(desired, target).RunAsync(apply: true);
        Assert.AreEqual((desired.Length, 0, 1), (filled.Counts.Added, filled.Remaining.Problems, filled.Rounds), Reasons(filled));
        Assert.AreEqual(desired.Length, Count(guest.Run("/bin/tc filter show dev ltc0 ingress"), "flower chain", "handle"), "as tc sees it");
        Assert.IsEmpty((await FaultMatrixTests.Reconciler(desired, target).RunAsync(apply: true)).Found.Differences);

        // What the kernel tells as in hardware is what its driver has.
        FlowSet there = target.Read().Flows;
        int inHardware = Enumerable.Range(0, there.Count).Count(i => there[i].Offload == OffloadState.Yes);
        Assert.AreEqual(guest.Run("cat /sys/kernel/debug/labtc_rules").Split('\n', StringSplitOptions.RemoveEmptyEntries).Length, inHardware);
        Assert.IsGreaterThan(200, inHardware);
        Assert.IsTrue(Enumerable.Range(0, there.Count).Any(i => there.PacketsOf(i) > 0), "counters of hardware" + guest.Run("/bin/tc -s filter show dev ltc0 ingress | head -80"));

        // Broken behind its back, by tc: one goes, one does something else, one is too many, two are of others.
        static int Preference(int priority) => 65535 - priority;
        _ = guest.Run("/bin/tc filter change dev ltc0 ingress protocol ip pref 11 handle 0x1 flower ip_proto icmp type 9 action drop");
        string gone = guest.Run($"/bin/tc filter show dev ltc0 ingress chain 0 pref {Preference(102)} | grep flower.*handle").Split('\n')[0];
        _ = guest.Run($"/bin/tc filter del dev ltc0 ingress protocol all pref {Preference(102)} handle {gone[(gone.IndexOf("handle ", StringComparison.Ordinal) + 7)..].Trim()} flower");
        _ = guest.Run("/bin/tc filter add dev ltc0 ingress protocol ip pref 5 flower dst_ip 203.0.113.0/24 action drop");
        _ = guest.Run("/bin/tc filter add dev ltc0 ingress protocol ip pref 6 u32 match ip dst 203.0.113.1 action drop");
        _ = guest.Run("/bin/tc filter add dev ltc0 ingress protocol ip pref 4 flower action skbedit mark 7 pipe action drop");
        PassReport pass = await FaultMatrixTests.Reconciler(desired, target).RunAsync(apply: true);
        CollectionAssert.AreEquivalent(
            new[] { "missing", "missing", "stale", "stale", "foreign", "foreign" }, pass.Found.Differences.Select(d => d.Word).ToArray(), Reasons(pass));
        Assert.AreEqual((new RepairCounts(2, 0, 2, 0), 0, 1), (pass.Counts, pass.Remaining.Problems, pass.Rounds), Reasons(pass));
        Assert.IsEmpty((await FaultMatrixTests.Reconciler(desired, target).RunAsync(apply: true)).Plan.Steps);
        Assert.AreEqual(1, Count(guest.Run("/bin/tc filter show dev ltc0 ingress pref 6"), "match cb007101", ""), "another's filter stays");

        // The same key with other actions: in its place, by its handle, at once.
        FlowDefinition[] changed = [.. desired.Select((f, i) => i < 3 ? f with { Actions = [FlowAction.Output(1)] } : f)];
        pass = await FaultMatrixTests.Reconciler(changed, target).RunAsync(apply: true);
        Assert.AreEqual((new RepairCounts(0, 3, 0, 0), 0), (pass.Counts, pass.Remaining.Problems), Reasons(pass));

        // Terse dumps see what came and went, and read what they do not know.
        using TcTarget sparing = new(new TcPlace("ltc0"), guest, devices, fullEvery: 100);
        FlowSet full = sparing.Read().Flows, terse = sparing.Read().Flows;
        Assert.IsEmpty(FlowDiff.Compare(full, terse).Differences.Where(d => d.Category != DifferenceCategory.Foreign));
        static long Packets(FlowSet flows) => Enumerable.Range(0, flows.Count).Sum(i => (long)flows.PacketsOf(i));
        Assert.IsGreaterThan(Packets(full), Packets(terse), "counters go on");
        _ = guest.Run("/bin/tc filter del dev ltc0 ingress pref 6");
        Assert.AreEqual(full.Count - 1, sparing.Read().Flows.Count);
        _ = guest.Run("/bin/tc filter add dev ltc0 ingress protocol ip pref 5 flower dst_ip 203.0.113.0/24 action drop");
        DiffResult came = FlowDiff.Compare(full, sparing.Read().Flows);
        Difference stale = came.Differences.Single(d => d.Category == DifferenceCategory.Stale);
        Assert.AreEqual(Samples.Of("priority=65530,ip,vlan_tci=0x0000,nw_dst=203.0.113.0/24,actions=drop").Match, came.Actual.Definition(stale.Actual).Match);

        // Hardware that does not take a filter says why; one that is for hardware alone is then refused, and the others are in.
        FlowDefinition flags = Samples.Of("cookie=9,priority=7,tcp,tcp_flags=+syn,actions=drop"), plain = Samples.Of("cookie=8,priority=7,udp,actions=drop");
        _ = guest.Run("/bin/tc qdisc add dev ltc1 clsact");
        using TcTarget both = new(new TcPlace("ltc1"), guest, devices);
        ReconcilerOptions offload = new() { Confirmations = 1, ExpectOffload = true };
        pass = await FaultMatrixTests.Reconciler([flags, plain], both, offload).RunAsync(apply: true);
        Assert.AreEqual((2, 1), (pass.Counts.Added, pass.Remaining.Problems));
        StringAssert.Contains(pass.Remaining.Differences[0].Reason, "TCP flags are not matched here");
        Assert.AreEqual(DifferenceCategory.NotOffloaded, pass.Remaining.Differences[0].Category);
        _ = guest.Run("/bin/tc filter del dev ltc1 ingress");
        using TcTarget hardware = new(new TcPlace("ltc1", Offload: TcOffload.HardwareOnly), guest, devices);
        pass = await FaultMatrixTests.Reconciler([flags, plain], hardware, offload).RunAsync(apply: true);
        Assert.AreEqual((1, 1, DifferenceCategory.NotOffloaded), (pass.Counts.Added, pass.Remaining.Problems, pass.Remaining.Differences[0].Category));
        StringAssert.Contains(pass.Remaining.Differences[0].Reason, "hardware refused it: labtc: TCP flags are not matched here");

        // A full table of hardware.
        _ = guest.Run("echo 0 > /sys/module/labtc/parameters/max_rules");
        Assert.AreEqual(ChangeStatus.Full, hardware.Apply([new TargetChange(plain with { Priority = 9 })])[0].Status);
    }

    private static int Count(string text, string one, string other) => text.Split('\n').Count(line => line.Contains(one, StringComparison.Ordinal) && line.Contains(other, StringComparison.Ordinal));

    private static string Reasons(PassReport pass) => string.Join('\n', pass.Remaining.Differences.Concat(pass.Found.Differences).Take(12).Select(d => $"{d.Word}: {d.Reason} {(d.Desired >= 0 ? Dpu.Flows.Text.OpenFlowText.Format(pass.Found.Desired.Definition(d.Desired)) : "")}"));
}
