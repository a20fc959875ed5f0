using Dpu.Link.Handshake;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Link.Tests.Handshake;

[TestClass]
public sealed class LinkFrameTests
{
    [TestMethod, TestCategory("unit")]
    public void Wrap_ThenParse_GivesTheSize()
    {
        var frame = LinkFrame.Wrap([1, 2, 3]);
        Assert.IsTrue(LinkFrame.TryParseHeader(frame, out var size, out _));
        Assert.AreEqual(3, size);
        CollectionAssert.AreEqual(new byte[] { (byte)'D', (byte)'P', (byte)'U', (byte)'L', 0, 0, 0, 3, 1, 2, 3 }, frame);
    }

    [TestMethod, TestCategory("unit")]
    public void TryParseHeader_OneByteTooLong_IsRefused()
    {
        Assert.IsTrue(LinkFrame.TryParseHeader("DPUL\0\0\x10\0"u8, out var size, out _));
        Assert.AreEqual(LinkFrame.MaxMessageSize, size);
        Assert.IsFalse(LinkFrame.TryParseHeader("DPUL\0\0\x10\x01"u8, out _, out var error));
        StringAssert.Contains(error, "4097");
        Assert.IsFalse(LinkFrame.TryParseHeader([.. "DPUL"u8, 0xff, 0xff, 0xff, 0xff], out _, out _));
        Assert.ThrowsExactly<ArgumentException>(() => LinkFrame.Wrap(new byte[LinkFrame.MaxMessageSize + 1]));
    }

    [TestMethod, TestCategory("unit")]
    public void TryParseHeader_AnyBytes_OnlyTakesWhatWrapWrites() => Prop.ForAll<byte[]>(bytes =>
    {
        var taken = LinkFrame.TryParseHeader(bytes, out var size, out var error);
        return taken
            ? bytes.AsSpan(0, 4).SequenceEqual(LinkFrame.Magic) && size is >= 0 and <= LinkFrame.MaxMessageSize
            : size == 0 && error.Length > 0;
    }).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void Read_TruncatedAtEachByte_EndsWithEndOfStream()
    {
        var frame = LinkFrame.Wrap([1, 2, 3, 4]);
        for (var size = 0; size < frame.Length; size++)
        {
            using var stream = new MemoryStream(frame, 0, size);
            Assert.ThrowsExactly<EndOfStreamException>(() => LinkFrame.Read(stream, out _));
        }

        using var whole = new MemoryStream(frame);
        CollectionAssert.AreEqual(new byte[] { 1, 2, 3, 4 }, LinkFrame.Read(whole, out _));
    }
}
