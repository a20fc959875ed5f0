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
    public void Opened_Read_SaysItsErrno()
    {
        Assert.IsTrue(RelayFrame.TryReadOpened(RelayFrame.Opened(111), out int error));
        Assert.AreEqual(111, error);
        Assert.IsFalse(RelayFrame.TryReadOpened(RelayFrame.Opened(-5), out _), "an errno is positive");
        Assert.IsFalse(RelayFrame.TryReadOpened(RelayFrame.Opened(0).AsSpan(1), out _));
    }
}
