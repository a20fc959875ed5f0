using System.Globalization;
using System.Net.Sockets;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>What dpu-launch is told, as programs see it that it becomes.</summary>
[TestClass]
public sealed unsafe class LaunchTests
{
    private const int Nobody = 65534;

    private static string Program => Path.Combine(AppContext.BaseDirectory, "dpu-launch");

    [TestMethod]
    [TestCategory("root")]
    public void Arguments_AndEnvironment_AreThoseTold_AndNothingElseIs()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        Assert.AreEqual("[one][][two words]\n", Run(client, Records.Of("/usr/bin/printf", "[%s]", "one", "", "two words").Text(process.PROCESS_ENVIRONMENT, "A=1")) + "\n");
        Assert.AreEqual("PATH=/usr/sbin:/usr/bin:/sbin:/bin\nA=b=c\nEMPTY=\n", Run(client, Records.Of("/usr/bin/env").Text(process.PROCESS_ENVIRONMENT, "A=b=c").Text(process.PROCESS_ENVIRONMENT, "EMPTY=")));
        Assert.AreEqual("another name", Run(client, new Records().Text(process.PROCESS_PROGRAM, "/bin/sh").Text(process.PROCESS_ARGUMENT, "another name").Text(process.PROCESS_ARGUMENT, "-c").Text(process.PROCESS_ARGUMENT, "echo $0")).TrimEnd());
        Assert.AreEqual("/usr/share 0026", Run(client, Records.Shell("echo $(pwd) $(umask)").Text(process.PROCESS_DIRECTORY, "/usr/share").Numbers(process.PROCESS_UMASK, 22)).TrimEnd());

