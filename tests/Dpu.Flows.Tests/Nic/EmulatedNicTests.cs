using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Nic;
using Dpu.Flows.Table;
using Dpu.Flows.Tests.Support;
using Dpu.TestSupport;

namespace Dpu.Flows.Tests.Nic;

/// <summary>The NIC does what it is told, and each fault does what it says, no more and no less.</summary>
[TestClass]
public sealed class EmulatedNicTests
{
    private const int Many = 1000;
    private readonly ManualTime _time = new();

    [TestMethod, TestCategory("unit")]
    public void Nic_WithoutFaults_HoldsWhatItWasGiven()
    {
        EmulatedNic nic = new(Many, null, _time);
        NicHandle[] handles = Insert(nic, Many);
        Assert.AreEqual(Many, nic.Count);
        Assert.AreEqual(NicStatus.Full, InsertOne(nic, 5000, out _));
        using EmulatedNic.Port port = nic.CreatePort();
        Assert.AreEqual((PacketVerdict.Forward, 7u), Send(port, 6));
        Assert.AreEqual((PacketVerdict.NoMatch, 0u), Send(port, Many + 1));
        Assert.AreEqual(NicStatus.Ok, nic.Query(handles[6], out NicCounters counters));
        Assert.AreEqual(new NicCounters(1, 100), counters);
        NicEntry[] entries = DumpAll(nic, out bool interrupted);
        Assert.IsFalse(interrupted);
        CollectionAssert.AreEqual(Enumerable.Range(0, Many).Select(i => (ulong)i).ToArray(), entries.OrderBy(e => e.Flow.Cookie).Select(e => e.Flow.Cookie).ToArray());
        Assert.AreEqual(FlowOf(6).Match, entries.Single(e => e.Flow.Cookie == 6).Flow.Match);
        Assert.AreEqual(FlowAction.Output(7), entries.Single(e => e.Flow.Cookie == 6).Flow.Actions.Single());

        Delete(nic, handles[..500]);
        Assert.AreEqual(500, nic.Count);
        Assert.AreEqual(NicStatus.NoSuchEntry, nic.Query(handles[0], out _));
        Assert.AreEqual(PacketVerdict.NoMatch, Send(port, 6).Verdict);
        nic.Reset();
        Assert.AreEqual((0, 0), (nic.Count, DumpAll(nic, out _).Length));
    }

    [TestMethod, TestCategory("unit")]
    public void ReadActivity_AfterHits_IsABitAnEntryAndTakenOnce()
    {
        EmulatedNic nic = new(Many, null, _time);
        NicHandle[] handles = Insert(nic, Many);
        nic.Touch(handles[3], 2, 200);
        using EmulatedNic.Port port = nic.CreatePort();
        Send(port, 700);
        int[] expected = [nic.IndexOf(handles[3]), nic.IndexOf(handles[700])];
        CollectionAssert.AreEquivalent(expected, Active(nic, clear: false));
        CollectionAssert.AreEquivalent(expected, Active(nic, clear: true));
        Assert.IsEmpty(Active(nic, clear: true));
        Assert.AreEqual(-1, nic.IndexOf(default));
    }

    [TestMethod, TestCategory("unit")]
    public void LostInsert_SaysOkAndHasNoEntry()
    {
        EmulatedNic nic = new(Many, new NicFaults { LostInsert = 0.3 }, _time);
        NicHandle[] handles = Insert(nic, Many);
        int there = DumpAll(nic, out _).Length;
        Assert.IsTrue(there is > 550 and < 850, $"{there}");
        Assert.AreEqual(there, handles.Distinct().Count(h => nic.Query(h, out _) == NicStatus.Ok), "a lost one's handle is no other entry's");
        Assert.AreEqual(Many, handles.Distinct().Count());
    }

    [TestMethod, TestCategory("unit")]
    public void LostDelete_SaysOkAndGoesOn()
    {
        EmulatedNic nic = new(Many, new NicFaults { LostDelete = 0.25 }, _time);
        NicHandle[] handles = Insert(nic, Many);
        Delete(nic, handles);
        Assert.IsTrue(nic.Count is > 150 and < 350, $"{nic.Count}");
        Assert.AreEqual(nic.Count, handles.Count(h => nic.Query(h, out _) == NicStatus.Ok));
    }

    [TestMethod, TestCategory("unit")]
    public void CorruptAction_ChangesThePortAlone()
    {
        EmulatedNic nic = new(Many, new NicFaults { CorruptAction = 0.5 }, _time);
        Insert(nic, Many);
        NicEntry[] entries = DumpAll(nic, out _);
        int wrong = entries.Count(e => e.Flow.Actions.Single() != FlowOf(e.Flow.Cookie).Actions.Single());
        Assert.IsTrue(wrong is > 400 and < 600, $"{wrong}");
        Assert.IsTrue(entries.All(e => e.Flow.Match == FlowOf(e.Flow.Cookie).Match));

        // The data path does the wrong thing too.
        NicEntry bad = entries.First(e => e.Flow.Actions.Single() != FlowOf(e.Flow.Cookie).Actions.Single());
        using EmulatedNic.Port port = nic.CreatePort();
        Assert.AreEqual((PacketVerdict.Forward, bad.Flow.Actions[0].Argument), Send(port, (uint)bad.Flow.Cookie));
    }

