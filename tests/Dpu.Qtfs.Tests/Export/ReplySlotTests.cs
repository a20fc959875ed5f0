using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Export;
using Dpu.TestSupport;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests.Export;

[TestClass]
public sealed unsafe class ReplySlotTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Request_ThatComesAgain_HasItsFirstAnswer()
    {
        ReplySlot slot = new();
        Assert.AreEqual(SlotTurn.Execute, Begin(slot, 5).Turn);
        End(slot, 5, error: -errno.EEXIST);
        Assert.AreEqual((SlotTurn.Answered, -errno.EEXIST), Begin(slot, 5));
        Assert.AreEqual((SlotTurn.Answered, -errno.EEXIST), Begin(slot, 5));
        Assert.AreEqual(SlotTurn.Execute, Begin(slot, 9).Turn);
        Assert.AreEqual(SlotTurn.Old, Begin(slot, 5).Turn, "its lane has gone on");
        End(slot, 5, error: 0);
        End(slot, 9, error: -errno.ENOENT);
        Assert.AreEqual((SlotTurn.Answered, -errno.ENOENT), Begin(slot, 9));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Forget_ThatComesAgain_IsNotExecutedAgain()
    {
        ReplySlot slot = new();
        Assert.IsTrue(slot.BeginForget(3));
        Assert.IsTrue(slot.BeginForget(4));
        Assert.IsFalse(slot.BeginForget(3));
        Assert.IsFalse(slot.BeginForget(4));
        Assert.AreEqual(SlotTurn.Execute, Begin(slot, 5).Turn);
        Assert.IsTrue(slot.BeginForget(6));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void LongAnswer_IsKeptWhole()
    {
        ReplySlot slot = new();
        Assert.AreEqual(SlotTurn.Execute, Begin(slot, 1).Turn);
        byte[] listing = new byte[ReplySlot.Most];
        new Random(1).NextBytes(listing);
        fixed (byte* pointer = listing)
        {
            slot.End(1, pointer, listing.Length);
        }

        byte[] again = new byte[ReplySlot.Most];
        fixed (byte* pointer = again)
        {
            Assert.AreEqual(SlotTurn.Answered, slot.Begin(1, pointer, out int length, CancellationToken.None));
            Assert.AreEqual(listing.Length, length);
        }

        CollectionAssert.AreEqual(listing, again);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Request_WhoseAnswerCannotBeKept_IsUnknown()
    {
        ReplySlot slot = new();
        byte* answer = stackalloc byte[ReplySlot.Most + 1];
        foreach ((ulong number, int length) in (IEnumerable<(ulong, int)>)[(1, 0), (2, ReplySlot.Most + 1)])
        {
            Assert.AreEqual(SlotTurn.Execute, Begin(slot, number).Turn);
            slot.End(number, answer, length);
            Assert.AreEqual((SlotTurn.Answered, -errno.EIO), Begin(slot, number));
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Request_ThatIsStillExecuted_IsAnsweredWhenThatHasEnded()
    {
        ReplySlot slot = new();
        Assert.AreEqual(SlotTurn.Execute, Begin(slot, 1).Turn);
        (SlotTurn, int) again = default;
        var second = new Thread(() => again = Begin(slot, 1));
        second.Start();
        Eventually.True(() => second.ThreadState == ThreadState.WaitSleepJoin, TimeSpan.FromSeconds(10), "the wait");
        End(slot, 1, error: -errno.ENOSPC);
        second.Join();
        Assert.AreEqual((SlotTurn.Answered, -errno.ENOSPC), again);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Request_ThatIsStillExecutedWhenTheAgentStops_IsNotAnswered()
    {
        ReplySlot slot = new();
        Assert.AreEqual(SlotTurn.Execute, Begin(slot, 1).Turn);
        using CancellationTokenSource stopping = new();
        stopping.Cancel();
        byte* answer = stackalloc byte[ReplySlot.Most];
        Assert.AreEqual(SlotTurn.Old, slot.Begin(1, answer, out _, stopping.Token));
    }

    // A lane that sends each request until it has an answer, over connections that deliver what was sent on them at once, late, after
    // later ones, or never: each request is executed at most once, and its lane is told what that execution gave.
    [TestMethod]
    [TestCategory("unit")]
    public void AnyOrderOfCutsAndLateDeliveries_ExecutesEachRequestOnce() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int[]>(), choices =>
        {
            ReplySlot slot = new();
            List<ulong> late = [];
            Dictionary<ulong, int> executed = [];
            ulong number = 1;
            foreach (int choice in choices)
            {
                switch (Math.Abs(choice % 4))
                {
                    case 0:
                        // Cut before it was read: an old connection has it.
                        late.Add(number);
                        break;
                    case 1 when late.Count > 0:
                        _ = Deliver(slot, late[Math.Abs(choice / 4) % late.Count], executed);
                        break;
                    case 2:
                        // Executed, and the answer is lost.
                        _ = Deliver(slot, number, executed);
                        break;
                    default:
                        int? answer = Deliver(slot, number, executed);
                        if (answer is null || answer != executed[number])
                        {
                            return false;
                        }

                        number++;
                        break;
                }
            }

            return true;
        }).QuickCheckThrowOnFailure();

    private static int? Deliver(ReplySlot slot, ulong number, Dictionary<ulong, int> executed)
    {
        (SlotTurn turn, int error) = Begin(slot, number);
        if (turn == SlotTurn.Execute)
        {
            // Twice would throw.
            error = -executed.Count - 1;
            executed.Add(number, error);
            End(slot, number, error);
        }

        return turn == SlotTurn.Old ? null : error;
    }

    private static (SlotTurn Turn, int Error) Begin(ReplySlot slot, ulong number)
    {
        byte* answer = stackalloc byte[ReplySlot.Most];
        SlotTurn turn = slot.Begin(number, answer, out int length, CancellationToken.None);
        Assert.AreEqual(turn == SlotTurn.Answered ? sizeof(fuse_out_header) : 0, length);
        return (turn, turn == SlotTurn.Answered ? ((fuse_out_header*)answer)->error : 0);
    }

    private static void End(ReplySlot slot, ulong number, int error)
    {
        var answer = new fuse_out_header { len = (uint)sizeof(fuse_out_header), error = error, unique = number };
        slot.End(number, (byte*)&answer, sizeof(fuse_out_header));
    }
}
