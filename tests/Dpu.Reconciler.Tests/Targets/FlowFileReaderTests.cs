using System.Text;
using Dpu.Flows.Text;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.Tests.Targets;

/// <summary>Dumps as text: the quick way reads what the general one does, and nothing is left out silently.</summary>
[TestClass]
public sealed class FlowFileReaderTests
{
    private static readonly string[] _values =
    [
        "ip", "tcp", "udp", "icmp", "arp", "tcp6", "in_port=7", "in_port=0x1f", "nw_src=10.0.0.1", "nw_dst=10.1.2.3/8", "nw_dst=10.1.2.3/255.0.255.0", "nw_src=1.2.3.4/0",
        "nw_src=010.0.0.1", "nw_src=1.2.3", "nw_dst=300.1.1.1", "nw_proto=17", "nw_proto=300", "tp_src=80", "tp_dst=0x50", "tp_dst=70000", "tp_dst=10-20", "dl_src=02:00:00:00:00:01",
        "dl_dst=02:00:00:00:00:01/ff:00:00:00:00:00", "dl_type=0x88cc", "dl_vlan=5", "cookie=0x12", "cookie=99", "duration=1.5s", "table=3", "table=254", "priority=7", "priority=65536", "n_packets=5",
        "n_bytes=600", "idle_timeout=9", "hard_timeout=10", "idle_age=4", "hard_age=4", "send_flow_rem", "foo=1", "ct_state=+trk", "tun_id=5", "metadata", "nw_src=", "in_port=-1", "in_port=+1",
    ];

    private static readonly string[] _actions = ["drop", "output:2", "output:2,output:3", "set_field:1.2.3.4->ip_dst,output:1", "resubmit(,1)", "goto_table:5", "", "output:x", "mod_nw_ttl:3,output:4"];

    [TestMethod, TestCategory("unit")]
    public void Lines_OfAnyFields_AreReadAsByTheGeneralReader()
    {
        Random random = new(7);
        int quick = 0;
        for (int i = 0; i < 20_000; i++)
        {
            string separator = random.Next(2) == 0 ? "," : ", ";
            string line = string.Join(separator, Enumerable.Range(0, random.Next(1, 7)).Select(_ => _values[random.Next(_values.Length)])) + (random.Next(3) == 0 ? "," : " ") + "actions=" + _actions[random.Next(_actions.Length)];
            FlowSet general = new();
            string? problem = null;
            try
            {
                ParsedFlow flow = new FlowTextReader(FlowTextForm.OpenFlow).Read(line)!;
                _ = general.Add(flow.Definition, new FlowFacts(0, flow.Packets, flow.Bytes));
            }
            catch (FlowTextException e)
            {
                // Expected: many of these are no flows.
                problem = e.Message;
            }

            FlowFileReader reader = new();
            reader.ReadLine(line);
            Assert.AreEqual(problem is null ? 1 : 0, reader.Flows.Count, $"{line}: {problem}");
            if (problem is null)
            {
                Assert.AreEqual(OpenFlowText.Format(general.Definition(0)), OpenFlowText.Format(reader.Flows.Definition(0)), line);
                Assert.AreEqual((general.PacketsOf(0), general.BytesOf(0)), (reader.Flows.PacketsOf(0), reader.Flows.BytesOf(0)), line);
                Assert.IsEmpty(FlowDiff.Compare(general, reader.Flows).Differences, line);
                quick += new OpenFlowLine(new FlowSet()).TryAdd(Encoding.ASCII.GetBytes(line)) ? 1 : 0;
            }
        }

        Assert.IsTrue(quick > 500, $"{quick} lines went the quick way");
    }

