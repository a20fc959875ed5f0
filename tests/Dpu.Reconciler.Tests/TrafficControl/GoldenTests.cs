using System.Buffers.Binary;
using Dpu.Flows.Classifier;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Linux;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Tests.Support;
using Dpu.Reconciler.TrafficControl;
using Dpu.TestSupport;

namespace Dpu.Reconciler.Tests.TrafficControl;

/// <summary>Filters as the real tc(8) sends them, to the byte (Golden/make.sh).</summary>
[TestClass]
public sealed class GoldenTests
{
    private const int Head = 16 + 20;

    public static IEnumerable<object[]> Requests => File.ReadAllLines(Repository.PathOf("tests/Dpu.Reconciler.Tests/TrafficControl/Golden/requests.txt"))
        .Skip(1).Chunk(3).Select(lines => new object[] { lines[0].Trim(), lines[1].Trim(), lines[2] });

    [TestMethod, TestCategory("unit")]
    [DynamicData(nameof(Requests))]
    public void Request_OfTc_IsTheFlowThatItSays(string command, string flow, string hex)
    {
        TcFilter filter = Read(hex);
        if (flow.StartsWith('!'))
        {
            Assert.AreEqual(flow[2..], filter.Problem, command);
            return;
        }

        Assert.IsNull(filter.Problem, command);
        FlowDefinition wanted = Samples.Of(flow);
        Assert.AreEqual(OpenFlowText.Format(wanted with { Actions = [] }), OpenFlowText.Format(filter.Flow with { Actions = [] }), command);
        ActionLists lists = new();
        Assert.AreEqual(lists.Of(wanted.Actions), lists.Of(filter.Flow.Actions), ActionText.Format(filter.Flow.Actions));
    }

    [TestMethod, TestCategory("unit")]
    [DynamicData(nameof(Requests))]
    public void Attributes_OfAFlow_AreThoseOfTcToTheByte(string command, string flow, string hex)
    {
        if (flow.StartsWith('!'))
        {
            return;
        }

        byte[] bytes = Convert.FromHexString(hex);
        FlowDefinition wanted = Samples.Of(flow);
        NetlinkWriter writer = new();
        Assert.IsNull(FlowerMatch.Write(writer, wanted.Match.Canonical(), untagged: false, port => port == 1 ? "lo" : null, out ushort protocol), command);
        Assert.AreEqual(Read(hex).Protocol, protocol);
        List<string> told = Attributes(Options(bytes)), ours = Attributes(writer.Written);
        string actions = told.Single(a => a.StartsWith("3 ", StringComparison.Ordinal));
        CollectionAssert.AreEquivalent(told.Where(a => a != actions && !a.StartsWith("22 ", StringComparison.Ordinal)).ToArray(), ours.ToArray(), command);

        if (command.Contains("egress mirror", StringComparison.Ordinal))
        {
            // A copy and a drop are one redirection of ours.
            return;
        }

        writer.Clear();
        Assert.IsNull(TcActions.Write(writer, linux_pkt_cls.TCA_FLOWER_ACT, wanted, port => port, 0));
        CollectionAssert.AreEqual(Actions(Convert.FromHexString(actions[2..])), Actions(Convert.FromHexString(Attributes(writer.Written).Single()[2..])), command);
    }

    [TestMethod, TestCategory("unit")]
    public unsafe void Message_CutAnywhereOrWithAnyByteChanged_IsNoFlowOrAForeignOneAndNothingIsReadPastItsEnd()
    {
        using GuardedBuffer guarded = new(4096);
        Random random = new(1);
        int flows = 0;
        foreach (object[] request in Requests)
        {
            byte[] bytes = Convert.FromHexString((string)request[2]);
            for (int length = Head; length < bytes.Length; length++)
            {
                // SAFETY: as many bytes as were asked for.
                Span<byte> body = new(guarded.Tail(length - 16), length - 16);
                bytes.AsSpan(16, length - 16).CopyTo(body);
                _ = TcFilter.Read(WithHandle(body), new TcPlace("lo"), Ports());
                body[random.Next(Math.Min(20, body.Length - 1), body.Length)] ^= (byte)(1 << random.Next(8));
                flows += TcFilter.Read(WithHandle(body), new TcPlace("lo"), Ports()) is { Problem: null } ? 1 : 0;
            }
        }

        Assert.IsGreaterThan(0, flows, "some changes leave a flow");
    }

