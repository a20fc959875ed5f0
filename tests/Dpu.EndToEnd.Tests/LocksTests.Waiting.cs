using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

// Who waits for a lock: gets it, is interrupted or killed, loses the link.
public sealed partial class LocksTests
{
    [TestMethod]
    [TestCategory("root")]
    public void BlockingLock_IsGrantedWhenTheHostGivesItBack()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var dpu = new Locker(Path.Combine(mount, "f"));
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        foreach (string kind in s_kinds)
        {
            var times = new List<double>();
            for (int round = 0; round < 20; round++)
            {
                Assert.AreEqual("0", host.Ask($"set 0 {kind} w 0 0"));
                dpu.Tell($"wait 0 {kind} w 0 0");
                dpu.AssertWaits();
                long start = Stopwatch.GetTimestamp();
                Assert.AreEqual("0", host.Ask($"set 0 {kind} u 0 0"));
                Assert.AreEqual("0", dpu.Answer());
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                Assert.AreEqual("EAGAIN", host.Ask($"set 0 {kind} r 0 0"), "it is held");
                Assert.AreEqual("0", dpu.Ask($"set 0 {kind} u 0 0"));
            }

            times.Sort();
            Console.WriteLine($"{kind}: granted {times[0]:0.0} to {times[^1]:0.0} ms after the host's release, median {times[times.Count / 2]:0.0}");
            Assert.IsLessThan(1000, times[times.Count / 2], $"the median time in ms of a {kind} lock");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void BlockingLock_InterruptedOrKilled_EndsAndTakesNothing()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        using var signalled = new Locker(Path.Combine(mount, "f"));
        foreach (string kind in s_kinds)
        {
            Assert.AreEqual("0", host.Ask($"set 0 {kind} w 0 0"));
            signalled.Tell($"wait 0 {kind} w 0 0");
            signalled.AssertWaits();
            long start = Stopwatch.GetTimestamp();
            signalled.Signal("USR1");
            Assert.AreEqual("EINTR", signalled.Answer(), kind);
            Assert.IsLessThan(5000, Stopwatch.GetElapsedTime(start).TotalMilliseconds, "the time in ms of an interrupt");

            using var killed = new Locker(Path.Combine(mount, "f"));
            killed.Tell($"wait 0 {kind} w 0 0");
            killed.AssertWaits();
            killed.Kill();

            Assert.AreEqual("0", host.Ask($"set 0 {kind} u 0 0"));
            Assert.AreEqual("0", host.Ask($"set 0 {kind} w 0 0"), "nobody took it");
            Assert.AreEqual("0", host.Ask($"set 0 {kind} u 0 0"));
        }
    }

    // A signal and the grant at the same time: whoever hears "0" has it, and nobody else does.
    [TestMethod]
    [TestCategory("root")]
    public void BlockingLock_InterruptedWhileItIsGranted_IsHeldByWhoWasToldSo()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        using var dpu = new Locker(Path.Combine(mount, "f"));
        int granted = 0;
        for (int round = 0; round < 40; round++)
        {
            string kind = s_kinds[round % 3];
            Assert.AreEqual("0", host.Ask($"set 0 {kind} w 0 0"));
            dpu.Tell($"wait 0 {kind} w 0 0");
            dpu.AssertWaits();
            Task signal = Task.Run(() => dpu.Signal("USR1"));
            Assert.AreEqual("0", host.Ask($"set 0 {kind} u 0 0"));
            string answer = dpu.Answer();
            signal.Wait(Pair.Limit);
            Assert.IsTrue(answer is "0" or "EINTR", answer);
            granted += answer == "0" ? 1 : 0;
            Assert.AreEqual(answer == "0" ? "EAGAIN" : "0", host.Ask($"set 0 {kind} w 0 0"), $"{kind}, told {answer}");
            dpu.Ask($"set 0 {kind} u 0 0");
            host.Ask($"set 0 {kind} u 0 0");
        }