    private static readonly string[] _parts =
    [
        "skb_priority(0/0)", "skb_mark(0/0)", "skb_mark(0x5)", "ct_state(0/0)", "ct_state(+trk)", "ct_zone(0/0)", "ct_mark(0x0/0x0)", "ct_label(0/0)", "recirc_id(0)", "recirc_id(0x1f)", "dp_hash(0/0)",
        "in_port(1)", "in_port(p1)", "in_port(0x7)", "packet_type(ns=0,id=0)", "eth()", "eth(src=02:00:00:00:00:01/00:00:00:00:00:00,dst=02:00:00:00:00:02)", "eth(dst=02:00:00:00:00:02/ff:00:00:00:00:00)",
        "eth_type(0x0800)", "eth_type(0x8100)", "eth_type(2048)", "eth_type(0x0800/0xffff)", "vlan(vid=5,pcp=1)", "ipv4(src=10.0.0.1/0.0.0.0,dst=10.1.2.3/255.255.0.0,proto=6,tos=0/0,ttl=64/0,frag=no)",
        "ipv4(frag=later,proto=17/0x11,tos=0x20/0xfc,ttl=63)", "ipv4(frag=first)", "ipv4(frag=yes)", "ipv4(src=10.0.0.300)", "ipv4(proto=300)", "ipv4(src=1.2.3.4/8,dst=1.2.3.4/33)", "ipv4()", "ipv6(src=::1)",
        "tcp(src=8/0,dst=10)", "tcp(dst=10/0xff00)", "udp(src=70000)", "sctp(dst=5)", "icmp(type=8,code=0)", "icmp(src=1)", "tcp_flags(0/0)", "tcp_flags(syn)", "tunnel(tun_id=0x5)", "arp(op=1)", "foo(1)",
    ];

    private static readonly string[] _attributes =
        ["packets:5", "bytes:600", "used:never", "used:0.5s", "flags:S.", "offloaded:yes", "offloaded:partial", "offloaded:no", "dp:ovs", "dp:tc", "packets:x", "strange:1", "packet_type:1"];

    private static readonly string[] _does =
        ["drop", "2", "2,3", "p1", "set(ipv4(dst=1.2.3.4,ttl=63)),1", "set(eth(src=02:00:00:00:00:09)),4", "push_vlan(vid=5,pcp=1),2", "ct(commit),2", "", "meter(3),1", "2, dp-extra-info:miniflow_bits(4,1)", "2, dp-extra-info:x, packets:9", "pop_vlan,3, dp-extra-info:y"];

    [TestMethod, TestCategory("unit")]
    public void LinesOfDataPaths_OfAnyParts_AreReadAsByTheGeneralReader()
    {
        Random random = new(11);
        int quick = 0, unreadable = 0;
        static uint? Port(string name) => name == "p1" ? 9u : null;
        for (int i = 0; i < 30_000; i++)
        {
            string ufid = random.Next(4) switch { 0 => "", 1 => "ufid:0a, ", _ => $"ufid:{Ufid.Format(new UInt128((ulong)random.NextInt64(), (ulong)random.NextInt64()))}, " };
            string keys = "recirc_id(0)," + string.Join(',', Enumerable.Range(0, random.Next(0, 6)).Select(_ => _parts[random.Next(random.Next(3) == 0 ? _parts.Length : 24)]));
            string line = $"{ufid}{keys}, {string.Join(", ", Enumerable.Range(0, random.Next(1, 5)).Select(_ => _attributes[random.Next(random.Next(4) == 0 ? _attributes.Length : 10)]))}, actions:{_does[random.Next(_does.Length)]}";
            FlowSet general = new();
            string? problem = null;
            ParsedFlow? flow = null;
            try
            {
                flow = new FlowTextReader(FlowTextForm.DataPath, Port).Read(line)!;
                _ = general.Add(flow.Definition, new FlowFacts(0, flow.Packets, flow.Bytes, Offload: flow.Offloaded switch { "yes" => OffloadState.Yes, "partial" => OffloadState.Partial, _ => flow.Ufid is null ? OffloadState.Unknown : OffloadState.No }, flow.Ufid));
            }
            catch (FlowTextException e)
            {
                // Expected: many of these cannot be kept.
                (problem, unreadable) = (e.Message, unreadable + 1);
            }

            FlowFileReader reader = new(Port, named: true);
            reader.ReadLine(line);
            Assert.AreEqual(problem is null ? 1 : 0, reader.Flows.Count, $"{line}: {problem}");
            if (problem is null)
            {
                Assert.AreEqual(OpenFlowText.Format(general.Definition(0)), OpenFlowText.Format(reader.Flows.Definition(0)), line);
                Assert.AreEqual((general.PacketsOf(0), general.BytesOf(0), general.OffloadOf(0), general[0].Correlator, general[0].Flags), (reader.Flows.PacketsOf(0), reader.Flows.BytesOf(0), reader.Flows.OffloadOf(0), reader.Flows[0].Correlator, reader.Flows[0].Flags), line);
                Assert.AreEqual(flow!.Ufid is { Length: > 4 } name && Ufid.TryParse(name, out UInt128 number) && reader.Ufids[reader.Flows.HandleOf(0)] == number, reader.Flows.HandleOf(0) != 0, line);
                quick += new DatapathLine(new FlowSet(), new UfidSet(), Port).TryAdd(Encoding.ASCII.GetBytes(line), out _) == LineResult.Added ? 1 : 0;

                // The same ufid from another thread comes once, whichever way either is read.
                reader.ReadLine(line);
                Assert.AreEqual(flow.Ufid is null ? 2 : 1, reader.Flows.Count, line);
            }
        }

        Assert.IsTrue(quick > 2000 && unreadable > 2000, $"{quick} lines went the quick way, {unreadable} are none");
    }

