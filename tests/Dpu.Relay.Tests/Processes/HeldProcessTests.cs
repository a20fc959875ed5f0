using Dpu.Relay.Processes;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Processes;

[TestClass]
public sealed class HeldProcessTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void TryRead_AnyBytes_AcceptsOnlyWhatToBytesMakes() => Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), Gen.Choose(0, 3).ToArbitrary(), (bytes, streams) =>
    {
        AssertOfToBytes(bytes);

        // So that some are processes: a number, a time and a count that fit, and zeros where they are to be.
        byte[] some = [.. bytes.Concat(new byte[HeldProcess.HeaderSize + (16 * streams)])];
        (some[19], some[30], some[31], some[32], some[33], some[34], some[35]) = (0, 0, 0, 0, (byte)streams, 0, 0);
        (some[16], some[29], some[28]) = (1, 0, 0);
        AssertOfToBytes(some);
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Process_IsReadAsWritten() => Prop.ForAll<Guid, (uint Uid, bool IsLeft, int Number), (int Number, byte State, ulong Position)[]>((token, one, streams) =>
    {
        var written = new HeldProcess(
            token, 1 + (one.Number & 0xffff), one.Uid, 1_763_000_000_000 + (one.Number & 0xffff), one.IsLeft,
            [.. streams.Take(ProcessFrame.MaxStreams).Select(stream => new HeldStream(stream.Number & 0xff, (HeldStreamState)(stream.State & 15), stream.Position % JournaledPipe.Going))], "/bin/sh -c 'exit 0'");
        Assert.IsTrue(HeldProcess.TryRead(written.ToBytes(), out HeldProcess? read));
        CollectionAssert.AreEqual(written.Streams.ToArray(), read.Streams.ToArray());
        Assert.AreEqual(written with { Streams = [] }, read with { Streams = written.Streams } with { Streams = [] });
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Command_IsCutAndHasNoControlCharacters()
    {
        var process = new HeldProcess(Guid.NewGuid(), 7, 0, 0, false, [], new string('x', 100_000));
        Assert.HasCount(HeldProcess.MaxSize - (ProcessFrame.MaxStreams * 16), process.ToBytes());
        Assert.IsTrue(HeldProcess.TryRead((process with { Command = "a\nb" }).ToBytes(), out HeldProcess? read));
        Assert.DoesNotContain("\n", read.Command);
    }

    private static void AssertOfToBytes(byte[] bytes)
    {
        if (!HeldProcess.TryRead(bytes, out HeldProcess? read))
        {
            return;
        }

        // Text may be cleaned; all before it is what it was, but for what is reserved.
        byte[] again = read.ToBytes();
        int size = HeldProcess.HeaderSize + (16 * read.Streams.Count);
        CollectionAssert.AreEqual(bytes[..34], again[..34]);
        for (int i = 0; i < read.Streams.Count; i++)
        {
            int at = HeldProcess.HeaderSize + (16 * i);
            CollectionAssert.AreEqual(bytes[at..(at + 5)], again[at..(at + 5)]);
            CollectionAssert.AreEqual(bytes[(at + 8)..(at + 16)], again[(at + 8)..(at + 16)]);
        }

        Assert.IsLessThanOrEqualTo(bytes.Length, size);
    }
}