    [TestMethod, TestCategory("unit")]
    public void CorruptMask_LosesOneBit()
    {
        EmulatedNic nic = new(Many, new NicFaults { CorruptMask = 0.5 }, _time);
        Insert(nic, Many);
        NicEntry[] wrong = [.. DumpAll(nic, out _).Where(e => e.Flow.Match != FlowOf(e.Flow.Cookie).Match)];
        Assert.IsTrue(wrong.Length is > 400 and < 600, $"{wrong.Length}");
        Assert.IsTrue(wrong.All(e => e.Flow.Match.Mask.BitCount == 31 && e.Flow.Match.Contains(FlowOf(e.Flow.Cookie).Match)));
    }

    [TestMethod, TestCategory("unit")]
    public void Duplicate_HasTwoEntriesOfWhichOneIsAGhost()
    {
        EmulatedNic nic = new(3 * Many, new NicFaults { Duplicate = 0.5 }, _time);
        NicHandle[] handles = Insert(nic, Many);
        int duplicates = nic.Count - Many;
        Assert.IsTrue(duplicates is > 400 and < 600, $"{duplicates}");
        Assert.AreEqual(duplicates, DumpAll(nic, out _).GroupBy(e => e.Flow.Cookie).Count(g => g.Count() == 2));
        Delete(nic, handles);
        Assert.AreEqual(duplicates, nic.Count, "nobody has their handles");
        using EmulatedNic.Port port = nic.CreatePort();
        Assert.AreEqual(duplicates, Enumerable.Range(0, Many).Count(i => Send(port, (uint)i).Verdict == PacketVerdict.Forward), "and they still match");
    }

    [TestMethod, TestCategory("unit")]
    public void GhostAfterReset_IsThereUnderAnotherHandle()
    {
        EmulatedNic nic = new(Many, new NicFaults { GhostAfterReset = 0.1 }, _time);
        NicHandle[] handles = Insert(nic, Many);
        nic.Reset();
        Assert.IsTrue(nic.Count is > 50 and < 150, $"{nic.Count}");
        Assert.IsTrue(handles.All(h => nic.Query(h, out _) == NicStatus.NoSuchEntry));
        NicEntry[] ghosts = DumpAll(nic, out _);
        Delete(nic, [.. ghosts.Select(g => g.Handle)]);
        Assert.AreEqual(0, nic.Count);
    }

    [TestMethod, TestCategory("unit")]
    public void StuckCounter_NeverMovesNorItsBit()
    {
        EmulatedNic nic = new(Many, new NicFaults { StuckCounter = 0.2 }, _time);
        NicHandle[] handles = Insert(nic, Many);
        using EmulatedNic.Port port = nic.CreatePort();
        for (uint i = 0; i < Many; i++)
        {
            Assert.AreEqual(PacketVerdict.Forward, Send(port, i).Verdict);
        }

        int moved = handles.Count(h => nic.Query(h, out NicCounters c) == NicStatus.Ok && c.Packets == 1);
        Assert.IsTrue(moved is > 700 and < 900, $"{moved}");
        Assert.HasCount(moved, Active(nic, clear: true));
    }

    [TestMethod, TestCategory("unit")]
    public void CounterLag_TellsWhatWas()
    {
        EmulatedNic nic = new(10, new NicFaults { CounterLag = TimeSpan.FromSeconds(2) }, _time);
        NicHandle handle = Insert(nic, 1)[0];
        _time.Advance(TimeSpan.FromSeconds(3));
        nic.Query(handle, out _);
        nic.Touch(handle, 5, 500);
        _time.Advance(TimeSpan.FromSeconds(1.9));
        nic.Query(handle, out NicCounters counters);
        Assert.AreEqual(0ul, counters.Packets);
        _time.Advance(TimeSpan.FromSeconds(0.2));
        nic.Query(handle, out counters);
        Assert.AreEqual(5ul, counters.Packets);
    }

    [TestMethod, TestCategory("unit")]
    public void FalselyFull_RefusesWhatWouldFit()
    {
        EmulatedNic nic = new(Many, new NicFaults { FalselyFull = 0.5 }, _time);
        NicStatus[] status = new NicStatus[100];
        nic.Insert([.. Enumerable.Range(0, 100).Select(i => FlowOf((ulong)i))], new NicHandle[100], status);
        int full = status.Count(s => s == NicStatus.Full);
        Assert.IsTrue(full is > 25 and < 75, $"{full}");
        Assert.AreEqual(100 - full, nic.Count);
    }

