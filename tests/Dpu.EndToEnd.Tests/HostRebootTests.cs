using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>A host that has been away and remembers nothing: what its DPU has open goes on where the files are the same.</summary>
[TestClass]
public sealed class HostRebootTests
{
    // Everything that a DPU can have open on a host, and what is left of it afterwards.
    private const string Program =
        """
        def code(function):
            try:
                return function()
            except OSError as e:
                return errno.errorcode[e.errno]
        import fcntl
        os.makedirs('d/e')
        os.chdir('d')
        f = os.open('e/f', os.O_CREAT | os.O_EXCL | os.O_RDWR)
        assert os.write(f, b'first ') == 6
        r = os.open('e/f', os.O_RDONLY)
        log = os.open('log', os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND)
        assert os.write(log, b'1') == 1
        moved = os.open('e/old', os.O_CREAT | os.O_RDWR)
        os.rename('e/old', 'new-' + 'n' * 200)
        gone = os.open('gone', os.O_CREAT | os.O_RDWR)
        os.unlink('gone')
        other = os.open('other', os.O_CREAT | os.O_RDWR)
        assert os.write(other, b'other') == 5
        posix, beside, flock, freed = [os.open(name, os.O_CREAT | os.O_RDWR) for name in ('posix', 'posix', 'flock', 'freed')]
        fcntl.lockf(posix, fcntl.LOCK_EX)
        fcntl.flock(flock, fcntl.LOCK_EX)
        fcntl.lockf(freed, fcntl.LOCK_EX)
        fcntl.lockf(freed, fcntl.LOCK_UN)
        names = ['a-long-enough-name-%d' % i for i in range(3000)]
        os.mkdir('many')
        for name in names: os.close(os.open('many/' + name, os.O_CREAT))
        listing, seen = os.scandir('many'), []
        while len(seen) < 1000: seen.append(next(listing).name)
        for each in (f, log, other): os.fsync(each)
        say('open')
        wait(os.environ['GO'])
        say('here', code(lambda: len(os.listdir('.'))), code(lambda: len(os.listdir(os.environ['HERE'] + '/d'))))
        say('write', code(lambda: os.write(f, b'second')), code(lambda: os.pread(r, 20, 0)))
        say('append', code(lambda: os.write(log, b'2')), code(lambda: os.stat('log').st_size))
        say('moved', code(lambda: os.write(moved, b'm')))
        say('gone', code(lambda: os.write(gone, b'x')), code(lambda: os.close(gone)))
        say('other', code(lambda: os.pread(other, 20, 0)), code(lambda: os.write(other, b'x')))
        say('posix', code(lambda: os.write(posix, b'x')), code(lambda: os.read(posix, 1)), code(lambda: os.write(beside, b'x')))
        say('relock', code(lambda: fcntl.lockf(posix, fcntl.LOCK_EX | fcntl.LOCK_NB)), code(lambda: fcntl.lockf(beside, fcntl.LOCK_EX | fcntl.LOCK_NB)))
        say('flock', code(lambda: os.write(flock, b'x')), code(lambda: os.fsync(flock)))
        say('freed', code(lambda: os.write(freed, b'x')))
        def rest():
            for entry in listing: seen.append(entry.name)
            return len(seen), len(set(seen))
        say('listing', code(rest))
        say('closed', code(lambda: os.close(posix)), code(lambda: os.close(flock)))
        say('again', code(lambda: os.write(os.open('flock', os.O_RDWR), b'y')), code(lambda: fcntl.flock(os.open('flock', os.O_RDWR), fcntl.LOCK_EX)))
        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None, false)]
    [DataRow(ThreeMounts.Coherent, false)]
    [DataRow(ThreeMounts.None, true)]
    public void HostRebooted_OpenFilesGoOnByPath_AndLostLocksAreTold(string cache, bool byAnotherRuntime)
    {
        using var pair = new Pair(keeper: true);
        using var keeper = new KeeperProcess();
        pair.AgentConfiguration["keeper"]!["socket"] = keeper.Socket;
        string image = Path.Combine(pair.Folder, "disk");
        Shell.Check($"truncate -s 64M {image} && mkfs.ext4 -q {image} && mount -o loop {image} {pair.ExportRoot}", "/");
        try
        {
            string mount = pair.Up(entry => entry["cache"] = cache);
            using RunningProgram program = Start(mount, pair.Folder);
            Said(program, "open");
            Shell.Check($"mkdir below && mount -t tmpfs none below && touch below/inside", $"{mount}/d");
            if (byAnotherRuntime)
            {
                pair.Runtime.Kill();
                pair.RestartRuntime();
            }

            // With its disk unmounted nothing is left of the host but the disk.
            PowerOff(pair, keeper);
            string[] said = [];
            Shell.Check($"umount {pair.ExportRoot} && mount -o loop {image} {pair.ExportRoot} && cd {pair.ExportRoot}/d && cp other copy && mv copy other", "/");
            keeper.Start();
            pair.StartAgent();
            File.WriteAllText(Path.Combine(pair.Folder, "go"), "");
            CollectionAssert.AreEqual(
                new[]
                {
                    "open",
                    "here 9 9",
                    "write 6 b'first second'",
                    "append 1 2",
                    "moved 1",
                    "gone ESTALE ESTALE",
                    "other ESTALE ESTALE",
                    "posix EIO EIO 1",
                    "relock EIO None",
                    "flock EIO EIO",
                    "freed 1",
                    "listing (3000, 3000)",
                    "closed EIO EIO",
                    "again 1 None",
                },
                said = Shell.End(program),
                $"{string.Join('\n', said)}\n{pair.Runtime.Log}");
            Assert.IsTrue(File.Exists($"{mount}/d/below/inside"), "what is mounted below");
            JsonNode host = JsonNode.Parse(pair.Runtime.Ctl("host", "show", "host1", "--json").EnsureSuccess().Output)!;
            CollectionAssert.AreEqual(
                new long[] { 1, 7, 2, 2 },
                new[] { "hostReturns", "reopened", "staleFiles", "lostLocks" }.Select(name => host[name]!.GetValue<long>()).ToArray(),
                host.ToJsonString());
            Assert.Contains("2142 FilesLost", pair.Runtime.Log);
            Assert.Contains("2019 MountReturned", pair.Agent.Log);
        }
        finally
        {
            Shell.Run($"umount -l {pair.MountRoot}/data/d/below; umount -l {pair.ExportRoot}", "/");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void ExportRestoredFromACopy_WhatWasOpenIsStale_AndTheMountGoesOn()
    {
        // On a tmpfs, whose files do not outlive the host; and as the agent has no keeper, its death is the host's.
        using var pair = new Pair();
        Shell.Check($"mount -t tmpfs none {pair.ExportRoot}; mkdir {pair.ExportRoot}/d; echo old > {pair.ExportRoot}/d/f; cp -a {pair.ExportRoot} {pair.Folder}/copy", "/");
        try
        {
            string mount = pair.UpUncached();
            using RunningProgram program = Shell.StartPython(
                $$"""
                f = os.open('f', os.O_RDWR)
                say('open')
                wait('{{pair.Folder}}/go')
                attempt('read', lambda: os.pread(f, 9, 0))
                attempt('inside', lambda: os.listdir('.'))
                attempt('close', lambda: os.close(f))
                say(open('{{mount}}/d/f').read().strip())
                """,
                Path.Combine(mount, "d"));
            Said(program, "open");
            pair.Agent.Kill();
            Shell.Check($"umount {pair.ExportRoot} && mount -t tmpfs none {pair.ExportRoot} && cp -a {pair.Folder}/copy/. {pair.ExportRoot}", "/");
            pair.StartAgent();
            File.WriteAllText(Path.Combine(pair.Folder, "go"), "");
            CollectionAssert.AreEqual(new[] { "open", "read ESTALE", "inside ESTALE", "close ESTALE", "old" }, Shell.End(program), $"{program.Output}\n{pair.Runtime.Log}");
        }
        finally
        {
            Shell.Run($"umount -l {pair.ExportRoot}", "/");
        }
    }

    private static RunningProgram Start(string mount, string folder) =>
        Shell.StartPython($"os.environ.update(GO='{folder}/go', HERE='{mount}')\n{Program}", mount);

    private static void Said(RunningProgram program, string word) =>
        Eventually.True(() => program.Output.Contains(word, StringComparison.Ordinal) || program.HasExited, Pair.Limit, $"'{word}'; {program.Error}");

    // Nothing of the host's programs is left, and nothing that they had open.
    private static void PowerOff(Pair pair, KeeperProcess keeper)
    {
        pair.Agent.Kill();
        keeper.Kill();
    }
}