    [TestMethod, TestCategory("unit")]
    public void Read_OfAllForms_WithHeadersAndPmds_HasEachFlowOnce()
    {
        const string text =
            """
            NXST_FLOW reply (xid=0x4):
             cookie=0x1, duration=5.1s, table=0, n_packets=3, n_bytes=180, idle_age=5, priority=100,ip,in_port=1,nw_dst=10.0.0.0/8 actions=output:2
            flow-dump from pmd on cpu core: 1
            ufid:0a, recirc_id(0),in_port(1),eth_type(0x0800),ipv4(dst=10.0.0.2/0.0.0.0,frag=no), packets:2, bytes:120, used:0.1s, offloaded:yes, dp:tc, actions:2
            flow-dump from pmd on cpu core: 2
            ufid:0a, recirc_id(0),in_port(1),eth_type(0x0800),ipv4(dst=10.0.0.2/0.0.0.0,frag=no), packets:2, bytes:120, used:0.1s, offloaded:yes, dp:tc, actions:2
            {"table":0,"priority":5,"cookie":"0x2","match":{"tcp":true,"tp_dst":"80"},"actions":["output:1"]}
            """;
        FlowFileReader reader = new();
        reader.Read(new MemoryStream(Encoding.UTF8.GetBytes(text.Replace("\n", "\r\n", StringComparison.Ordinal))));
        Assert.AreEqual((3, 0L), (reader.Flows.Count, reader.Unreadable), string.Join('\n', reader.Problems));
        Assert.AreEqual(3ul, reader.Flows.PacketsOf(0));
    }

    [TestMethod, TestCategory("unit")]
    public void Read_InPiecesOfAnySize_IsTheSame()
    {
        string text = string.Concat(Enumerable.Range(0, 2000).Select(i => $"cookie={i},priority={i % 9},ip,nw_dst=10.0.{i >> 8}.{i & 255} actions=output:{i % 5}\n"));
        FlowFileReader whole = new();
        whole.Read(new MemoryStream(Encoding.UTF8.GetBytes(text)));
        Assert.AreEqual((2000, 2000L), (whole.Flows.Count, whole.Lines));
        FlowFileReader pieces = new();
        pieces.Read(new Trickle(Encoding.UTF8.GetBytes(text)));
        Assert.IsEmpty(FlowDiff.Compare(whole.Flows, pieces.Flows).Differences);
        Assert.AreEqual(2000, pieces.Flows.Count);
    }

    [TestMethod, TestCategory("unit")]
    public void Read_OfBadAndEndlessLines_NamesThemAndGoesOn()
    {
        string text = $"ip actions=output:1\nnonsense\n{new string('x', 1 << 20)}\ntcp actions=ct(commit)\nudp actions=drop";
        FlowFileReader reader = new();
        reader.Read(new MemoryStream(Encoding.UTF8.GetBytes(text)));
        Assert.AreEqual((2, 3L), (reader.Flows.Count, reader.Unreadable));
        StringAssert.StartsWith(reader.Problems[0], "line 2: ");
        StringAssert.StartsWith(reader.Problems[1], "line 3: the line is longer");
        StringAssert.StartsWith(reader.Problems[2], "line 4: ");
    }

    private sealed class Trickle(byte[] bytes) : MemoryStream(bytes)
    {
        private readonly Random _random = new(3);

        public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(count, _random.Next(1, 50)));
    }
}
