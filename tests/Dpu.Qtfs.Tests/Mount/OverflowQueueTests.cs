using Dpu.Fuse.Wire;
using Dpu.Keeper;
using Dpu.Qtfs.Mount;
using Dpu.Qtfs.Mount.Handover;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed unsafe class OverflowQueueTests : IDisposable
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

    private readonly KeptState _state = new(new Keeping(null, ""), "test");
    private readonly RequestCells _cells;

    public OverflowQueueTests() => _cells = new RequestCells(_state);

    public void Dispose() => _state.Dispose();

    private void Add(OverflowQueue queue, ulong unique, int length)
    {
        byte* message = stackalloc byte[length];
        ((fuse_in_header*)message)->unique = unique;
        queue.Add(new OverflowRequest(_cells.Park(message, length, ParkedFor.Lane, RequestCells.GuardDevice), new SafeFileHandle()));
    }

    private static ulong? Take(OverflowRequest? request)
    {
        using (request)
        {
            return request?.Unique;
        }
    }
}
