using System.Buffers;
using System.Buffers.Binary;
using Dpu.Rpc.Wire;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Rpc.Tests.Wire;

[TestClass]
public sealed class FrameParserTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Parse_AnyBytesSplitAnywhere_SameAsWhole() =>
        Prop.ForAll<byte[], int, int>((bytes, split, max) =>
        {
            max = max < 0 ? ~max : max;
            int at = bytes.Length == 0 ? 0 : (split & int.MaxValue) % (bytes.Length + 1);
            FrameResult whole = FrameParser.Parse(new ReadOnlySequence<byte>(bytes), max, out bool flag, out ReadOnlySequence<byte> payload);
            FrameResult parts = FrameParser.Parse(Split(bytes, at), max, out bool flag2, out ReadOnlySequence<byte> payload2);
            return whole == parts && flag == flag2 && payload.ToArray().AsSpan().SequenceEqual(payload2.ToArray())
                && (whole == FrameResult.Complete || payload.IsEmpty);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Parse_WrittenMessage_GivesItBack() =>
        Prop.ForAll<byte[], byte[]>((message, rest) =>
        {
            byte[] bytes = [.. new byte[FrameParser.PrefixSize], .. message, .. rest];
            FrameParser.WritePrefix(bytes, message.Length);
            FrameResult result = FrameParser.Parse(new ReadOnlySequence<byte>(bytes), message.Length, out bool compressed, out ReadOnlySequence<byte> payload);
            return result == FrameResult.Complete && !compressed && payload.ToArray().AsSpan().SequenceEqual(message);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Parse_EveryShorterPart_IsIncomplete()
    {
        byte[] bytes = new byte[FrameParser.PrefixSize + 7];
        FrameParser.WritePrefix(bytes, 7);
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.AreEqual(FrameResult.Incomplete, FrameParser.Parse(new ReadOnlySequence<byte>(bytes, 0, length), 7, out _, out _));
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(101u)]
    [DataRow(0x7fffffffu)]
    [DataRow(0x80000000u)]
    [DataRow(0xffffffffu)]
    public void Parse_PrefixBeyondLimit_IsTooLargeBeforeItsBytes(uint length)
    {
        byte[] bytes = new byte[FrameParser.PrefixSize];
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(1), length);
        Assert.AreEqual(FrameResult.TooLarge, FrameParser.Parse(new ReadOnlySequence<byte>(bytes), 100, out _, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow((byte)0, FrameResult.Incomplete)]
    [DataRow((byte)1, FrameResult.Incomplete)]
    [DataRow((byte)2, FrameResult.BadFlag)]
    [DataRow((byte)255, FrameResult.BadFlag)]
    public void Parse_FirstByte_IsZeroOrOne(byte flag, FrameResult expected) =>
        Assert.AreEqual(expected, FrameParser.Parse(new ReadOnlySequence<byte>([flag]), 100, out _, out _));

    private static ReadOnlySequence<byte> Split(byte[] bytes, int at)
    {
        var first = new Segment(bytes.AsMemory(0, at), 0);
        Segment last = first.Append(ReadOnlyMemory<byte>.Empty).Append(bytes.AsMemory(at));
        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, long index)
        {
            Memory = memory;
            RunningIndex = index;
        }

        public Segment Append(ReadOnlyMemory<byte> memory)
        {
            var next = new Segment(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
