using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Dispatcher;

[TestClass]
public sealed class CounterTests
{
    [TestMethod, TestCategory("unit")]
    public void Counters_OfRequests_CountOpcodesAndErrors()
    {
        var files = new RecordingFileSystem();
        using var harness = new DispatcherHarness(files);
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_LOOKUP).Name("a"));
        files.Result = -errno.ENOENT;
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_LOOKUP).Name("a"));
        harness.Send(new RequestBuilder((fuse_opcode)5000));
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_FORGET).Struct(default(fuse_forget_in)));
        CollectionAssert.AreEquivalent(new FuseOpcodeCount[]
        {
            new(fuse_opcode.FUSE_INIT, 1, 0), new(fuse_opcode.FUSE_LOOKUP, 2, 1), new(fuse_opcode.FUSE_FORGET, 1, 0), new((fuse_opcode)63, 1, 1),
        }, harness.Dispatcher.Counters.Snapshot().ToArray());
    }

    [TestMethod, TestCategory("unit")]
    public void Counters_OfManyThreads_LoseNothing()
    {
        var counters = new FuseCounters();
        Thread[] threads = [.. Enumerable.Range(0, 20).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                counters.Count((uint)fuse_opcode.FUSE_READ, failed: i % 2 == 0);
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.AreEqual(new FuseOpcodeCount(fuse_opcode.FUSE_READ, 20_000, 10_000), counters.Snapshot().Single());
    }
}
