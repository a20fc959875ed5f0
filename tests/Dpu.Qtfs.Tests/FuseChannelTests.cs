using System.Buffers.Binary;
using Dpu.Link;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests;

[TestClass]
public sealed unsafe class FuseChannelTests
{
    private const int Header = 40;
    private const int Longest = 4096;

    [TestMethod]
    [TestCategory("unit")]
    public void Receive_MessagesCutAnywhere_ArriveWholeAndInOrder() =>
        Prop.ForAll(
            Gen.Choose(Header, Longest).ListOf(5).ToArbitrary(),
            Gen.Choose(1, 700).ToArbitrary(),
            (lengths, piece) =>
            {
                byte[][] messages = [.. lengths.Select((length, i) => Message(length, (byte)i))];
                using var channel = new FuseChannel(new PiecewiseStream([.. messages.SelectMany(bytes => bytes)], piece), Header, Longest);
                foreach (byte[] message in messages)
                {
                    int length = channel.Receive(out byte* received);
                    if (!new ReadOnlySpan<byte>(received, length).SequenceEqual(message))
                    {
                        return false;
                    }
                }

                return channel.Receive(out _) == 0 && channel.PartialSince == 0;
            }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Receive_AnyBytes_EndsInAMessageOrOneOfTwoErrors() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), Gen.Choose(1, 64).ToArbitrary(), (bytes, piece) =>
        {
            using var channel = new FuseChannel(new PiecewiseStream(bytes, piece), Header, Longest);
            try
            {
                while (channel.Receive(out _) > 0)
                {
                }

                return true;
            }
            catch (FuseChannelException)
            {
                return bytes.Length > 0;
            }
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(0u)]
    [DataRow(39u)]
    [DataRow(4097u)]
    [DataRow(0x8000_0000u)]
    [DataRow(uint.MaxValue)]
    public void Receive_LengthOutOfBounds_SaysWhatWasAnnouncedAndAllowed(uint length)
    {
        byte[] bytes = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, length);
        using var channel = new FuseChannel(new PiecewiseStream(bytes, 64), Header, Longest);
        string message = Assert.Throws<FuseChannelException>(() => channel.Receive(out _)).Message;
        Assert.Contains(length.ToString(System.Globalization.CultureInfo.InvariantCulture), message);
        Assert.Contains("40 to 4096", message);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Receive_EndInsideMessage_IsAnErrorAndMarksItPartial()
    {
        using var channel = new FuseChannel(new PiecewiseStream(Message(100, 1)[..60], 60), Header, Longest);
        Assert.Throws<FuseChannelException>(() => channel.Receive(out _));
        Assert.AreNotEqual(0, channel.PartialSince);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Receive_LargeMessages_AwaitsTheRestWhole_AndSeesItCut()
    {
        const int Large = 300 * 1024;
        byte[] all = [.. Message(Large, 1), .. Message(Header, 2), .. Message(Large, 3)];
        WholeStream stream = new(all[..^1], 1000);
        using var channel = new FuseChannel(stream, Header, Large);
        Assert.AreEqual(Large, channel.Receive(out byte* first));
        Assert.IsTrue(new ReadOnlySpan<byte>(first, Large).SequenceEqual(Message(Large, 1)));
        Assert.AreEqual(1, stream.Whole);
        Assert.AreEqual(0, channel.PartialSince);
        Assert.AreEqual(Header, channel.Receive(out _));
        Assert.Throws<FuseChannelException>(() => channel.Receive(out _));
        Assert.AreNotEqual(0, channel.PartialSince);
        Assert.AreEqual(2, stream.Whole);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Receive_AllocatesNothing()
    {
        byte[] all = [.. Enumerable.Range(0, 1000).SelectMany(_ => Message(128, 7))];
        using var channel = new FuseChannel(new PiecewiseStream(all, 128), Header, Longest);
        channel.Receive(out _);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 1; i < 1000; i++)
        {
            channel.Receive(out _);
        }

        Assert.AreEqual(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static byte[] Message(int length, byte fill)
    {
        byte[] message = new byte[length];
        message.AsSpan().Fill(fill);
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)length);
        return message;
    }

    /// <summary>Gives its bytes in pieces of at most that size.</summary>
    private sealed class PiecewiseStream(byte[] bytes, int piece) : MemoryStream(bytes)
    {
        public override int Read(Span<byte> buffer) => base.Read(buffer[..Math.Min(piece, buffer.Length)]);
    }

    private sealed class WholeStream(byte[] bytes, int piece) : MemoryStream(bytes), IWholeReads
    {
        public int Whole { get; private set; }

        public override int Read(Span<byte> buffer) => base.Read(buffer[..Math.Min(piece, buffer.Length)]);

        public int ReadWhole(Span<byte> buffer)
        {
            Whole++;
            return base.Read(buffer);
        }
    }
}