    [TestMethod, TestCategory("unit")]
    public void Dumps_OfAKernelWithHardware_AreTheFiltersThatTcMade()
    {
        string[] lines = [.. File.ReadAllLines(Repository.PathOf("tests/Dpu.Reconciler.Tests/TrafficControl/Golden/dumps.txt")).Where(line => line[0] != '#')];
        int turn = Array.IndexOf(lines, "terse");
        TcFilter[] full = Dump(lines[..turn], terse: false), terse = Dump(lines[(turn + 1)..], terse: true);
        CollectionAssert.AreEqual(
            new[]
            {
                "cookie=0x1234, table=0, priority=65525,tcp,vlan_tci=0x0000,nw_dst=10.0.0.0/24,tp_dst=80 actions=output:3",
                "cookie=0x0, table=0, priority=65524,udp6,vlan_tci=0x7064/0xffff,tp_dst=53 actions=pop_vlan",
                "cookie=0x0, table=0, priority=65523,ip,vlan_tci=0x1007/0x1fff,inner_vlan_tci=0x1008/0x1fff actions=drop",
                "cookie=0x0, table=5, priority=65522,tcp,vlan_tci=0x0000 actions=set_field:192.0.2.9->ip_dst,set_field:8080->tp_dst,goto_table:6",
                "cookie=0x0, table=0, priority=65521,tcp,vlan_tci=0x0000,tcp_flags=+syn actions=NORMAL",
            }.Select(f => OpenFlowText.Format(Samples.Of(f))).Order(StringComparer.Ordinal).ToArray(),
            full.Where(f => f.Problem is null).Select(f => OpenFlowText.Format(f.Flow)).Order(StringComparer.Ordinal).ToArray());
        Assert.AreEqual("it has the action 'skbedit', which is not known here", full.Single(f => f.Problem is not null).Problem);
        OffloadState StateOf(TcFilter filter) => filter.FactsOf(null).Offload;
        CollectionAssert.AreEqual(
            new[] { "10 Yes", "11 Yes", "12 Yes", "13 No", "14 No", "15 Yes" }, full.OrderBy(f => f.Preference).Select(f => $"{f.Preference} {StateOf(f)}").ToArray(),
            "skip_hw, and what the driver does not match");
        TcCounters counted = full.Single(f => f.Preference == 10).Facts.Counters;
        Assert.AreEqual((1UL, 100UL, 1UL, 100UL), (counted.Packets, counted.Bytes, counted.HardwarePackets, counted.HardwareBytes), "the driver counts one packet each time that it is asked");

        CollectionAssert.AreEqual(full.Select(f => $"{f.Name:x} {f.Facts.Cookie:x} {f.Flags}").ToArray(), terse.Select(f => $"{f.Name:x} {f.Facts.Cookie:x} {f.Flags}").ToArray());
        Assert.AreEqual(2UL, terse.Single(f => f.Preference == 10).Facts.Counters.HardwarePackets);
    }

    private static TcFilter[] Dump(string[] lines, bool terse)
    {
        TcPorts ports = new(null);
        ports.Add(2, "ltc0");
        ports.Add(3, "ltc1");
        return [.. lines.Select(line => TcFilter.Read(Convert.FromHexString(line), new TcPlace("ltc0"), ports, terse)).OfType<TcFilter>()];
    }

    internal static TcPorts Ports()
    {
        TcPorts ports = new(null);
        ports.Add(1, "lo");
        return ports;
    }

    private static TcFilter Read(string hex) => TcFilter.Read(WithHandle(Convert.FromHexString(hex).AsSpan(16)), new TcPlace("lo"), Ports())!;

    // A request leaves the choice of the handle to the kernel.
    private static Span<byte> WithHandle(Span<byte> body)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(body[8..], 1);
        return body;
    }

    private static ReadOnlySpan<byte> Options(byte[] bytes)
    {
        NetlinkAttributes attributes = new(bytes.AsSpan(Head));
        while (attributes.Next())
        {
            if (attributes.Type == linux_rtnetlink.TCA_OPTIONS)
            {
                return attributes.Value;
            }
        }

        throw new AssertFailedException("tc sent no options");
    }

    private static List<string> Attributes(ReadOnlySpan<byte> bytes)
    {
        List<string> found = [];
        NetlinkAttributes attributes = new(bytes);
        while (attributes.Next())
        {
            found.Add($"{attributes.Type} {Convert.ToHexStringLower(attributes.Value)}");
        }

        Assert.IsFalse(attributes.IsBroken);
        return found;
    }

    // Kinds and options, each option as its bytes; of pedit and csum, where tc makes a key of each word as it is named, the kind alone.
    private static List<string> Actions(byte[] nest)
    {
        List<string> found = [];
        NetlinkAttributes attributes = new(nest);
        while (attributes.Next())
        {
            TcAction action = TcAction.Read(attributes.Value);
            string cookie = Convert.ToHexStringLower(action.Cookie);
            found.Add(action.Kind is "pedit" or "csum" ? action.Kind : $"{action.Kind} {string.Join(' ', Attributes(action.Options).Order(StringComparer.Ordinal))} {cookie}");
        }

        return found;
    }
}
