using Dpu.Relay.Processes;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Processes;

[TestClass]
public sealed class ProcessFrameTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void TryRead_AnyBytes_AcceptsOnlyWhatWriteMakes() => Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), Gen.Choose(0, 24).ToArbitrary(), Gen.Choose(0, 64).ToArbitrary(), (bytes, kind, size) =>
    {
        byte[] noise = [.. bytes.Concat(new byte[ProcessFrame.HeaderSize]).Take(ProcessFrame.HeaderSize)];
        AssertOfWrite(noise);

        // So that some are frames.
        (noise[0], noise[1], noise[2], noise[3], noise[4], noise[7]) = ((byte)size, 0, 0, 0, (byte)kind, 0);
        AssertOfWrite(noise);
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Data_IsReadAsWritten() => Prop.ForAll(
        Gen.Choose(1, ProcessFrame.MaxData).ToArbitrary(), Gen.Choose(0, ProcessFrame.MaxStreams - 1).ToArbitrary(), ArbMap.Default.ArbFor<ulong>(), (size, stream, position) =>
        {
            byte[] header = new byte[ProcessFrame.HeaderSize];
            ProcessFrame.Write(header, ProcessFrameKind.Data, size, stream, 3, position % JournaledPipe.Going);
            Assert.IsTrue(ProcessFrame.TryRead(header, out ProcessFrameKind kind, out int readSize, out int readStream, out byte flags, out ulong readPosition));
            Assert.AreEqual((ProcessFrameKind.Data, size, stream, (byte)3, position % JournaledPipe.Going), (kind, readSize, readStream, flags, readPosition));
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(ProcessFrameKind.None, 0, false)]
    [DataRow(ProcessFrameKind.Start, 0, true)]
    [DataRow(ProcessFrameKind.Start, ProcessFrame.MaxContent, true)]
    [DataRow(ProcessFrameKind.Start, ProcessFrame.MaxContent + 1, false)]
    [DataRow(ProcessFrameKind.Start, -1, false)]
    [DataRow(ProcessFrameKind.Signal, ProcessSignal.Size, true)]
    [DataRow(ProcessFrameKind.Signal, ProcessSignal.Size - 1, false)]
    [DataRow(ProcessFrameKind.Data, 0, false)]
    [DataRow(ProcessFrameKind.Data, ProcessFrame.MaxData, true)]
    [DataRow(ProcessFrameKind.Data, ProcessFrame.MaxData + 1, false)]
    [DataRow(ProcessFrameKind.Data, int.MinValue, false)]
    [DataRow(ProcessFrameKind.Ack, 0, true)]
    [DataRow(ProcessFrameKind.Ack, 1, false)]
    [DataRow(ProcessFrameKind.End, 0, true)]
    [DataRow(ProcessFrameKind.End, 4, false)]
    [DataRow(ProcessFrameKind.Forget, 1, false)]
    [DataRow(ProcessFrameKind.Terminate, 1, false)]
    [DataRow(ProcessFrameKind.Continued, 1, false)]
    [DataRow(ProcessFrameKind.Started, 0, false)]
    [DataRow(ProcessFrameKind.Started, 4, true)]
    [DataRow(ProcessFrameKind.Started, 6, false)]
    [DataRow(ProcessFrameKind.Started, (1 << 20) + 4, false)]
    [DataRow(ProcessFrameKind.Refused, 3, false)]
    [DataRow(ProcessFrameKind.Refused, 64 << 10, true)]
    [DataRow(ProcessFrameKind.Refused, (64 << 10) + 1, false)]
    [DataRow(ProcessFrameKind.Ended, 4, true)]
    [DataRow(ProcessFrameKind.Ended, 0, false)]
    [DataRow(ProcessFrameKind.Stopped, 8, false)]
    [DataRow(ProcessFrameKind.Note, 0, false)]
    [DataRow(ProcessFrameKind.Note, 1, true)]
    [DataRow(ProcessFrameKind.Note, ProcessFrames.MaxNote, true)]
    [DataRow(ProcessFrameKind.Note, ProcessFrames.MaxNote + 1, false)]
    [DataRow(ProcessFrameKind.Held, HeldProcess.HeaderSize - 1, false)]
    [DataRow(ProcessFrameKind.Held, HeldProcess.HeaderSize, true)]
    [DataRow(ProcessFrameKind.Held, HeldProcess.MaxSize + 1, false)]
    [DataRow(ProcessFrameKind.HeldEnd, 0, true)]
    [DataRow(ProcessFrameKind.HeldEnd, 1, false)]
    [DataRow((ProcessFrameKind)8, 0, false)]
    [DataRow((ProcessFrameKind)21, 0, false)]
    [DataRow((ProcessFrameKind)255, 0, false)]
    public void TryRead_OfKindAndSize_IsAsTheWireSays(ProcessFrameKind kind, int size, bool expected)
    {
        byte[] header = new byte[ProcessFrame.HeaderSize];
        ProcessFrame.Write(header, kind, size);
        Assert.AreEqual(expected, ProcessFrame.TryRead(header, out _, out _, out _, out _, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Note_IsReadAsWritten_CutAndWithoutControlCharacters()
    {
        Assert.AreEqual((ProcessNoteKind.Group, "dpu-1.scope"), ProcessFrames.ReadNote(ProcessFrames.Note(ProcessNoteKind.Group, "dpu-1.scope")));
        Assert.AreEqual((ProcessNoteKind.Event, ""), ProcessFrames.ReadNote(ProcessFrames.Note(ProcessNoteKind.Event, "")));
        Assert.HasCount(ProcessFrames.MaxNote, ProcessFrames.Note(ProcessNoteKind.Event, new string('x', 5000)));
        Assert.DoesNotContain("\n", ProcessFrames.ReadNote(ProcessFrames.Note(ProcessNoteKind.Event, "a\nb")).Text);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(ProcessFrame.MaxStreams - 1, 0, ulong.MaxValue >> 1, true)]
    [DataRow(ProcessFrame.MaxStreams, 0, 0UL, false)]
    [DataRow(255, 0, 0UL, false)]
    [DataRow(0, 1, 0UL, false)]
    [DataRow(0, 0, 1UL << 63, false)]
    [DataRow(0, 0, ulong.MaxValue, false)]
    public void TryRead_OfOtherFields_IsAsTheWireSays(int stream, int last, ulong position, bool expected)
    {
        byte[] header = new byte[ProcessFrame.HeaderSize];
        ProcessFrame.Write(header, ProcessFrameKind.Ack, 0, stream, 0, position);
        header[7] = (byte)last;
        Assert.AreEqual(expected, ProcessFrame.TryRead(header, out _, out _, out _, out _, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Signal_IsReadAsWritten() => Prop.ForAll<int, (int Code, int Pid, uint Uid), long>((number, rest, value) =>
    {
        var signal = new ProcessSignal(number, rest.Code, rest.Pid, rest.Uid, value);
        Assert.AreEqual(number is > 0 and <= ProcessSignal.Most, ProcessSignal.TryRead(signal.ToBytes(), out ProcessSignal read));
        Assert.AreEqual(signal, read);
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void StartAndAnswer_AreToldApart()
    {
        byte[] start = ProcessFrames.Of(ProcessFrameKind.Start, new byte[5]);
        Assert.HasCount(ProcessFrames.HeaderSize + 5, start);
        Assert.IsTrue(ProcessFrames.TryReadStart(start, out int size));
        Assert.AreEqual(5, size);
        Assert.IsFalse(ProcessFrames.TryReadAnswer(start, out _, out _));

        byte[] refused = ProcessFrames.Of(ProcessFrameKind.Refused, ProcessFrames.Refusal(127, "no such program"));
        Assert.IsFalse(ProcessFrames.TryReadStart(refused, out _));
        Assert.IsTrue(ProcessFrames.TryReadAnswer(refused, out ProcessFrameKind kind, out size));
        Assert.AreEqual(ProcessFrameKind.Refused, kind);
        Assert.AreEqual((127, "no such program"), ProcessFrames.ReadRefusal(refused.AsSpan(ProcessFrames.HeaderSize, size)));

        byte[] last = ProcessFrames.Of(ProcessFrameKind.Forget, []);
        Assert.IsFalse(ProcessFrames.TryReadStart(last, out _));
        Assert.IsFalse(ProcessFrames.TryReadAnswer(last, out _, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Refusal_OfAnyText_FitsAFrame() => Prop.ForAll<int, NonNull<string>>((code, text) =>
    {
        byte[] content = ProcessFrames.Refusal(code, text.Get + new string('x', 5000));
        Assert.IsTrue(ProcessFrames.TryReadAnswer(ProcessFrames.Of(ProcessFrameKind.Refused, content), out _, out _));
        Assert.AreEqual(code, ProcessFrames.ReadRefusal(content).Code);
    }).QuickCheckThrowOnFailure();

    private static void AssertOfWrite(byte[] header)
    {
        if (ProcessFrame.TryRead(header, out ProcessFrameKind kind, out int size, out int stream, out byte flags, out ulong position))
        {
            byte[] again = new byte[ProcessFrame.HeaderSize];
            ProcessFrame.Write(again, kind, size, stream, flags, position);
            CollectionAssert.AreEqual(header, again);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void StandIn_IsReadAsItWasWritten_AndNothingElse()
    {
        var written = new ProcessStandIn(Guid.NewGuid(), 4711, 17);
        Assert.IsTrue(ProcessStandIn.TryRead(written.ToBytes(), out ProcessStandIn read));
        Assert.AreEqual(written, read);
        Assert.IsFalse(ProcessStandIn.TryRead(written.ToBytes().AsSpan(1), out _));
        Assert.IsFalse(ProcessStandIn.TryRead([.. written.ToBytes(), 0], out _));
        Assert.IsFalse(ProcessStandIn.TryRead((written with { Number = -1 }).ToBytes(), out _));
        Assert.IsTrue(ProcessFrames.TryReadName(ProcessFrames.Of(ProcessFrameKind.Name, new byte[16])));
        Assert.IsFalse(ProcessFrames.TryReadName(ProcessFrames.Of(ProcessFrameKind.Name, new byte[15])));
        Assert.IsTrue(ProcessFrames.TryReadAnswer(ProcessFrames.Of(ProcessFrameKind.Started, new byte[4], 17), out _, out _, out int error));
        Assert.AreEqual(17, error);
    }
}