    [TestMethod, TestCategory("unit")]
    public void Dump_WhileEntriesChangeOrByFault_SaysThatItWasInterrupted()
    {
        EmulatedNic nic = new(2 * EmulatedNic.DumpStep, null, _time);
        NicHandle[] handles = Insert(nic, 2 * EmulatedNic.DumpStep);
        NicDumpStep first = nic.Dump(0);
        Assert.AreEqual((EmulatedNic.DumpStep, false), (first.Entries.Count, first.Interrupted));
        Delete(nic, handles[^1..]);
        Assert.IsTrue(nic.Dump(first.Next).Interrupted);
        EmulatedNic faulty = new(10, new NicFaults { InterruptedDump = 1 }, _time);
        Assert.IsTrue(faulty.Dump(0).Interrupted);
    }

    [TestMethod, TestCategory("unit")]
    public void Delays_PassForEachCommandAndStep()
    {
        List<TimeSpan> waited = [];
        EmulatedNic nic = new(10, new NicFaults { CommandDelay = TimeSpan.FromMilliseconds(1), DumpDelay = TimeSpan.FromSeconds(1) }, _time, waited.Add);
        NicHandle handle = Insert(nic, 1)[0];
        nic.Query(handle, out _);
        nic.ReadActivity(0, new ulong[1], true);
        nic.Dump(0);
        CollectionAssert.AreEqual(new[] { 1.0, 1, 1, 1001 }, waited.Select(w => w.TotalMilliseconds).ToArray());
    }

    [TestMethod, TestCategory("unit")]
    public void Faults_OfOneSeed_AreTheSameEachTime()
    {
        NicFaults faults = new() { Seed = 42, LostInsert = 0.1, CorruptAction = 0.1, CorruptMask = 0.1, Duplicate = 0.1 };
        EmulatedNic one = new(2 * Many, faults, _time), two = new(2 * Many, faults, _time);
        Insert(one, Many);
        Insert(two, Many);
        CollectionAssert.AreEqual(Text(one), Text(two));
        EmulatedNic other = new(2 * Many, faults with { Seed = 43 }, _time);
        Insert(other, Many);
        CollectionAssert.AreNotEqual(Text(one), Text(other));

        static string[] Text(EmulatedNic nic) => [.. DumpAll(nic, out _).Select(e => $"{e.Index} {e.Flow.Cookie} {e.Flow.Match.GetHashCode()} {e.Flow.Actions[0]}")];
    }

    private static NicFlow FlowOf(ulong number)
    {
        FlowMatch match = FlowMatch.Any;
        (match.Key.InPort, match.Mask.Bits.InPort) = ((uint)number, uint.MaxValue);
        return new NicFlow(number, 10, match, [FlowAction.Output((uint)number + 1)]);
    }

    private static NicHandle[] Insert(EmulatedNic nic, int count)
    {
        NicHandle[] handles = new NicHandle[count];
        NicStatus[] status = new NicStatus[count];
        nic.Insert([.. Enumerable.Range(0, count).Select(i => FlowOf((ulong)i))], handles, status);
        Assert.IsTrue(status.All(s => s == NicStatus.Ok));
        return handles;
    }

    private static NicStatus InsertOne(EmulatedNic nic, ulong number, out NicHandle handle)
    {
        NicHandle[] handles = new NicHandle[1];
        NicStatus[] status = new NicStatus[1];
        nic.Insert([FlowOf(number)], handles, status);
        handle = handles[0];
        return status[0];
    }

    private static void Delete(EmulatedNic nic, NicHandle[] handles)
    {
        NicStatus[] status = new NicStatus[handles.Length];
        nic.Delete(handles, status);
        Assert.IsTrue(status.All(s => s == NicStatus.Ok));
    }

    private static NicEntry[] DumpAll(EmulatedNic nic, out bool interrupted)
    {
        List<NicEntry> entries = [];
        interrupted = false;
        for (long position = 0; position >= 0;)
        {
            NicDumpStep step = nic.Dump(position);
            entries.AddRange(step.Entries);
            interrupted |= step.Interrupted;
            position = step.Next;
        }

        return [.. entries];
    }

    private static int[] Active(EmulatedNic nic, bool clear)
    {
        ulong[] bits = new ulong[(nic.Capacity + 63) / 64];
        Assert.AreEqual(bits.Length, nic.ReadActivity(0, bits, clear));
        return [.. Enumerable.Range(0, nic.Capacity).Where(i => ((bits[i / 64] >> (i % 64)) & 1) != 0)];
    }

    private static (PacketVerdict Verdict, uint Port) Send(EmulatedNic.Port port, uint inPort)
    {
        uint[] ports = new uint[2];
        FlowKey key = new() { InPort = inPort };
        return (port.Process(ref key, 100, ports, out _), ports[0]);
    }
}
