using Dpu.Relay.Flow;
using Dpu.Relay.Wire;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Flow;

/// <summary>Two ends of a relay without sockets, driven in any order.</summary>
[TestClass]
public sealed class RelayStateTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void AnySchedule_OfTwoEnds_EndsBothWithTheProgramsEnds() => Prop.ForAll<byte[]>(schedule =>
    {
        var ends = new[] { new End(), new End() };
        foreach (byte choice in schedule)
        {
            Step(ends, choice & 1, (choice >> 1) % 6);
        }

        // Then both programs end, and all that is under way arrives.
        for (int round = 0; round < 8; round++)
        {
            for (int side = 0; side < 2; side++)
            {
                Step(ends, side, 0);
                Drain(ends, side);
            }
        }

        for (int side = 0; side < 2; side++)
        {
            End end = ends[side];
            Assert.IsTrue(end.State.IsOver, $"end {side} is over when both programs are");
            Assert.AreEqual(1, end.Over, "and was told so once");
            if (ends.All(one => !one.WasReset))
            {
                Assert.AreEqual(RelayStep.Close, end.Last, "nobody broke off, so neither end is aborted");
                Assert.IsTrue(end.SeesEnd, "its program reads the end of the other");
            }
        }
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void LinkBroken_InAnyState_Aborts() => Prop.ForAll<byte[]>(schedule =>
    {
        var ends = new[] { new End(), new End() };
        foreach (byte choice in schedule)
        {
            Step(ends, choice & 1, (choice >> 1) % 5);
        }

        if (!ends[0].State.IsOver)
        {
            Assert.AreEqual(RelayStep.Abort, ends[0].State.Broken());
            Assert.IsFalse(ends[0].State.ReadsLocal || ends[0].State.ReadsLink || ends[0].State.WritesLocal);
        }
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void EndSaidTwice_IsAFault()
    {
        RelayState state = default;
        Assert.AreEqual(RelayStep.ShutWrite, state.Received(RelayFrameKind.End));
        Assert.AreEqual(RelayStep.Abort, state.Received(RelayFrameKind.End));
    }

    private static void Step(End[] ends, int side, int what)
    {
        End end = ends[side];
        if (end.State.IsOver)
        {
            return;
        }

        switch (what)
        {
            case 0:
                end.State.LocalEnded();
                break;
            case 1:
                end.State.LocalStopped();
                break;
            case 2 or 3:
                Send(end);
                break;
            case 4:
                Receive(end, ends[1 - side]);
                break;
            default:
                end.State.LocalReset();
                end.WasReset = true;
                break;
        }
    }

    private static void Drain(End[] ends, int side)
    {
        End end = ends[side];
        while (!end.State.IsOver && end.State.NextFrame != RelayFrameKind.None)
        {
            Send(end);
        }

        while (!end.State.IsOver && (ends[1 - side].Wire.Count > 0 || ends[1 - side].State.IsOver))
        {
            Receive(end, ends[1 - side]);
        }
    }

    private static void Send(End end)
    {
        RelayFrameKind frame = end.State.NextFrame;
        if (frame != RelayFrameKind.None)
        {
            end.Wire.Enqueue(frame);
            end.Take(end.State.Sent(frame));
        }
    }

    private static void Receive(End end, End other)
    {
        if (!end.State.ReadsLink)
        {
            // As a real end, which leaves what comes after the other's end.
            if (other.State.IsOver && other.Wire.Count == 0 && !end.State.LinkEnded)
            {
                end.Take(end.State.Broken());
            }

            other.Wire.Clear();
            if (other.State.IsOver && end.State.NextFrame == RelayFrameKind.None && !end.State.IsOver)
            {
                end.State.LocalEnded();
            }

            return;
        }

        if (other.Wire.TryDequeue(out RelayFrameKind frame))
        {
            end.Take(end.State.Received(frame));
        }
        else if (other.State.IsOver)
        {
            end.Take(end.State.Broken());
        }
    }

    private sealed class End
    {
        private RelayState _state;

        public ref RelayState State => ref _state;

        public Queue<RelayFrameKind> Wire { get; } = new();

        public bool WasReset { get; set; }

        public bool SeesEnd { get; private set; }

        public int Over { get; private set; }

        public RelayStep Last { get; private set; }

        public void Take(RelayStep step)
        {
            Last = step;
            SeesEnd |= step is RelayStep.ShutWrite or RelayStep.Close or RelayStep.Abort;
            Over += step is RelayStep.Close or RelayStep.Abort ? 1 : 0;
        }
    }
}