        // Argument and environment of many bytes, and a kind that is not known.
        string much = new('x', 100_000);
        Assert.AreEqual("300000", Run(client, Records.Of("/bin/sh", "-c", "echo $((${#1} + ${#2} + ${#M}))", "sh", much, much).Text(process.PROCESS_ENVIRONMENT, $"M={much}").Text(60, "?").Text(999, "?")).TrimEnd());
    }

    [TestMethod]
    [TestCategory("root")]
    public void Descriptors_HaveTheirNumbers_AlsoWhereThatSwapsThem()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        using TemporaryDirectory folder = new();
        string[] names = ["three", "four", "five", "nine", "nine hundred"];
        int[] numbers = [3, 4, 5, 9, 900];
        foreach (int[] order in (int[][])[[0, 1, 2, 3, 4], [1, 0, 3, 2, 4], [4, 3, 2, 1, 0], [2, 0, 1, 4, 3]])
        {
            SafeFileHandle[] files = [.. names.Select(name => File.OpenHandle(folder.WriteFile(name, name + "\n")))];
            (int, SafeFileHandle)[] given = [.. order.Select(i => (numbers[i], files[i]))];
            string seen = Run(client, Records.Of("/usr/bin/python3", "-c", "import os\nfor n in sorted(map(int, os.listdir('/proc/self/fd'))):\n  if n > 2 and os.path.exists(f'/proc/self/fd/{n}') and not os.readlink(f'/proc/self/fd/{n}').startswith('/proc'): print(n, os.read(n, 100).decode().strip())"), given);
            Assert.AreEqual("3 three\n4 four\n5 five\n9 nine\n900 nine hundred\n", seen);
            Array.ForEach(files, file => file.Dispose());
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void User_GroupsAndCapabilities_AreThoseTold()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        Dictionary<string, string> status = Status(client, new Records().Numbers(process.PROCESS_IDENTITY, Nobody, 1234).Numbers(process.PROCESS_GROUPS, 7, 70000));
        Assert.AreEqual("65534 65534 65534 65534", status["Uid"]);
        Assert.AreEqual("1234 1234 1234 1234", status["Gid"]);
        Assert.AreEqual("7 70000", status["Groups"]);
        Assert.AreEqual("0000000000000000", status["CapEff"]);

        // A user who is told of without groups has none of the keeper's.
        Assert.AreEqual("", Status(client, new Records().Numbers(process.PROCESS_IDENTITY, Nobody, 1234))["Groups"]);

        // CAP_NET_BIND_SERVICE (10) and CAP_SYS_NICE (23), the first of them ambient; a bit that no kernel has.
        ulong two = (1ul << 10) | (1ul << 23);
        status = Status(client, new Records().Numbers(process.PROCESS_IDENTITY, Nobody, Nobody).Wide(process.PROCESS_CAPABILITIES, two, two | (1ul << 62), two, two, 1ul << 10));
        Assert.AreEqual("0000000000000400", status["CapEff"]);
        Assert.AreEqual("0000000000000400", status["CapAmb"]);
        Assert.AreEqual("0000000000800400", status["CapBnd"]);
        Assert.AreEqual("0000000000800400", status["CapInh"]);

        // Root's come back with execve(2), but no further than the bounding set.
        status = Status(client, new Records().Wide(process.PROCESS_CAPABILITIES, 0, 0, 0, two, 0));
        Assert.AreEqual("0000000000800400", status["CapEff"]);
        Assert.AreEqual("0", status["NoNewPrivs"]);
        Assert.AreEqual("1", Status(client, new Records().Numbers(process.PROCESS_FLAGS, (int)process.PROCESS_NO_NEW_PRIVILEGES))["NoNewPrivs"]);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Signals_AreBlockedAndIgnoredAsTold_AndOthersAreNot()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);

        // 1, 15, 34 and 64 blocked (one of them is glibc's own), 10 and 13 ignored.
        ulong blocked = 1ul | (1ul << 14) | (1ul << 32) | (1ul << 63), ignored = (1ul << 9) | (1ul << 12);
        Dictionary<string, string> status = Status(client, new Records().Wide(process.PROCESS_SIGNALS, blocked, ignored));
        Assert.AreEqual(blocked.ToString("x16", CultureInfo.InvariantCulture), status["SigBlk"]);
        Assert.AreEqual(ignored.ToString("x16", CultureInfo.InvariantCulture), status["SigIgn"]);
        status = Status(client, new Records());
        Assert.AreEqual("0000000000000000 0000000000000000", $"{status["SigBlk"]} {status["SigIgn"]}");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Limits_OomScoreAndScheduling_AreThoseTold()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);

        // RLIMIT_NOFILE below a number that it has, RLIMIT_CORE; a hard limit above what the keeper may give is as high as it may.
        using SafeFileHandle file = File.OpenHandle("/dev/null");
        string seen = Run(client, Records.Shell("ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc; ls /proc/self/fd | grep -c 50; cat /proc/self/oom_score_adj; ps -o ni=,cls=,rtprio= -p $$")
            .Wide(process.PROCESS_LIMITS, 7, 20, 30, 4, 512 * 5, 512 * 7).Numbers(process.PROCESS_OOM, 321).Numbers(process.PROCESS_SCHEDULING, 0, 0, 7), (50, file));
        CollectionAssert.AreEqual((string[])["20", "30", "5", "7", "1", "321", "7", "TS", "-"], seen.Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries));
        Assert.AreEqual("BATCH 0", Run(client, Records.Of("/usr/bin/python3", "-c", "import os; print({os.SCHED_BATCH: 'BATCH'}[os.sched_getscheduler(0)], os.getpriority(0, 0))").Numbers(process.PROCESS_SCHEDULING, 3, 0, 0)).TrimEnd());

        // RLIMIT_NOFILE above fs.nr_open nobody may have: as much as the keeper.
        string most = File.ReadLines($"/proc/{keeper.Running.Id}/limits").Single(line => line.StartsWith("Max open files", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2];
        Assert.AreEqual($"{most}\n{most}\n", Run(client, Records.Shell("ulimit -n; ulimit -Hn").Wide(process.PROCESS_LIMITS, 7, ulong.MaxValue, ulong.MaxValue)));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ProcessorsAndNodes_AreThoseTold_BeforeTheProgramBegins()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        Dictionary<string, string> status = Status(client, new Records().Wide(process.PROCESS_PROCESSORS, 1ul << 1, 0));
        Assert.AreEqual("1", status["Cpus_allowed_list"]);
        Assert.AreEqual(File.ReadAllText("/sys/devices/system/cpu/online").Trim(), Status(client, new Records())["Cpus_allowed_list"]);

        // Of numa_maps(5): the policy of all of its memory, that of its own file too.
        Assert.AreEqual("bind:0", Run(client, Records.Shell("cut -d' ' -f2 /proc/self/numa_maps | sort -u").Wide(process.PROCESS_NODES, 1ul)).TrimEnd());
        Assert.AreEqual("default", Run(client, Records.Shell("cut -d' ' -f2 /proc/self/numa_maps | sort -u")).TrimEnd());
    }

    [TestMethod]
    [TestCategory("root")]
    public void Terminal_OfANewSession_IsTheControllingOne()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        using SafeFileHandle master = OpenTerminal(out string name), terminal = File.OpenHandle(name, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        (SafeFileHandle jobs, SafeFileHandle tells) = Jobs();
        using (tells)
        using (jobs)
        using (LaunchedProgram shell = new(
            client,
            Records.Shell("test -t 0 && echo hello > /dev/tty; ps -o tty=,tpgid=,pgid=,sid= -p $$; ls /proc/$$/fd | grep -c [567]; true").Numbers(process.PROCESS_FLAGS, (int)process.PROCESS_NEW_SESSION).Numbers(process.PROCESS_TERMINAL, 5, 6),
            (0, terminal),
            (5, terminal),
            (6, jobs)))
        {
            Assert.IsNull(shell.Failure, shell.Failure?.Text(8));
            string[] seen = shell.ReadToEnd().Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
            CollectionAssert.AreEqual((string[])[name["/dev/".Length..], $"{shell.Id}", $"{shell.Id}", $"{shell.Id}", "0"], seen, "and neither of both is the program's");
            byte[] read = new byte[20];
            fixed (byte* pointer = read)
            {
                Assert.IsGreaterThan(4, LibC.read((int)master.DangerousGetHandle(), pointer, 20));
            }

            Assert.AreEqual("hello", System.Text.Encoding.ASCII.GetString(read, 0, 5));
        }

        Assert.AreEqual("alone", Run(client, Records.Shell("test $(ps -o pgid= -p $$) = $$ && echo alone").Numbers(process.PROCESS_FLAGS, (int)process.PROCESS_NEW_GROUP)).TrimEnd());
    }

    [TestMethod]
    [TestCategory("root")]
    public void Jobs_InTheBackgroundAProgramThatReadsIsStopped_AndItGoesOnInTheForeground()
    {
        using TemporaryDirectory folder = new();
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        using SafeFileHandle master = OpenTerminal(out string name), terminal = File.OpenHandle(name, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        (SafeFileHandle jobs, SafeFileHandle tells) = Jobs();
        using FileStream told = new(tells, FileAccess.Write, 0);
        using (jobs)
        {
            // What is told before comes before the program.
            told.Write(Job(process.PROCESS_BACKGROUND, 30, 90));
            using LaunchedProgram shell = new(
                client,
                Records.Shell($"trap 'echo hup' HUP; read x; echo $x; stty size; ps -o pid= -s $$ | wc -l; : > {folder["read"]}; read y; echo $y").Numbers(process.PROCESS_FLAGS, (int)process.PROCESS_NEW_SESSION).Numbers(process.PROCESS_TERMINAL, 5, 6),
                (0, terminal),
                (5, terminal),
                (6, jobs));
            Assert.IsNull(shell.Failure, shell.Failure?.Text(8));
            Eventually.True(() => shell.State.StoppedBy == signal.SIGTTIN, KeeperProcess.Limit, "the stop of who reads in the background");
            told.Write(Job(process.PROCESS_FOREGROUND, 31, 91));
            told.Write(Job(process.PROCESS_TO_GROUP, (ushort)signal.SIGCONT, 0));
            Eventually.True(() => shell.State.StoppedBy == 0, KeeperProcess.Limit, "its going on");
            using (FileStream typed = new(new SafeFileHandle(LibC.dup((int)master.DangerousGetHandle()), ownsHandle: true), FileAccess.Write, 0))
            {
                typed.Write("typed\n"u8);

                // What the terminal's own key says is as with any parent in the session. It takes away what is typed and not read yet.
                Eventually.True(() => File.Exists(folder["read"]), KeeperProcess.Limit, "the first line to be read");
                typed.Write("\u001a"u8);
                Eventually.True(() => shell.State.StoppedBy == signal.SIGTSTP, KeeperProcess.Limit, "the stop by a key");
                told.Write(Job(process.PROCESS_TO_GROUP, (ushort)signal.SIGCONT, 0));
                typed.Write("more\n"u8);
            }

            string seen = string.Join(' ', shell.ReadToEnd().Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries));

            // The shell, ps, wc and both that help.
            Assert.AreEqual("typed 31 91 5 more", seen);
            Assert.AreEqual(0, shell.Wait().ExitCode);
            Eventually.True(() => ExternalProgram.Run("ps", ["-o", "pid=", "-s", $"{shell.Id}"], KeeperProcess.Limit).Output.Trim().Length == 0, KeeperProcess.Limit, "the end of both that help");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void ControlGroups_AreEnteredAndClosed()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        using TemporaryDirectory folder = new();

        // Files stand for cgroup.procs; then a real one, where the machine lets us make it.
        using (SafeFileHandle first = File.OpenHandle(folder["a"], FileMode.Create, FileAccess.Write), second = File.OpenHandle(folder["b"], FileMode.Create, FileAccess.Write))
        {
            Assert.AreEqual("0 1 2 3", Run(client, Records.Shell("ls /proc/self/fd | tr '\\n' ' '").Numbers(process.PROCESS_CGROUP, 7).Numbers(process.PROCESS_CGROUP, 8), (7, first), (8, second)).Trim());
        }

        Assert.AreEqual("00", File.ReadAllText(folder["a"]) + File.ReadAllText(folder["b"]));
        string hierarchy = File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' ')).First(parts => parts.Contains("cgroup2") || parts.Contains("cgroup"))[4];
        string group = Path.Combine(hierarchy, $"dpu-launch-{Guid.NewGuid():n}");
        Directory.CreateDirectory(group);
        try
        {
            using SafeFileHandle members = File.OpenHandle(Path.Combine(group, "cgroup.procs"), FileMode.Open, FileAccess.Write);
            Assert.Contains(Path.GetFileName(group), Run(client, Records.Of("/bin/cat", "/proc/self/cgroup").Numbers(process.PROCESS_CGROUP, 3), (3, members)));
        }
        finally
        {
            Eventually.True(() => File.ReadAllText(Path.Combine(group, "cgroup.procs")).Length == 0, KeeperProcess.Limit, "the end of its members");
            Directory.Delete(group);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Help_AndVersion_AreThere()
    {
        Assert.StartsWith("dpu-launch 0.", ExternalProgram.Check(Program, ["--version"], KeeperProcess.Limit));
        Assert.Contains("dpu-stub(1)", ExternalProgram.Check(Program, ["--help"], KeeperProcess.Limit));
        Assert.AreEqual(2, ExternalProgram.Run(Program, ["--what"], KeeperProcess.Limit).ExitCode);
    }

    private static string Run(KeeperClient client, Records records, params (int Number, SafeFileHandle Handle)[] given) => LaunchedProgram.Run(client, records, given);

    private static Dictionary<string, string> Status(KeeperClient client, Records more)
    {
        byte[] all = [.. Records.Of("/bin/cat", "/proc/self/status").ToArray(), .. more.ToArray()];
        return Run(client, Records.Of(all)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(':', 2))
            .ToDictionary(parts => parts[0], parts => string.Join(' ', parts[1].Split((char[])['\t', ' '], StringSplitOptions.RemoveEmptyEntries)));
    }

    private static (SafeFileHandle Reads, SafeFileHandle Writes) Jobs()
    {
        int* ends = stackalloc int[2];
        Assert.AreEqual(0, LibC.pipe2(ends, fcntl.O_CLOEXEC));
        return (new SafeFileHandle(ends[0], ownsHandle: true), new SafeFileHandle(ends[1], ownsHandle: true));
    }

    private static byte[] Job(uint kind, ushort rows, ushort columns) => [.. BitConverter.GetBytes(kind), .. BitConverter.GetBytes(rows), .. BitConverter.GetBytes(columns), 0, 0, 0, 0];

    private static SafeFileHandle OpenTerminal(out string name)
    {
        SafeFileHandle master = File.OpenHandle("/dev/ptmx", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        int unlocked = 0, number = 0;

        // SAFETY: TIOCSPTLCK and TIOCGPTN read and write an int.
        Assert.AreEqual(0, LibC.ioctl((int)master.DangerousGetHandle(), 0x40045431, &unlocked));
        Assert.AreEqual(0, LibC.ioctl((int)master.DangerousGetHandle(), 0x80045430, &number));
        name = $"/dev/pts/{number}";
        return master;
    }
}
