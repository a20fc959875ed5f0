using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

// Agents that are replaced, and keepers that die.
public sealed partial class AgentRestartTests
{
    [TestMethod]
    [TestCategory("root")]
    public void AgentStoppedAndStarted_OpenFilesAndLocksGoOn()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var dpu = new Locker(Path.Combine(mount, "f"));
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        Assert.AreEqual("0", dpu.Ask("set 0 posix w 0 0"));
        for (int upgrade = 0; upgrade < 3; upgrade++)
        {
            Assert.AreEqual(0, pair.Agent.Stop());
            Assert.AreEqual("EAGAIN", host.Ask("set 0 posix w 0 0"), "between the two");
            pair.StartAgent();
            Assert.AreEqual("0", dpu.Ask("set 0 posix w 0 0"));
            Assert.AreEqual("EAGAIN", host.Ask("set 0 posix w 0 0"));
        }

        JsonNode status = Status(pair);
        Assert.IsTrue(status["protected"]!.GetValue<bool>());
        Assert.AreEqual(1, status["restoredSessions"]!.GetValue<int>());

        // Told to end what it has, it does.
        pair.AgentConfiguration["keeper"]!["onStop"] = "end";
        Assert.AreEqual(0, pair.Agent.Stop());
        pair.StartAgent();
        Assert.AreEqual(0, pair.Agent.Stop());
        Assert.IsEmpty(Held(pair));
        Assert.AreEqual("0", host.Ask("set 0 posix w 0 0"));
        pair.StartAgent();
        Assert.AreEqual(0, Status(pair)["restoredSessions"]!.GetValue<int>());
    }

    [TestMethod]
    [TestCategory("root")]
    public void AgentStartedUnderAnotherPolicy_LetsGoOfTheMount()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var dpu = new Locker(Path.Combine(mount, "f"));
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        Assert.AreEqual("0", dpu.Ask("set 0 ofd w 0 0"));
        pair.Agent.Kill();
        Assert.IsNotEmpty(Held(pair));
        pair.AgentConfiguration["exports"]![0]!["access"] = "read-only";
        pair.StartAgent();
        Eventually.True(() => host.Ask("set 0 ofd w 0 0") == "0", Pair.Limit, "the end of the lock");
        Assert.Contains("policy no longer gives it", pair.Agent.Log);
        Assert.AreEqual(0, Status(pair)["restoredSessions"]!.GetValue<int>());
    }

    [TestMethod]
    [TestCategory("root")]
    public void SessionGraceOver_LocksEndAndAreCounted()
    {
        using var pair = new Pair(keeper: true);
        pair.AgentConfiguration["sessionGrace"] = "0s";
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
        using var dpu = new Locker(Path.Combine(mount, "f"));
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        Assert.AreEqual("0", dpu.Ask("set 0 posix w 0 0"));
        pair.Agent.Kill();
        pair.Runtime.Kill();
        Shell.Check($"umount -l {mount}", "/");
        pair.StartAgent();
        Assert.AreEqual(1, Status(pair)["restoredSessions"]!.GetValue<int>());
        Eventually.True(() => host.Ask("set 0 posix w 0 0") == "0", Pair.Limit, "the end of the lock");
        Eventually.True(() => pair.Agent.Log.Contains("1 owners' locks and 1 open files were let go", StringComparison.Ordinal), Pair.Limit, "the event");
        Eventually.True(() => Held(pair).Length == 0, Pair.Limit, "the end of what the keeper holds");
    }

    [TestMethod]
    [TestCategory("root")]
    public void KeeperKilled_FilesGoOn_AndAreGivenToTheNextOne()
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "before");
        using var dpu = new Locker(Path.Combine(mount, "f"));
        using var host = new Locker(Path.Combine(pair.ExportRoot, "f"));
        Assert.AreEqual("0", dpu.Ask("set 0 posix w 0 0"));
        pair.Keeper!.Kill();
        Eventually.True(() => !Status(pair)["protected"]!.GetValue<bool>(), Pair.Limit, "the keeper's end");
        Assert.Contains("mounts do not outlive this agent", pair.Agent.Log);
        Assert.AreEqual("before", File.ReadAllText(Path.Combine(mount, "f")));
        Assert.AreEqual("0", dpu.Ask("open 1 " + Path.Combine(mount, "f") + " rw"));
        Assert.AreEqual("EAGAIN", host.Ask("set 0 posix w 0 0"));
        pair.Keeper.Start();
        Eventually.True(() => Status(pair)["protected"]!.GetValue<bool>(), Pair.Limit, "the keeper's return");
        Eventually.True(() => Held(pair).Count(name => name.Contains("/h/", StringComparison.Ordinal)) >= 2, Pair.Limit, "what is open");
        Restart(pair);
        Assert.AreEqual("EAGAIN", host.Ask("set 0 posix w 0 0"));
        Assert.AreEqual("0", dpu.Ask("set 1 flock w 0 0"), "a file that was opened without a keeper");
        Assert.AreEqual("0", dpu.Ask("set 0 posix u 0 0"));
        Assert.AreEqual("0", host.Ask("set 0 posix w 0 0"));
    }

    [TestMethod]
    [TestCategory("root")]
    public void AgentKilledInAListing_EachNameComesOnce()
    {
        const int Names = 5000;
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        Shell.Check($"mkdir d; cd d; seq -f 'a-long-enough-name-%g' {Names} | xargs touch", pair.ExportRoot);
        using RunningProgram program = Shell.StartPython(
            $$"""
            names, go = [], False
            for entry in os.scandir('d'):
                names.append(entry.name)
                if len(names) == 1000:
                    say('halfway')
                    wait('{{pair.ExportRoot}}/go')
            say(len(names), len(set(names)))
            """,
            mount);
        Said(program, "halfway");
        Restart(pair);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "go"), "");
        CollectionAssert.AreEqual(new[] { "halfway", $"{Names} {Names}" }, Shell.End(program));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("tmpfs")]
    [DataRow("overlay")]
    public void AgentKilled_OpenFilesOfAnotherFileSystemGoOn(string kind)
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up();
        string options = kind == "tmpfs" ? "-t tmpfs none" : $"-t overlay none -o lowerdir={pair.Folder}/o/l,upperdir={pair.Folder}/o/u,workdir={pair.Folder}/o/w";
        Shell.Check($"mkdir -p below {pair.Folder}/o; mount -t tmpfs none {pair.Folder}/o; mkdir {pair.Folder}/o/l {pair.Folder}/o/u {pair.Folder}/o/w; mount {options} below", pair.ExportRoot);
        try
        {
            using RunningProgram program = Shell.StartPython(
                $$"""
                f = os.open('below/f', os.O_CREAT | os.O_RDWR)
                u = os.open('below/u', os.O_CREAT | os.O_RDWR)
                assert os.write(f, b'named') == 5 and os.write(u, b'nameless') == 8
                os.unlink('below/u')
                say('open')
                wait('{{pair.ExportRoot}}/go')
                assert os.pread(f, 20, 0) == b'named' and os.pread(u, 20, 0) == b'nameless'
                assert os.write(u, b'!') == 1 and os.fstat(u).st_size == 9 and os.fstat(u).st_nlink == 0
                assert os.fstat(f).st_size == 5 and os.stat('below/f').st_ino == os.fstat(f).st_ino
                say('done')
                """,
                mount);
            Said(program, "open");
            Restart(pair);
            File.WriteAllText(Path.Combine(pair.ExportRoot, "go"), "");
            CollectionAssert.AreEqual(new[] { "open", "done" }, Shell.End(program));
            EndsWithoutAnything(pair, mount);
        }
        finally
        {
            Shell.Run($"umount -l below; umount -l {pair.Folder}/o", pair.ExportRoot);
        }
    }

    // The kernel passes over the attributes that come while it is told to forget a file, and reads no further than it knew: so it is not told twice.
    [TestMethod]
    [TestCategory("root")]
    [DataRow("fuse")]
    [DataRow("io_uring")]
    public void AgentAwayForLong_WhoReadsMeanwhileSeesWhatTheHostHasAppended(string transport)
    {
        const int Files = 64;
        using var pair = new Pair(keeper: true);
        Directory.CreateDirectory(Path.Combine(pair.ExportRoot, "d"));
        foreach (int i in Enumerable.Range(0, Files))
        {
            File.WriteAllText(Path.Combine(pair.ExportRoot, $"d/f{i}"), "old");
        }

        string mount = pair.Up(entry => (entry["cache"], entry["transport"]) = (ThreeMounts.Coherent, transport));
        using RunningProgram program = Shell.StartPython(
            $$"""
            import threading
            files = [os.open('f%d' % i, os.O_RDONLY) for i in range({{Files}})]
            for f in files: assert os.pread(f, 100, 0) == b'old'
            say('read')
            wait('{{pair.Folder}}/go')
            # For so long what is cached is believed (staleAfter), and no longer.
            select.select([], [], [], 2)
            seen = []
            threads = [threading.Thread(target=lambda f=f: seen.append(os.pread(f, 100, 0))) for f in files]
            for each in threads: each.start()
            say('reading')
            for each in threads: each.join()
            say(seen.count(b'old and new'), {each for each in seen if each != b'old and new'} or '')
            """,
            Path.Combine(mount, "d"));
        Said(program, "read");
        pair.Agent.Kill();
        foreach (int i in Enumerable.Range(0, Files))
        {
            File.AppendAllText(Path.Combine(pair.ExportRoot, $"d/f{i}"), " and new");
        }

        File.WriteAllText(Path.Combine(pair.Folder, "go"), "");
        Said(program, "reading");
        pair.StartAgent();
        Assert.AreEqual($"read reading {Files}", string.Join(' ', Shell.End(program)).Trim());
    }
}
