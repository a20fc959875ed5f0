using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed unsafe class OverflowQueueTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void TryTake_GivesTheOldestFirst_AndByNumber()
    {
        var queue = new OverflowQueue(1 << 20);
        Add(queue, 1, 40);
        Add(queue, 2, 40);
        Add(queue, 3, 40);
        Assert.AreEqual(2ul, Take(queue.TryTake(2)));
        Assert.IsNull(queue.TryTake(2));
        Assert.AreEqual(1ul, Take(queue.TryTake()));
        Assert.AreEqual(3ul, Take(queue.TryTake()));
        Assert.IsNull(queue.TryTake());
        Assert.AreEqual(0, queue.Count);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void HasRoom_IsBoundedInBytes_AndComesBack()
    {
        var queue = new OverflowQueue(100);
        Add(queue, 1, 60);
        Assert.IsTrue(queue.HasRoom);
        Add(queue, 2, 60);
        Assert.IsFalse(queue.HasRoom);
        Take(queue.TryTake());
        Assert.IsTrue(queue.HasRoom);
        Take(queue.TryTake());
    }

    private static void Add(OverflowQueue queue, ulong unique, int length)
    {
        byte* message = stackalloc byte[length];
        ((fuse_in_header*)message)->unique = unique;
        queue.Add(new OverflowRequest(message, length, new SafeFileHandle()));
    }

    private static ulong? Take(OverflowRequest? request)
    {
        using (request)
        {
            return request?.Unique;
        }
    }
}
