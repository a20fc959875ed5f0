using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Flows.Table;
using Dpu.Flows.Tests.Support;
using Dpu.Flows.Text;

namespace Dpu.Flows.Tests.Text;

[TestClass]
public sealed class FlowTracerTests
{
    [TestMethod, TestCategory("unit")]
    public void Trace_OfFieldsOrBytes_NamesFlowsAndWhatWasLookedAt()
    {
        FlowTable table = new();
        foreach (string line in (string[])["priority=10,tcp,nw_dst=10.0.0.0/8 actions=set_field:10.9.9.9->ip_dst,goto_table:2", "priority=5,ip actions=drop", "table=2,priority=1,nw_dst=10.9.9.9 actions=output:4"])
        {
            table.Add(OpenFlowText.Parse(line).Definition, out _);
        }

        table.Commit();
        using FlowTracer tracer = new(table);
        FlowTrace trace = tracer.Trace(PacketText.Parse("tcp,nw_dst=10.1.1.1,tp_dst=80", 1, out _));
        Assert.AreEqual((PacketVerdict.Forward, 2), (trace.Result, trace.Tables.Count));
        CollectionAssert.AreEqual(new uint[] { 4 }, trace.Outputs.ToArray());
        Assert.AreEqual(((byte)0, (byte)2), (trace.Tables[0].Table, trace.Tables[1].Table));
        Assert.AreEqual((ushort)10, trace.Tables[0].Flow!.Definition.Priority);
        Assert.AreEqual(0xff000000u, trace.Tables[0].Megaflow.Bits.IpDst.Word0, "the other bits do not matter there");
        Assert.IsGreaterThan(0, trace.Tables[0].Steps.Count);
        Assert.AreEqual(CacheTrace.Classifier, trace.Tables[0].Answered);
        Assert.AreNotEqual(CacheTrace.Classifier, tracer.Trace(PacketText.Parse("tcp,nw_dst=10.1.1.1,tp_dst=80", 1, out _)).Tables[0].Answered, "it was here before");

        FlowTrace bytes = tracer.Trace(PacketText.Parse(Convert.ToHexString(SamplePackets.TcpFrame), 7, out PacketLayout? layout));
        Assert.IsTrue(layout!.Value.IsWhole);
        Assert.AreEqual((PacketVerdict.Drop, 7u), (bytes.Result, bytes.Key.InPort));
        Assert.AreEqual(PacketVerdict.NoMatch, tracer.Trace(PacketText.Parse("arp", 1, out _)).Result);
        Assert.AreEqual(0ul, table.ReadAll().Aggregate(0ul, (sum, record) => sum + record.Counters.Packets), "tracing counts nothing");
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("nw_dst=10.0.0.0/8,in_port=1/3", "InPort")]
    [DataRow("tp_dst=1-5", "range")]
    [DataRow("00112233445566778899aabbccddee", null)]
    [DataRow("0011", "'0011' is no field")]
    [DataRow("00112233445566778899aabbccdde", "even")]
    public void PacketText_OfWhatIsNoPacket_SaysWhy(string text, string? why)
    {
        if (why is null)
        {
            _ = PacketText.Parse(text, 1, out PacketLayout? layout);
            Assert.IsNotNull(layout);
            return;
        }

        Assert.Contains(why, Assert.Throws<FlowTextException>(() => PacketText.Parse(text, 1, out _)).Message);
    }

    [TestMethod, TestCategory("unit")]
    public void PacketText_OfEverySample_IsReadAsItWasWritten()
    {
        foreach ((string name, byte[] packet) in SamplePackets.All)
        {
            _ = PacketParser.Parse(packet, 3, true, out FlowKey key);
            key.MplsDepth = 0; // It has no name.
            Assert.AreEqual(key, PacketText.Parse(PacketText.Format(key), 0, out _), $"{name}: {PacketText.Format(key)}");
        }
    }
}
