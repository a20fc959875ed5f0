using Dpu.Fuse.Wire;

namespace Dpu.Fuse.Tests.Statistics;

[TestClass]
public sealed class FuseStatisticsTests
{
    [TestMethod, TestCategory("unit")]
    public void Record_Requests_AreCountedByOpcode()
    {
        var statistics = new FuseStatistics();
        statistics.Record((uint)fuse_opcode.FUSE_READ, 80, 4112, failed: false, TimeSpan.FromMicroseconds(30));
        statistics.Record((uint)fuse_opcode.FUSE_READ, 80, 16, failed: true, TimeSpan.FromMicroseconds(90));
        statistics.Record((uint)fuse_opcode.FUSE_FORGET, 48, 0, failed: false, TimeSpan.Zero);
        statistics.Record(5000, 40, 16, failed: true, TimeSpan.FromDays(1));

        Assert.HasCount(3, statistics.Snapshot());
        FuseOperationStatistics read = statistics.Snapshot().Single(operation => operation.Name == "FUSE_READ");
        Assert.AreEqual((2, 1, 160, 4128), (read.Requests, read.Errors, read.RequestBytes, read.ReplyBytes));
        Assert.AreEqual((TimeSpan.FromMicroseconds(120), TimeSpan.FromMicroseconds(90)), (read.TotalLatency, read.MaxLatency));
        Assert.AreEqual(1, read.Buckets[LatencyScale.IndexOf(TimeSpan.FromMicroseconds(30))]);
        FuseOperationStatistics other = statistics.Snapshot().Single(operation => operation.Name == "FUSE_OTHER");
        Assert.AreEqual((1, 1), (other.Requests, other.Buckets[^1]));
    }

    [TestMethod, TestCategory("unit")]
    public void Record_OfManyThreads_LosesNothing()
    {
        var statistics = new FuseStatistics();
        Thread[] threads = [.. Enumerable.Range(1, 12).Select(number => new Thread(() =>
        {
            for (int i = 1; i <= 2000; i++)
            {
                statistics.Record((uint)fuse_opcode.FUSE_WRITE, 3, 2, failed: i % 2 == 0, TimeSpan.FromTicks(i * number));
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());

        FuseOperationStatistics write = statistics.Snapshot().Single();
        Assert.AreEqual((24_000, 12_000, 72_000, 48_000), (write.Requests, write.Errors, write.RequestBytes, write.ReplyBytes));
        Assert.AreEqual(TimeSpan.FromTicks(2000 * 12), write.MaxLatency);
        Assert.AreEqual(TimeSpan.FromTicks(Enumerable.Range(1, 12).Sum() * (2000L * 2001 / 2)), write.TotalLatency);
    }

    [TestMethod, TestCategory("unit")]
    public void Add_AnothersCounts_AreAsIfRecordedHere()
    {
        FuseStatistics one = new(), other = new(), both = new();
        for (int i = 0; i < 300; i++)
        {
            TimeSpan latency = TimeSpan.FromTicks(1L << (i % 30));
            (i % 3 == 0 ? one : other).Record((uint)i % 50, i, 2 * i, i % 7 == 0, latency);
            both.Record((uint)i % 50, i, 2 * i, i % 7 == 0, latency);
        }

        one.Add(other);
        CollectionAssert.AreEqual(both.Snapshot().Select(Describe).ToArray(), one.Snapshot().Select(Describe).ToArray());
    }

    [TestMethod, TestCategory("unit")]
    public void Record_OfAKnownOpcode_AllocatesNothing()
    {
        var statistics = new FuseStatistics();
        long allocated = long.MaxValue;

        // The first round makes the rows; tiers of the compiler may allocate once more, so that the least counts.
        for (int round = 0; round < 5; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (uint i = 0; i < 1000; i++)
            {
                statistics.Record(i % 64, 100, 200, i % 5 == 0, TimeSpan.FromTicks(i * i));
            }

            allocated = Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.AreEqual(0, allocated);
    }

    private static string Describe(FuseOperationStatistics operation) =>
        $"{operation.Opcode} {operation.Errors} {operation.RequestBytes} {operation.ReplyBytes} {operation.TotalLatency} {operation.MaxLatency} {string.Join(',', operation.Buckets)}";
}
