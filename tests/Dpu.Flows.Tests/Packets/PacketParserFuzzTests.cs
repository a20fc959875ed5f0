using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.Flows.Tests.Support;
using Dpu.TestSupport;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Flows.Tests.Packets;

/// <summary>
/// Any bytes at all: the parser does not throw, and does not read past the end (a closed page follows; one byte too far ends
/// the test program). What it says about the packet is inside the packet.
/// </summary>
[TestClass]
public sealed unsafe class PacketParserFuzzTests
{
    private static readonly byte[][] _samples = [.. SamplePackets.All.Values];

    private static Config Many => Config.QuickThrowOnFailure.WithMaxTest(5000);

    [TestMethod, TestCategory("unit")]
    public void Parse_OfEveryPrefixOfEverySample_StaysInside()
    {
        using GuardedBuffer buffer = new(4096);
        foreach ((string name, byte[] packet) in SamplePackets.All)
        {
            for (int length = 0; length < packet.Length; length++)
            {
                PacketLayout layout = Parse(buffer, packet.AsSpan(0, length), true);
                if (name is not ("padded" or "llc" or "three tags" or "esp") && length < 34)
                {
                    Assert.IsFalse(layout.IsWhole && length < 14, $"{name} cut to {length}");
                }
            }

            // What the outermost length field covers cannot be missing without being told.
            if (name is "tcp" or "ipv6 tcp" or "arp" or "vxlan" or "gre")
            {
                Assert.AreEqual(PacketTraits.Truncated, Parse(buffer, packet.AsSpan(0, packet.Length - 1), true).Traits & PacketTraits.Truncated, name);
            }
        }
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfRandomBytes_StaysInside()
    {
        using GuardedBuffer buffer = new(4096);
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes => Holds(buffer, bytes)).Check(Many);
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfMutatedPackets_StaysInside()
    {
        using GuardedBuffer buffer = new(4096);
        Gen<(int Which, (int Where, byte What)[] Changes, int Cut)> cases =
            from which in Gen.Choose(0, _samples.Length - 1)
            from changes in (from place in Gen.Choose(12, 120) from value in Gen.Frequency((2, Gen.Choose(0, 255)), (1, Gen.Elements(0, 4, 0x45, 0x4f, 0x60, 43, 44, 51, 60, 255))) select (place, (byte)value)).ArrayOf()
            from cut in Gen.Frequency((2, Gen.Constant(0)), (2, Gen.Choose(0, 120)))
            select (which, changes, cut);
        Prop.ForAll(cases.ToArbitrary(), item =>
        {
            byte[] packet = _samples[item.Which][..Math.Max(0, _samples[item.Which].Length - item.Cut)];
            foreach ((int where, byte what) in item.Changes)
            {
                if (where < packet.Length)
                {
                    packet[where] = what;
                }
            }

            return Holds(buffer, packet);
        }).Check(Many);
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfPackets_AllocatesNothing()
    {
        using GuardedBuffer buffer = new(4096);
        FlowKey key = default;
        long allocated = long.MaxValue;

        // Tiers may compile meanwhile: the least of several rounds counts.
        for (int round = 0; round < 5; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            foreach (byte[] packet in _samples)
            {
                for (int i = 0; i < 20; i++)
                {
                    _ = PacketParser.Parse(packet, 1, true, out key);
                }
            }

            allocated = Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.AreEqual(0, allocated);
    }

    private static bool Holds(GuardedBuffer buffer, byte[] packet)
    {
        foreach (bool decapsulate in (ReadOnlySpan<bool>)[false, true])
        {
            PacketLayout layout = Parse(buffer, packet, decapsulate);
            if (layout.End > packet.Length || layout.Network > layout.End || layout.Transport > layout.End || layout.Ethernet > layout.End)
            {
                return false;
            }
        }

        return true;
    }

    // The packet's last byte is the last of its page; the key lies on a 64-byte boundary.
    private static PacketLayout Parse(GuardedBuffer buffer, ReadOnlySpan<byte> packet, bool decapsulate)
    {
        byte* start = buffer.Tail(packet.Length);
        packet.CopyTo(new Span<byte>(start, packet.Length));
        KeyBuffer keys = _keys ??= new KeyBuffer(1);
        PacketLayout native = PacketParser.Parse(start, packet.Length, 1, decapsulate, keys.Pointer);
        Assert.AreEqual(native, PacketParser.Parse(packet, 1, decapsulate, out FlowKey same));
        Assert.AreEqual(keys[0], same);
        return native;
    }

    [ThreadStatic]
    private static KeyBuffer? _keys;
}
