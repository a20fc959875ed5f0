using System.Text;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// Mounts with <c>cache: coherent</c>: what was read costs no message again, and what the host or another mount changes is
/// seen all the same.
/// </summary>
[TestClass]
public sealed partial class CoherenceTests
{
    private static Pair s_shared = null!;
    private static string s_mount = null!;
    private static int s_cases;

    [ClassInitialize]
    public static void Start(TestContext _)
    {
        s_shared = new Pair();
        s_mount = Up(s_shared);
    }

    [ClassCleanup]
    public static void Stop() => s_shared.Dispose();

    [TestMethod]
    [TestCategory("root")]
    public void WhatWasRead_CostsNoMessageAgain()
    {
        using var pair = new Pair();
        Directory.CreateDirectory(Path.Combine(pair.ExportRoot, "d"));
        File.WriteAllText(Path.Combine(pair.ExportRoot, "d/f"), "content");
        string mount = Up(pair);
        string file = Path.Combine(mount, "d/f"), absent = Path.Combine(mount, "d/absent");
        Prime(file, absent);

        long before = Requests(pair, mount);
        for (int i = 0; i < 100; i++)
        {
            _ = File.GetUnixFileMode(file);
            Assert.IsFalse(File.Exists(absent));
        }

        Assert.AreEqual(before, Requests(pair, mount), "looking at what is known asks the host nothing");
        before = Requests(pair, mount);
        Assert.AreEqual("content", Shell.Check($"cat {file}; stat -c %w {file} > {Path.Combine(pair.Folder, "birth")}", "/"));
        Assert.IsLessThanOrEqualTo(4, Requests(pair, mount) - before, "open, flush and release; the content is there, and the time of birth is asked for once");
        before = Requests(pair, mount);
        Shell.Check($"stat -c %w {file}", "/");
        Assert.AreEqual(before, Requests(pair, mount), "the time of birth is known");
    }

