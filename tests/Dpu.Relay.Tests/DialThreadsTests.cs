using Dpu.TestSupport;

namespace Dpu.Relay.Tests;

/// <summary>Threads for what blocks.</summary>
[TestClass]
public sealed class DialThreadsTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [TestMethod]
    [TestCategory("unit")]
    public void WorksThatWaitForOneAnother_AllHaveAThread()
    {
        using var threads = new DialThreads("test");
        using var barrier = new Barrier(20);
        using var done = new CountdownEvent(20);
        for (int i = 0; i < 20; i++)
        {
            threads.Run(() =>
            {
                Assert.IsTrue(barrier.SignalAndWait(Limit));
                done.Signal();
            });
        }

        Assert.IsTrue(done.Wait(Limit), "each had a thread while the others had theirs");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void MoreWorksThanThreads_AreAllDone_AndIdleThreadsAreUsedAgain()
    {
        using var threads = new DialThreads("test");
        HashSet<int> used = [];
        using var first = new CountdownEvent(500);
        for (int i = 0; i < 500; i++)
        {
            threads.Run(() => first.Signal());
        }

        Assert.IsTrue(first.Wait(Limit), "all are done");
        for (int i = 0; i < 50; i++)
        {
            using var one = new ManualResetEventSlim();
            threads.Run(() =>
            {
                lock (used)
                {
                    used.Add(Environment.CurrentManagedThreadId);
                }

                one.Set();
            });
            Assert.IsTrue(one.Wait(Limit));
        }

        Assert.IsLessThan(50, used.Count, "threads that waited");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AfterTheEnd_WhatWasAskedBefore_IsDone_AndNothingElse()
    {
        var threads = new DialThreads("test");
        using var goOn = new ManualResetEventSlim();
        int done = 0;
        threads.Run(() =>
        {
            _ = goOn.Wait(Limit);
            Interlocked.Increment(ref done);
        });
        threads.Dispose();
        threads.Run(() => Interlocked.Add(ref done, 100));
        goOn.Set();
        Eventually.True(() => Volatile.Read(ref done) != 0, Limit, "what was asked before");
        Assert.AreEqual(1, done);
    }
}
