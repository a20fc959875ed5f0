using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>The tables by themselves.</summary>
[TestClass]
public sealed class TableTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Slot_KilledWhilePinned_FreedByItsLastUserOnly()
    {
        ulong state = 0;
        SlotState.Publish(ref state, 7);
        Assert.IsFalse(SlotState.TryPin(ref state, 6));
        Assert.IsTrue(SlotState.TryPin(ref state, 7));
        Assert.IsTrue(SlotState.TryPin(ref state, 7));
        Assert.IsTrue(SlotState.TryKill(ref state, 7, out bool free));
        Assert.IsFalse(free);
        Assert.IsFalse(SlotState.TryKill(ref state, 7, out _));
        Assert.IsFalse(SlotState.TryPin(ref state, 7));
        Assert.IsFalse(SlotState.Unpin(ref state));
        Assert.IsTrue(SlotState.Unpin(ref state));
        SlotState.Retire(ref state);
        Assert.AreEqual(8u, SlotState.Generation(state));
        Assert.IsFalse(SlotState.IsAlive(state));
        SlotState.Publish(ref state, 8);
        Assert.IsTrue(SlotState.TryKill(ref state, 8, out free));
        Assert.IsTrue(free);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void NodeTable_ManyThreadsInternAndForgetTheSameFiles_EndsEmpty()
    {
        var table = new NodeTable(new NodeRecord { Descriptor = Null() }, capacity: 64, firstGeneration: 3, budget: null);
        const int files = 8;
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(seed => new Thread(() =>
        {
            var random = new Random(seed);
            for (int i = 0; i < 20_000; i++)
            {
                var file = new NodeRecord { Inode = (ulong)random.Next(files), Descriptor = -1 };
                ulong id;
                using (NodePin node = table.Intern(file, out _))
                {
                    Assert.IsTrue(node.Valid);
                    Assert.AreEqual(file.Inode, table[node.Index].Inode);
                    id = node.Id;
                }

                table.Forget(id, 1);
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.AreEqual((0, 0L, 0L), (table.Count, table.Overdrawn, table.Refused));
        table.Close();
        using NodePin root = table.Pin(NodeTable.RootId);
        Assert.IsFalse(root.Valid);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void NodeTable_ManyNodes_EachFoundAgainAndNoneDouble()
    {
        const int count = 50_000;
        var table = new NodeTable(new NodeRecord { Descriptor = Null() }, count, firstGeneration: 1 << 16, budget: null);
        ulong[] ids = new ulong[count];
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < count; i++)
            {
                using NodePin node = table.Intern(new NodeRecord { Inode = (ulong)i, Device = (ulong)(i % 3), Descriptor = -1 }, out bool known);
                Assert.AreEqual(round == 1, known);
                Assert.IsTrue(round == 0 || ids[i] == node.Id);
                ids[i] = node.Id;
            }
        }

        Assert.AreEqual(count, ids.Distinct().Count());
        using (NodePin full = table.Intern(new NodeRecord { Inode = count, Descriptor = -1 }, out _))
        {
            Assert.IsFalse(full.Valid);
        }

        Assert.AreEqual((count, 1L), (table.Count, table.Refused));
        table.Clear();
        Assert.AreEqual(0, table.Count);
        table.Close();
    }

    private static unsafe int Null()
    {
        fixed (byte* path = "/dev/null\0"u8)
        {
            return LibC.Result(LibC.openat(fcntl.AT_FDCWD, path, fcntl.O_PATH | fcntl.O_CLOEXEC, 0));
        }
    }
}
