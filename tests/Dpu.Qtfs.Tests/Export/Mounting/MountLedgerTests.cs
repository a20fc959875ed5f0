using System.Security.Cryptography;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Mounting;

namespace Dpu.Qtfs.Tests.Export.Mounting;

[TestClass]
public sealed class MountLedgerTests
{
    private static readonly ulong s_one = MountLedger.HashOf("dpu1");
    private static readonly ulong s_other = MountLedger.HashOf("dpu2");

    [TestMethod]
    [TestCategory("unit")]
    public void Token_ThatComesAgain_HasTheFirstResult_AndAnotherPeersIsAnother()
    {
        using var ledger = new MountLedger(null);
        Assert.AreNotEqual(0ul, ledger.Life);
        byte[] token = RandomNumberGenerator.GetBytes(16);
        int slot = ledger.Begin(s_one, token, MountChange.Remount, out _);
        Assert.IsGreaterThanOrEqualTo(0, slot);

        // The same at the same time waits for the first.
        int again = 0;
        int result = 0;
        var second = new Thread(() => again = ledger.Begin(s_one, token, MountChange.Remount, out result));
        second.Start();
        int others = ledger.Begin(s_other, token, MountChange.Remount, out _);
        Assert.IsGreaterThanOrEqualTo(0, others);
        ledger.End(others, 0);
        Assert.IsTrue(second.IsAlive);
        ledger.End(slot, -errno.EBUSY);
        Assert.IsTrue(second.Join(TimeSpan.FromSeconds(10)));
        Assert.AreEqual((-1, -errno.EBUSY), (again, result));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Tokens_MoreThanThereIsRoomFor_TakeThePlaceOfThePeersOldest()
    {
        using var ledger = new MountLedger(null);
        byte[] first = RandomNumberGenerator.GetBytes(16);
        byte[] others = RandomNumberGenerator.GetBytes(16);
        ledger.End(ledger.Begin(s_other, others, MountChange.Remount, out _), 7);
        ledger.End(ledger.Begin(s_one, first, MountChange.Remount, out _), 7);
        for (int i = 0; i < 255; i++)
        {
            ledger.End(ledger.Begin(s_one, RandomNumberGenerator.GetBytes(16), MountChange.Remount, out _), 0);
        }

        Assert.AreEqual(-1, ledger.Begin(s_one, first, MountChange.Remount, out int result));
        Assert.AreEqual(7, result);
        ledger.End(ledger.Begin(s_one, RandomNumberGenerator.GetBytes(16), MountChange.Remount, out _), 0);
        Assert.IsGreaterThanOrEqualTo(0, ledger.Begin(s_one, first, MountChange.Remount, out _), "it was the oldest");
        Assert.AreEqual(-1, ledger.Begin(s_other, others, MountChange.Remount, out _), "another peer's stay");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Mount_IsOfThePeerThatMadeIt_AndNobodysWhenItIsGone()
    {
        using var ledger = new MountLedger(null);
        int slot = ledger.Begin(s_one, new byte[16], MountChange.Mount, out _);

        // No mount has that number: it is about to be put in its place.
        Assert.IsTrue(ledger.TryMake(slot, new MadeMount { Mount = ulong.MaxValue - 1, Peer = s_one, Locked = 5 }));
        Assert.AreEqual(5u, ledger.Find(ulong.MaxValue - 1, s_one)!.Value.Locked);
        Assert.IsNull(ledger.Find(ulong.MaxValue - 1, s_other));
        Assert.AreEqual(1, ledger.Count);
        ledger.End(slot, -errno.ENOTDIR);
        Assert.AreEqual(0, ledger.Count);
        Assert.IsNull(ledger.Find(ulong.MaxValue - 1, s_one));
    }
}
