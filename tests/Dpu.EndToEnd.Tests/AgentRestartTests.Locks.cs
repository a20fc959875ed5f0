namespace Dpu.EndToEnd.Tests;

// Locks.
public sealed partial class AgentRestartTests
{
    [TestMethod]
    [TestCategory("root")]
    public void AgentKilled_LocksAreHeld()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        string[] kinds = ["posix", "ofd", "flock"];
        Locker[] lockers = [.. kinds.SelectMany(kind => (string[])[Path.Combine(mount, kind), Path.Combine(pair.ExportRoot, kind)]).Select(file =>
        {
            File.AppendAllText(file, "");
            return new Locker(file);
        })];
        try
        {
            for (int i = 0; i < kinds.Length; i++)
            {
                Assert.AreEqual("0", lockers[2 * i].Ask($"set 0 {kinds[i]} w 0 10"), kinds[i]);
                Assert.AreEqual("EAGAIN", lockers[(2 * i) + 1].Ask($"set 0 {kinds[i]} w 0 10"));
            }

            for (int round = 0; round < 2; round++)
            {
                Restart(pair);
                for (int i = 0; i < kinds.Length; i++)
                {
                    (Locker dpu, Locker host) = (lockers[2 * i], lockers[(2 * i) + 1]);
                    Assert.AreEqual("EAGAIN", host.Ask($"set 0 {kinds[i]} w 0 10"), $"{kinds[i]} is held still");
                    Assert.AreEqual("0", dpu.Ask($"set 0 {kinds[i]} w 0 10"), $"{kinds[i]} is its owner's still");
                }

                Assert.AreEqual("0", lockers[0].Ask("set 0 posix u 2 2"), "a part is given back");
                Assert.AreEqual("0", lockers[1].Ask("set 0 posix w 2 2"));
                Assert.AreEqual("EAGAIN", lockers[0].Ask("set 0 posix w 2 2"));
                Assert.AreEqual("0", lockers[1].Ask("set 0 posix u 2 2"));
                Assert.AreEqual("0", lockers[0].Ask("set 0 posix w 2 2"));
            }

            for (int i = 0; i < kinds.Length; i++)
            {
                (Locker dpu, Locker host) = (lockers[2 * i], lockers[(2 * i) + 1]);
                Assert.AreEqual("0", dpu.Ask($"set 0 {kinds[i]} u 0 0"));
                Assert.AreEqual("0", host.Ask($"set 0 {kinds[i]} w 0 10"), $"{kinds[i]} was given back");
                Assert.AreEqual("0", host.Ask($"set 0 {kinds[i]} u 0 0"));

                // A lock that ends with its file ends when the answer says so, not when the keeper closes its copy.
                Assert.AreEqual("0", dpu.Ask($"set 0 {kinds[i]} w 0 10"));
                dpu.Kill();
                Eventually.True(() => host.Ask($"set 0 {kinds[i]} w 0 10") == "0", Pair.Limit, $"the end of a dead program's {kinds[i]} lock");
            }
        }
        finally
        {
            Array.ForEach(lockers, locker => locker.Dispose());
        }

        EndsWithoutAnything(pair, mount);
    }

    [TestMethod]
    [TestCategory("root")]
    public void AgentKilled_WaitForALockGoesOn()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        using var holder = new Locker(Path.Combine(mount, "f"));
        using var dpu = new Locker(Path.Combine(mount, "f"));
        foreach (string kind in (string[])["posix", "ofd", "flock"])
        {
            foreach (Locker other in (Locker[])[host, holder])
            {
                Assert.AreEqual("0", other.Ask($"set 0 {kind} w 0 0"));
                dpu.Tell($"wait 0 {kind} w 0 0");
                dpu.AssertWaits();
                Restart(pair);
                dpu.AssertWaits();
                Assert.AreEqual("0", other.Ask($"set 0 {kind} u 0 0"));
                Assert.AreEqual("0", dpu.Answer(), kind);
                Assert.AreEqual("EAGAIN", host.Ask($"set 0 {kind} w 0 0"), "it is held");
                Assert.AreEqual("0", dpu.Ask($"set 0 {kind} u 0 0"));
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void AgentKilled_ManyRangesOfOneOwner_AreHeldAndGivenBack()
    {
        // More than the keeper's note has room for.
        const int Ranges = 300;
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var dpu = new Locker(Path.Combine(mount, "f"));
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        for (int i = 0; i < Ranges; i++)
        {
            Assert.AreEqual("0", dpu.Ask($"set 0 posix w {i * 10} 1"));
        }

        Restart(pair);
        foreach (int i in (int[])[0, Ranges / 2, Ranges - 1])
        {
            Assert.AreEqual("EAGAIN", host.Ask($"set 0 posix w {i * 10} 1"));
            Assert.AreEqual("0", host.Ask($"set 0 posix w {(i * 10) + 5} 1"), "what was not locked is not");
            Assert.AreEqual("0", host.Ask($"set 0 posix u {(i * 10) + 5} 1"));
        }

        Assert.AreEqual("0", dpu.Ask("set 0 posix u 0 0"));
        Assert.AreEqual("0", host.Ask("set 0 posix w 0 0"));
    }
}
