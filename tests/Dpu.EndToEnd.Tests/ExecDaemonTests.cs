using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Programs that leave a daemon running on the host: somebody stands for it on the DPU, and the file in which it says its number says that one's.</summary>
[TestClass]
public sealed class ExecDaemonTests
{
    private const string Qemu = "/usr/bin/qemu-system-x86_64";

    // As daemons do: twice, and the file is written late. What it gets, it says.
    private const string Daemon =
        """
        import os, signal, sys, time
        pid_file, log, late = sys.argv[2], sys.argv[3], float(sys.argv[4])
        if os.fork(): os._exit(0)
        os.setsid()
        if os.fork(): os._exit(0)
        os.chdir('/')
        null = os.open('/dev/null', os.O_RDWR)
        for i in range(3): os.dup2(null, i)
        def got(number, frame):
            open(log, 'a').write(f'{number}\n')
            if number == signal.SIGTERM: os._exit(0)
        for number in (signal.SIGUSR1, signal.SIGTERM): signal.signal(number, got)
        time.sleep(late)
        open(pid_file + '.new', 'w').write(f'{os.getpid()}\n')
        os.rename(pid_file + '.new', pid_file)
        while True: signal.pause()
        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(true)]
    [DataRow(false)]
    public void Daemon_HasAStandIn_WhosePidItsFileSays(bool ownNumbers)
    {
        using PidNamespace? host = ownNumbers ? new PidNamespace() : null;
        using var pair = new ExecPair(programs: ["/usr/bin/python3", Qemu], host: host, sockets: true);
        using PidNamespace? view = ownNumbers ? new PidNamespace() : null;
        string root = pair.Pair.ExportRoot;
        Begin(pair, view, late: 0.02);
        int number = Check(File.ReadAllText(Written(pair, "data/pid")));
        Assert.AreEqual("1", Shell(pair, view, $"cut -d' ' -f 4 /proc/{number}/stat"), "it is init's, as a daemon is");
        _ = Shell(pair, view, $"kill -USR1 {number}");
        Eventually.True(() => File.Exists($"{root}/log") && File.ReadAllText($"{root}/log") == "10\n", Pair.Limit, "the signal");
        End(number);
        Assert.AreEqual("10\n15\n", File.ReadAllText($"{root}/log"));

        // As libvirt probes what QEMU can do: it connects by path, and signals whom the file names.
        string mount = Path.Combine(pair.Pair.MountRoot, "data");
        number = Check(Shell(pair, view, $"cd /; $REXEC {Qemu} -S -no-user-config -nodefaults -nographic -machine none -qmp unix:{root}/qmp,server=on,wait=off -pidfile {root}/qemu.pid -daemonize </dev/null && cat {mount}/qemu.pid"));
        Assert.Contains("QMP", Shell(pair, view, $"timeout 5 python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"{mount}/qmp\"); print(s.recv(99).decode())'"));
        End(number);
        Eventually.True(() => !File.Exists($"{root}/qemu.pid"), Pair.Limit, "QEMU removes its file");

        int Check(string said)
        {
            int number = int.Parse(said, CultureInfo.InvariantCulture);
            JsonNode daemon = Running(pair).Single();
            Assert.AreEqual(("daemonised", number, ownNumbers ? "identity" : "mapped"), ((string)daemon["state"]!, (int)daemon["ownPid"]!, (string)daemon["pids"]!));
            Assert.AreEqual(ownNumbers, number == (int)daemon["hostPid"]!);
            return number;
        }

        void End(int number)
        {
            _ = Shell(pair, view, $"kill -TERM {number}; while kill -0 {number} 2>/dev/null; do sleep 0.01; done");
            Eventually.True(() => Running(pair).Length == 0, Pair.Limit, "its end in the list");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Daemon_GoesOnWhateverIsKilled_AndADeadStandInEndsIt()
    {
        using var pair = new ExecPair();
        Begin(pair, null, late: 0);
        JsonNode daemon = Running(pair).Single();
        (int host, int number) = ((int)daemon["hostPid"]!, (int)daemon["pid"]!);
        string log = Path.Combine(pair.Pair.ExportRoot, "log");
        for (int round = 0; round < 3; round++)
        {
            // The agent, the runtime, both.
            if (round != 1)
            {
                pair.Pair.Agent.Kill();
            }

            if (round != 0)
            {
                pair.Pair.Runtime.Kill();
                pair.Pair.RestartRuntime(quick: true);
            }

            if (round != 1)
            {
                pair.Pair.RestartAgent(quick: true);
            }

            _ = pair.Check($"kill -USR1 {number}");
            string wanted = string.Concat(Enumerable.Repeat("10\n", round + 1));
            Eventually.True(() => File.Exists(log) && File.ReadAllText(log) == wanted, Pair.Limit, "the signal");
        }

        Eventually.True(() => Running(pair) is [{ } one] && (string)one["state"]! == "daemonised" && (int)one["hostPid"]! == host, Pair.Limit, "the daemon in the list");
        _ = pair.Check($"kill -KILL {number}");
        Eventually.True(() => !Directory.Exists($"/proc/{host}"), Pair.Limit, "the daemon's end");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Several_ThatAreLeft_AreStoodForOneAfterTheOther_AndReachedByPsKill()
    {
        using var pair = new ExecPair();

        // Who waits for the end does not wait for them.
        _ = pair.Check("$REXEC /bin/sh -c 'sleep 1000 > /dev/null 2>&1 & sleep 1001 > /dev/null 2>&1 & exit 0'");
        JsonNode first = Running(pair).Single();
        Assert.AreEqual(0, pair.Pair.Runtime.Ctl("ps", "kill", "--signal", "KILL", (string)first["id"]!).ExitCode);
        JsonNode? second = null;
        Eventually.True(
            () => (second = Running(pair).SingleOrDefault()) is not null && (int)second["hostPid"]! != (int)first["hostPid"]! && (int)second["pid"]! != 0, Pair.Limit, "the next one");
        Assert.IsTrue(Directory.Exists($"/proc/{(int)second!["pid"]!}"));
        Assert.AreEqual(0, pair.Pair.Runtime.Ctl("ps", "kill", ((int)second["pid"]!).ToString(CultureInfo.InvariantCulture)).ExitCode);
        Eventually.True(() => Running(pair).Length == 0 && !Directory.Exists($"/proc/{(int)second["hostPid"]!}"), Pair.Limit, "its end");
    }

    private static string Written(ExecPair pair, string file)
    {
        string path = Path.Combine(pair.Pair.MountRoot, file);
        Eventually.True(() => File.Exists(path), Pair.Limit, "the pid file");
        return path;
    }

    private static void Begin(ExecPair pair, PidNamespace? view, double late)
    {
        string root = pair.Pair.ExportRoot;
        File.WriteAllText($"{root}/daemon.py", Daemon);
        Assert.AreEqual("0", Shell(pair, view, $"$REXEC /usr/bin/python3 {root}/daemon.py --pid-file {root}/pid {root}/log {late.ToString(CultureInfo.InvariantCulture)}; echo $?"));
        Assert.HasCount(1, Running(pair), pair.Pair.Agent.Log + pair.Pair.Runtime.Log);
    }

    private static string Shell(ExecPair pair, PidNamespace? view, string program) => view is null ? pair.Check(program) : view.Run(program, pair.Environment);

    private static JsonNode[] Running(ExecPair pair) =>
        [.. JsonNode.Parse(pair.Pair.Runtime.Ctl("ps", "--json").EnsureSuccess().Output)!["processes"]!.AsArray().Select(process => process!).Where(process => (string)process["state"]! != "running")];
}
