using Dpu.Proto.V1;
using Dpu.Relay.Wire;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Wire;

[TestClass]
public sealed class RelayFrameTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void TryRead_AnyBytes_AcceptsOnlyWhatWriteMakes() => Prop.ForAll<byte[]>(bytes =>
    {
        byte[] header = [.. bytes.Concat(new byte[RelayFrame.HeaderSize]).Take(RelayFrame.HeaderSize)];
        if (!RelayFrame.TryRead(header, out RelayFrameKind kind, out int length))
        {
            return;
        }

        byte[] again = new byte[RelayFrame.HeaderSize];
        RelayFrame.Write(again, kind, length);
        CollectionAssert.AreEqual(header, again);
        Assert.IsTrue(length is >= 0 and <= RelayFrame.MaxContentSize);
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow((byte)2, RelayFrame.MaxContentSize, true)]
    [DataRow((byte)2, RelayFrame.MaxContentSize + 1, false)]
    [DataRow((byte)2, -1, false)]
    [DataRow((byte)6, 8, true)]
    [DataRow((byte)6, 4, false)]
    [DataRow((byte)3, 0, true)]
    [DataRow((byte)3, 1, false)]
    [DataRow((byte)5, 0, true)]
    [DataRow((byte)18, 1, true)]
    [DataRow((byte)18, 0, false)]
    [DataRow((byte)18, RelayFrame.MaxAskedSize + 1, false)]
    [DataRow((byte)19, 5, true)]
    [DataRow((byte)19, 4, false)]
    [DataRow((byte)19, RelayFrame.MaxAskedSize + 1, false)]
    [DataRow((byte)0, 0, false)]
    [DataRow((byte)6, 0, false)]
    public void TryRead_OfKindAndLength_IsAsTheWireSays(byte kind, int length, bool expected)
    {
        byte[] header = new byte[RelayFrame.HeaderSize];
        RelayFrame.Write(header, (RelayFrameKind)kind, length);
        Assert.AreEqual(expected, RelayFrame.TryRead(header, out _, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AskedAndAnswered_AnyBytes_AreReadOrPassedOver() => Prop.ForAll<byte[]>(bytes =>
    {
        _ = RelayFrame.ReadNext(bytes);
        if (RelayFrame.TryReadAnswer(bytes, out int error, out HelloReply? reply))
        {
            Assert.IsTrue(error is >= 0 and < 4096);
            Assert.AreNotEqual(HelloStatus.Unspecified, reply.Status);
        }
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(10)]
    [DataRow(5000)]
    public void Answer_Read_SaysItsErrnoAndResult_OfALongPathNothing(int pathLength)
    {
        byte[] frame = RelayFrame.Answer(13, new HelloReply { Status = HelloStatus.Ok, Software = "x", Relay = new RelayResult { Path = new string('p', pathLength), Reuses = true } });
        Assert.IsTrue(RelayFrame.TryRead(frame, out RelayFrameKind kind, out int length));
        Assert.AreEqual((RelayFrameKind.Answer, frame.Length - RelayFrame.HeaderSize), (kind, length));
        Assert.IsTrue(RelayFrame.TryReadAnswer(frame.AsSpan(RelayFrame.HeaderSize), out int error, out HelloReply? reply));
        Assert.AreEqual(13, error);
        Assert.AreEqual((pathLength < 100 ? pathLength : 0, true), (reply.Relay.Path.Length, reply.Relay.Reuses));
        Assert.IsFalse(RelayFrame.TryReadAnswer(frame.AsSpan(RelayFrame.HeaderSize, 4), out _, out _), "no status");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Opened_Read_SaysItsErrno()
    {
        Assert.IsTrue(RelayFrame.TryReadOpened(RelayFrame.Opened(111), out int error));
        Assert.AreEqual(111, error);
        Assert.IsFalse(RelayFrame.TryReadOpened(RelayFrame.Opened(-5), out _), "an errno is positive");
        Assert.IsFalse(RelayFrame.TryReadOpened(RelayFrame.Opened(0).AsSpan(1), out _));
    }
}