        Console.WriteLine($"granted in {granted} of 40 rounds");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ManyWaiters_LeaveOtherRequestsFast_AndEachCanBeKilled()
    {
        const int count = 64;
        using var pair = new Pair();
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        Assert.AreEqual("0", host.Ask("set 0 posix w 0 0"));
        Assert.AreEqual("0", host.Ask("set 0 flock w 0 0"));
        Locker[] waiters = [.. Enumerable.Range(0, count).Select(_ => new Locker(Path.Combine(mount, "f")))];
        try
        {
            for (int i = 0; i < count; i++)
            {
                waiters[i].Tell($"wait 0 {s_kinds[i % 3]} w 0 0");
            }

            Array.ForEach(waiters, waiter => waiter.AssertWaits());
            var times = new List<double>();
            for (int i = 0; i < 200; i++)
            {
                long start = Stopwatch.GetTimestamp();
                _ = File.GetLastWriteTimeUtc(Path.Combine(mount, "f"));
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }

            times.Sort();
            Console.WriteLine($"stat with {count} waiters: median {times[100]:0.000} ms, slowest {times[^1]:0.000} ms");
            Assert.IsLessThan(1000, times[^1], "ms of the slowest stat");
            for (int i = 0; i < count; i += 2)
            {
                waiters[i].Kill();
            }

            // The others get it one after the other.
            Assert.AreEqual("0", host.Ask("set 0 posix u 0 0"));
            Assert.AreEqual("0", host.Ask("set 0 flock u 0 0"));
            List<Locker> left = [.. waiters.Where((_, i) => i % 2 == 1)];
            while (left.Count > 0)
            {
                Locker got = Eventually.NotNull(() => left.Find(waiter => !waiter.IsWaiting), Pair.Limit, "one waiter's lock");
                Assert.AreEqual("0", got.Answer());
                got.Kill();
                left.Remove(got);
            }
        }
        finally
        {
            Array.ForEach(waiters, waiter => waiter.Dispose());
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void WaitingInACircle_IsADeadlock()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        File.WriteAllText(Path.Combine(pair.ExportRoot, "g"), "");
        Locker[] all = [.. Enumerable.Range(0, 3).Select(_ => new Locker(Path.Combine(mount, "f")))];
        try
        {
            foreach (Locker locker in all)
            {
                Assert.AreEqual("0", locker.Ask($"open 1 {Path.Combine(mount, "g")} rw"));
            }

            Assert.AreEqual("0", all[0].Ask("set 0 posix w 0 1"));
            Assert.AreEqual("0", all[1].Ask("set 0 posix w 1 1"));
            Assert.AreEqual("0", all[2].Ask("set 1 posix w 0 0"));
            all[0].Tell("wait 0 posix w 1 1");
            all[0].AssertWaits();
            all[1].Tell("wait 1 posix r 7 1");
            all[1].AssertWaits();
            all[2].Tell("wait 0 posix w 0 1");

            // Whoever closes the circle at the host, which sees them in an order of its own, is told; the others go on.
            List<Locker> left = [.. all];
            foreach (string expected in (string[])["EDEADLK", "0", "0"])
            {
                Locker told = Eventually.NotNull(() => left.Find(locker => !locker.IsWaiting), Pair.Limit, "an answer");
                Assert.AreEqual(expected, told.Answer());
                told.Kill();
                left.Remove(told);
            }
        }
        finally
        {
            Array.ForEach(all, locker => locker.Dispose());
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void LinkCut_WhileALockIsAwaited_ItIsAskedAgain()
    {
        using var pair = new Pair();
        using LinkProxy proxy = LinkProxy.Up(pair, out string mount);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        foreach (string kind in s_kinds)
        {
            using var dpu = new Locker(Path.Combine(mount, "f"));
            using var killed = new Locker(Path.Combine(mount, "f"));
            Assert.AreEqual("0", host.Ask($"set 0 {kind} w 0 0"));
            dpu.Tell($"wait 0 {kind} w 0 0");
            dpu.AssertWaits();
            killed.Tell($"wait 0 {kind} w 0 0");
            killed.AssertWaits();

            // While the link is down, the host gives the lock back, and one waiter is killed.
            proxy.Closed = true;
            proxy.Cut();
            Assert.AreEqual("0", host.Ask($"set 0 {kind} u 0 0"));
            killed.Kill();
            dpu.AssertWaits();
            proxy.Closed = false;
            Assert.AreEqual("0", dpu.Answer(), kind);
            Assert.AreEqual("EAGAIN", host.Ask($"set 0 {kind} w 0 0"));
            Assert.AreEqual("0", dpu.Ask($"set 0 {kind} u 0 0"));
            Assert.AreEqual("0", Until(() => host.Ask($"set 0 {kind} w 0 0")), "nobody else has it");
            host.Ask($"set 0 {kind} u 0 0");
        }

        // A cut while locks are held: the session has them still.
        using var holder = new Locker(Path.Combine(mount, "f"));
        Assert.AreEqual("0", holder.Ask("set 0 ofd w 0 0"));
        proxy.Cut();
        Assert.AreEqual("EAGAIN", host.Ask("set 0 posix w 0 0"));
        Assert.AreEqual("0", holder.Ask("set 0 ofd u 0 0"));
        Assert.AreEqual("0", host.Ask("set 0 posix w 0 0"));
    }
}