    // Neither the directory's attributes nor the close, of which the host's file system has nothing to say, cost a message.
    [TestMethod]
    [TestCategory("root")]
    public void FilesMadeAndRemoved_CostOneMessageForEachThingThatIsSaid()
    {
        using var pair = new Pair();
        Shell.Check("mkdir d", pair.ExportRoot);
        string mount = Up(pair);
        Shell.Check("for i in 1 2 3; do echo $i > w$i; rm w$i; done; ls", Path.Combine(mount, "d"));
        Dictionary<string, long> before = Messages(pair);
        Shell.Python(
            """
            for i in range(100):
                f = os.open('f%d' % i, os.O_CREAT | os.O_WRONLY)
                os.write(f, b'content')
                os.close(f)
            for i in range(100): os.unlink('f%d' % i)
            say(os.stat('.').st_nlink, len(os.listdir('.')))
            """,
            Path.Combine(mount, "d"));
        Dictionary<string, long> after = Messages(pair);
        string spent = string.Join(", ", after.Select(line => $"{line.Key} {line.Value - before.GetValueOrDefault(line.Key)}").Where(line => !line.EndsWith(" 0", StringComparison.Ordinal)));
        Console.WriteLine(spent);
        Assert.AreEqual(0, after.GetValueOrDefault("FLUSH") - before.GetValueOrDefault("FLUSH"), spent);
        Assert.IsLessThanOrEqualTo(10, after.GetValueOrDefault("GETATTR") - before.GetValueOrDefault("GETATTR"), spent);
        Assert.AreEqual(100, after["CREATE"] - before["CREATE"], spent);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SmallFileThatIsReadFirst_CostsItsOpeningAlone()
    {
        using var pair = new Pair();
        Shell.Check("mkdir d; for i in $(seq 100); do echo $i > d/f$i; done; head -c 16384 /dev/urandom > d/most; head -c 16385 /dev/urandom > d/more; : > d/none", pair.ExportRoot);
        string there = Path.Combine(Up(pair), "d");
        Shell.Check("ls -l", there);
        Dictionary<string, long> Reads(string what, string expected)
        {
            Dictionary<string, long> before = Messages(pair);
            Assert.AreEqual(expected, Shell.Check(what, there), what);
            return Messages(pair).ToDictionary(line => line.Key, line => line.Value - before.GetValueOrDefault(line.Key));
        }

        const string all = "for i in $(seq 100); do cat f$i; done | sha256sum";
        string expected = Shell.Check(all, Path.Combine(pair.ExportRoot, "d"));
        Dictionary<string, long> first = Reads(all, expected);
        Assert.AreEqual(100, first["OPEN"]);
        Assert.AreEqual(0, first.GetValueOrDefault("READ"), "sent with the openings");
        Assert.AreEqual(0, Reads(all, expected).GetValueOrDefault("READ"), "the kernel has them");

        foreach ((string file, long reads) in (IEnumerable<(string, long)>)[("most", 0), ("more", 1), ("none", 0)])
        {
            string sum = $"sha256sum {file}";
            Assert.AreEqual(reads, Reads(sum, Shell.Check(sum, Path.Combine(pair.ExportRoot, "d"))).GetValueOrDefault("READ") > 0 ? 1 : 0, file);
        }

        Shell.Check("echo changed > f7", Path.Combine(pair.ExportRoot, "d"));
        Eventually.True(() => Shell.Check("cat f7", there) == "changed", Pair.Limit, "the host's change");
        Shell.Check("echo more >> f8", Path.Combine(pair.ExportRoot, "d"));
        Eventually.True(() => Shell.Check("stat -c %s f8", there) == "7", Pair.Limit, "the host's change");
        Assert.AreEqual(0, Reads("cat f8", "8\nmore").GetValueOrDefault("READ"), "sent anew after a change");
    }

    // What was sent with the opening is not what is read when it was changed in between.
    [TestMethod]
    [TestCategory("root")]
    public void SmallFile_ChangedHereBetweenItsOpeningAndItsReading_IsReadAsItIs()
    {
        using var pair = new Pair();
        string mount = Up(pair);
        int number = 0;
        foreach ((string change, string expected) in (IEnumerable<(string, string)>)
        [
            ("f = os.open('f', os.O_RDWR); os.pwrite(f, b'X', 1); os.close(f)", "fXrst"),
            ("f = os.open('f', os.O_WRONLY | os.O_APPEND); os.write(f, b'more'); os.close(f)", "firstmore"),
            ("os.truncate('f', 2)", "fi"),
            ("os.close(os.open('f', os.O_WRONLY | os.O_TRUNC))", ""),
            ("os.close(os.open('f', os.O_WRONLY | os.O_CREAT | os.O_TRUNC))", ""),
            ("f = os.open('f', os.O_RDWR); g = os.open('g', os.O_RDONLY); say(os.copy_file_range(g, f, 3)); os.close(f)", "othst"),
            ("f = os.open('f', os.O_RDWR); m = mmap.mmap(f, 5); m[0:2] = b'mm'; m.flush(); m.close(); os.close(f)", "mmrst"),
            ("f = os.open('f', os.O_WRONLY); libc = ctypes.CDLL(None); say(libc.fallocate(f, 3, ctypes.c_long(0), ctypes.c_long(2))); os.close(f)", @"\x00\x00rst"),
        ])
        {
            string folder = $"d{++number}";
            Shell.Check($"mkdir {folder}; printf first > {folder}/f; printf other > {folder}/g", pair.ExportRoot);
            string[] lines = Shell.Python($"r = os.open('f', os.O_RDONLY)\n{change}\nsay('read', os.read(r, 100))", Path.Combine(mount, folder));
            Assert.AreEqual($"read b'{expected}'", lines[^1], change);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void SmallFile_ChangedOnTheHostBetweenItsOpeningAndItsReading_IsReadAsItIs()
    {
        using var pair = new Pair();
        Shell.Check("printf first > f", pair.ExportRoot);
        string mount = Up(pair);
        using FileStream opened = new(Path.Combine(mount, "f"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        Shell.Check("printf 'the second' > f", pair.ExportRoot);
        Eventually.True(() => Shell.Check("stat -c %s f", mount) == "10", Pair.Limit, "the host's change");
        byte[] read = new byte[100];
        Assert.AreEqual("the second", Encoding.ASCII.GetString(read, 0, opened.Read(read)));
    }

    [TestMethod]
    [TestCategory("root")]
    public void FileMadeHere_IsWrittenWithoutAskingForCapabilities_AndTheHostsAreSeen()
    {
        using var pair = new Pair();
        string mount = Up(pair);

        // The first look makes the directory known.
        Assert.AreEqual("", Shell.Check("ls", mount));
        Shell.Check("echo first > warm; for i in 1 2 3; do echo $i > f$i; done", mount);
        Assert.AreEqual("2", File.ReadAllText(Path.Combine(pair.ExportRoot, "f2")).Trim());
        Assert.DoesNotContain("GETXATTR", pair.Agent.Ctl("stats").EnsureSuccess().Output, "the host was not asked");

        Shell.Check(": > tool", mount);
        Shell.Check("setcap cap_net_raw+ep tool", pair.ExportRoot);
        Eventually.True(() => Shell.Check("getcap tool", mount).Contains("cap_net_raw", StringComparison.Ordinal), Pair.Limit, "the host's capability");
        Shell.Check("echo x >> tool", mount);
        Assert.AreEqual("", Shell.Check("getcap tool", pair.ExportRoot), "a write takes it away");
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("written", "echo other > d/f")]
    [DataRow("appended to", "echo more >> d/f")]
    [DataRow("truncated", "truncate -s 1 d/f")]
    [DataRow("overwritten in place", "printf X | dd of=d/f conv=notrunc status=none")]
    [DataRow("replaced", "echo new > d/g; mv d/g d/f")]
    [DataRow("removed", "rm d/f")]
    [DataRow("removed and made again", "rm d/f; echo again > d/f")]
    [DataRow("renamed", "mv d/f d/g")]
    [DataRow("moved away", "mv d/f other/f")]
    [DataRow("mode", "chmod 600 d/f")]
    [DataRow("owner", "chown 12:34 d/f")]
    [DataRow("times", "touch -d @1000000000 d/f")]
    [DataRow("linked", "ln d/f other/l")]
    [DataRow("made where there was none", "echo there > d/absent")]
    [DataRow("directory made", "mkdir d/absent; echo in > d/absent/x")]
    [DataRow("directory's mode", "chmod 711 d")]
    [DataRow("directory renamed", "mv d e; mkdir d; echo fresh > d/f")]
    [DataRow("link's target", "ln -sfn other d/link")]
    [DataRow("exchanged", "python3 -c 'import ctypes; assert ctypes.CDLL(None).renameat2(-100, b\"d/f\", -100, b\"other/o\", 2) == 0'")]
    [DataRow("written through a mapping", "python3 -c 'import mmap; f = open(\"d/f\", \"r+b\"); m = mmap.mmap(f.fileno(), 0); m[0:1] = b\"M\"; m.close(); f.close()'")]
    public void HostChange_IsSeenThroughTheCache(string name, string change)
    {
        string own = $"case{Interlocked.Increment(ref s_cases)}", host = Path.Combine(s_shared.ExportRoot, own), mount = Path.Combine(s_mount, own);
        Shell.Check($"mkdir {own}; cd {own}; mkdir d other; echo content > d/f; echo o > other/o; ln -s f d/link", s_shared.ExportRoot);
        Eventually.True(() => Directory.Exists(mount), Pair.Limit, "the directory of the case");
        Assert.AreEqual(Show(host), Show(mount), "before");
        Prime(Path.Combine(mount, "d/f"), Path.Combine(mount, "d/absent"));
        string cached = Show(mount);

        Shell.Check(change, host);

        string expected = Show(host);
        Assert.IsFalse(cached == expected, "the change changes nothing that is compared");
        Assert.IsTrue(
            Eventually.Within(() => Show(mount) == expected, TimeSpan.FromSeconds(5)),
            $"{name} is unseen on the DPU: {Show(mount)}\nexpected {expected}");
    }

    [TestMethod]
    [TestCategory("root")]
    public void FileMovedAwayWhileOpen_IsStillRead_AsTheHostWritesIt()
    {
        using var pair = new Pair();
        Shell.Check("mkdir d other; echo content > d/f", pair.ExportRoot);
        string mount = Up(pair);
        using FileStream open = File.OpenRead(Path.Combine(mount, "d/f"));
        Assert.AreEqual("content", new StreamReader(open, leaveOpen: true).ReadLine());

        Shell.Check("mv d/f other/f; echo CONTENT > other/f", pair.ExportRoot);

        Assert.IsTrue(
            Eventually.Within(
                () =>
                {
                    open.Position = 0;
                    return new StreamReader(open, leaveOpen: true).ReadLine() == "CONTENT";
                },
                TimeSpan.FromSeconds(5)),
            "the open file stays as it was cached");
    }

    [TestMethod]
    [TestCategory("root")]
    public void SecondNameInADirectoryThatNobodyWatches_ItsWritesAreSeen()
    {
        using var pair = new Pair();
        Shell.Check("mkdir d hidden; echo content > d/f", pair.ExportRoot);
        string mount = Up(pair);
        string file = Path.Combine(mount, "d/f");
        Prime(file, Path.Combine(mount, "d/absent"));
        Shell.Check("ln d/f hidden/l", pair.ExportRoot);
        Eventually.True(() => Shell.Check("stat -c %h f", Path.Combine(mount, "d")) == "2", Pair.Limit, "the second name");
        Assert.AreEqual("content\n", File.ReadAllText(file));

        Shell.Check("echo through the other > hidden/l", pair.ExportRoot);
        Eventually.True(() => File.ReadAllText(file) == "through the other\n", TimeSpan.FromSeconds(5), "what was written through the other name");
    }

    [TestMethod]
    [TestCategory("root")]
    public void TwoMounts_SeeEachOthersChanges()
    {
        using var pair = new Pair();
        Shell.Check("mkdir d other; echo content > d/f; echo o > other/o; ln -s f d/link", pair.ExportRoot);
        string one = Up(pair);
        string two = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "two")).FullName;
        pair.Runtime.Ctl("mount", "host1:data", two, "--cache", "coherent").EnsureSuccess();
        Eventually.True(() => IsCaching(pair, two), Pair.Limit, "the second mount's cache");
        foreach (string change in (string[])["echo by one > d/f", "chmod 640 d/f", "mv d/f d/g", "echo more >> d/g", "rm d/g", "mkdir d/absent"])
        {
            Assert.AreEqual(Show(one), Show(two));
            Shell.Check(change, one);
            string expected = Show(pair.ExportRoot);
            Assert.AreEqual(expected, Show(one), $"the changing mount itself, after '{change}'");
            Assert.IsTrue(Eventually.Within(() => Show(two) == expected, TimeSpan.FromSeconds(5)), $"'{change}' is unseen by the other mount: {Show(two)}");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void AgentGone_CachedDataIsServedForABoundedTime_AndFreshWhenItIsBack()
    {
        using var pair = new Pair();
        Shell.Check("mkdir d other; echo content > d/f; echo o > other/o; ln -s f d/link", pair.ExportRoot);
        string mount = Up(pair, entry => entry["giveUpAfter"] = "1s");
        string file = Path.Combine(mount, "d/f");
        Prime(file, Path.Combine(mount, "d/absent"));
        pair.Agent.Kill();
        Shell.Check("echo changed meanwhile > d/f", pair.ExportRoot);
        Eventually.True(() => Shell.Run($"cat {file}", "/").ExitCode != 0, Pair.Limit, "the end of what may be served stale");

        pair.StartAgent();
        Eventually.True(() => Shell.Run($"cat {file}", "/").Output == "changed meanwhile\n", Pair.Limit, "the mount after the agent's return");
        Eventually.True(() => IsCaching(pair, mount), Pair.Limit, "the cache again");
        Prime(file, Path.Combine(mount, "d/absent"));
        Shell.Check("echo once more > d/f", pair.ExportRoot);
        Eventually.True(() => File.ReadAllText(file) == "once more\n", TimeSpan.FromSeconds(5), "a change after the agent's return");
    }

    [TestMethod]
    [TestCategory("root")]
    public void EventsLost_EverythingIsAskedForAgain()
    {
        using var pair = new Pair();
        Shell.Check("mkdir d other; echo content > d/f", pair.ExportRoot);
        string mount = Up(pair);
        string file = Path.Combine(mount, "d/f");
        Prime(file, Path.Combine(mount, "d/absent"));

        OverflowEvents(pair, "d", "echo unseen > d/f");
        Eventually.True(() => File.ReadAllText(file) == "unseen\n", Pair.Limit, "the change whose event was lost");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ExportWithoutCache_AsksEachTime_AndSaysSo()
    {
        using var pair = new Pair();
        pair.AgentConfiguration["exports"]![0]!["cache"] = "none";
        Shell.Check("mkdir d; echo content > d/f", pair.ExportRoot);
        string mount = pair.Up(entry => entry["cache"] = "coherent");
        string file = Path.Combine(mount, "d/f");
        long before = Requests(pair, mount);
        _ = File.GetUnixFileMode(file);
        _ = File.GetUnixFileMode(file);
        Assert.IsGreaterThanOrEqualTo(before + 2, Requests(pair, mount));
        Eventually.True(() => pair.Runtime.Log.Contains("does not tell of changes", StringComparison.Ordinal), Pair.Limit, "the reason in the log");
    }

    [TestMethod]
    [TestCategory("root")]
    public void StrictFiles_AreAskedForEachTime_AndShowWhatNobodyTells()
    {
        using var pair = new Pair();
        pair.AgentConfiguration["exports"]![0]!["strict"] = new JsonArray("*.img", "volumes/**");
        Shell.Check("mkdir volumes; for f in disk.img plain volumes/v; do echo content > $f; done", pair.ExportRoot);
        string mount = Up(pair);
        foreach ((string name, bool strict) in new[] { ("disk.img", true), ("volumes/v", true), ("absent.img", true), ("volumes/absent", true), ("plain", false), ("absent", false) })
        {
            string file = Path.Combine(mount, name);
            Shell.Check($"stat {file}; stat {file}; true", "/");
            long before = Requests(pair, mount);
            Shell.Check($"stat {file}; stat {file}; true", "/");
            Assert.AreEqual(strict, Requests(pair, mount) >= before + 2, $"{name}: {Requests(pair, mount) - before} requests for two looks");
        }

        // A store through a mapping that stays open is no event (fanotify(7)).
        using RunningProgram writer = Shell.StartPython(
            """
            files = [open(name, 'r+b') for name in ('disk.img', 'volumes/v')]
            maps = [mmap.mmap(f.fileno(), 0) for f in files]
            for n in range(3):
                for m in maps: m[0:1] = b'%d' % n
                say(n)
                wait('../go%d' % n)
            """,
            pair.ExportRoot);
        for (int n = 0; n < 3; n++)
        {
            writer.WaitForLine(line => line == $"{n}", Pair.Limit);
            Assert.AreEqual($"{n}ontent\n{n}ontent", Shell.Check("cat disk.img volumes/v", mount));
            File.WriteAllText(Path.Combine(pair.Folder, $"go{n}"), "");
        }

        Shell.End(writer);
    }

    // All that is compared: names, kinds, modes, owners, sizes, times, link counts, targets, contents.
    private static string Show(string root)
    {
        ProgramResult shown = Shell.Run(
            "for p in d d/f d/g d/absent d/absent/x d/link other other/f other/o; do stat -c '%n %F %a %u:%g %s %Y %h' $p 2>&1 | sed -E 's/ directory ([0-9]+) ([0-9:]+) [0-9]+ / directory \\1 \\2 /'; readlink $p; test -f $p && cat $p; done; ls d other",
            root);
        return shown.Output;
    }

    private static string Up(Pair pair, Action<JsonObject>? change = null)
    {
        string mount = pair.Up(entry =>
        {
            entry["cache"] = "coherent";
            change?.Invoke(entry);
        });
        Eventually.True(() => IsCaching(pair, mount), Pair.Limit, $"the cache; the runtime's log: {pair.Runtime.Log}; the agent's log: {pair.Agent.Log}");
        return mount;
    }

    // The second look at a name asks nothing.
    private static bool IsCaching(Pair pair, string mount)
    {
        string absent = Path.Combine(mount, "never-there");
        _ = File.Exists(absent);
        long before = Requests(pair, mount);
        _ = File.Exists(absent);
        return Requests(pair, mount) == before;
    }

    private static void Prime(string file, string absent)
    {
        for (int i = 0; i < 3; i++)
        {
            _ = File.ReadAllText(file);
            _ = File.GetUnixFileMode(file);
            _ = File.Exists(absent);
        }
    }

    // More events than the kernel's queue holds, while nobody takes them, and something else at the end.
    private static void OverflowEvents(Pair pair, string directory, string last)
    {
        pair.Agent.Signal("STOP");
        int queue = int.Parse(File.ReadAllText("/proc/sys/fs/fanotify/max_queued_events"), System.Globalization.CultureInfo.InvariantCulture);
        Shell.Check($"python3 -c 'import os; [os.close(os.open(f\"{directory}/n{{i}}\", os.O_CREAT)) for i in range({queue + 500})]'; {last}", pair.ExportRoot);
        pair.Agent.Signal("CONT");
        Eventually.True(() => pair.Agent.Log.Contains("overflowed", StringComparison.Ordinal), Pair.Limit, "the overflow in the agent's log");
    }

    // What the host was asked, by opcode.
    private static Dictionary<string, long> Messages(Pair pair) =>
        JsonNode.Parse(pair.Agent.Ctl("stats", "data", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray().Single()!["operations"]!.AsArray()
            .ToDictionary(operation => operation!["operation"]!.GetValue<string>()["FUSE_".Length..], operation => operation!["requests"]!.GetValue<long>());

    private static long Requests(Pair pair, string target) => Counter(pair, target, "requests");

    private static long Counter(Pair pair, string target, string name) =>
        JsonNode.Parse(pair.Runtime.Ctl("mounts", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray()
            .Single(mount => mount!["target"]!.GetValue<string>() == target)!["counters"]![name]!.GetValue<long>();
}
