using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>The daemons as services of a real systemd, by the units that packages have, with the capabilities and system calls that these leave them.</summary>
[TestClass]
public sealed class SystemdTests
{
    // Writes numbers to a file that it has open, until it is told to stop; then reads one that has no name any more.
    private const string Worker = """
        cd {0} || exit 1
        echo kept > held; exec 3>>log 4<held; rm held
        i=0
        until [ -e stop ]; do echo $i >&3 || exit 1; i=$((i+1)); done
        echo "$i $(cat <&4)"
        """;

    [TestMethod]
    [TestCategory("root")]
    public void Runtime_KilledRestartedStoppedAndStarted_AndItsKeeperKilled_FilesGoOn()
    {
        using var pair = new Pair();
        using var machine = new SystemdMachine(CgroupKind.Two);
        string mount = machine.Up(pair);
        string keeper = machine.MainProcess(SystemdMachine.Keeper);
        using RunningProgram worker = Start(machine, mount);
        Progress(pair);

        machine.KillService(SystemdMachine.Runtime);
        Progress(pair);
        _ = machine.CheckCtl("restart", "dpu-runtime");
        Progress(pair);
        _ = machine.CheckCtl("stop", "dpu-runtime");
        Assert.AreEqual("1", machine.Check($"grep -c ' {mount} ' /proc/self/mountinfo"), "the mount waits for the next runtime");
        _ = machine.CheckCtl("start", "dpu-runtime");
        Progress(pair);

        // An upgrade of the packages cannot take it along.
        ProgramResult refused = machine.Ctl("stop", "dpu-keeper");
        Assert.AreNotEqual(0, refused.ExitCode);
        Assert.Contains("refused", refused.Error);
        Assert.AreEqual(keeper, machine.MainProcess(SystemdMachine.Keeper));

        machine.KillService(SystemdMachine.Keeper);
        Progress(pair);
        Eventually.True(() => machine.Ctl(pair, "upgrade", "status").ExitCode == 0, Pair.Limit, "that the next keeper has all");
        machine.KillService(SystemdMachine.Runtime);
        Progress(pair);
        End(pair, worker);
        machine.Check($"umount {mount}");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Agent_KilledRestartedStoppedAndStarted_AndItsKeeperKilled_FilesGoOn()
    {
        using var pair = new Pair();
        using var machine = new SystemdMachine(CgroupKind.Two);
        machine.StartAgent(pair);
        JsonObject configuration = pair.RuntimeConfiguration();
        JsonObject entry = pair.Mount("data", "data");
        configuration["mounts"]!.AsArray().Add(entry);
        _ = pair.StartRuntimeAlone(configuration);
        string mount = (string)entry["target"]!;
        Pair.WaitMounted(mount);
        using RunningProgram worker = RunningProgram.Start("bash", ["-c", string.Format(CultureInfo.InvariantCulture, Worker, mount)]);
        Progress(pair);
        machine.KillService(SystemdMachine.Agent);
        Progress(pair);
        _ = machine.CheckCtl("restart", "dpu-host-agent");
        Progress(pair);
        machine.KillService(SystemdMachine.Keeper);
        Progress(pair);
        Eventually.True(() => machine.LogOf(SystemdMachine.Agent).Split("holds what this daemon has").Length > 3, Pair.Limit, "that the next keeper has all: " + machine.LogOf(SystemdMachine.Agent));
        _ = machine.CheckCtl("stop", "dpu-host-agent");
        _ = machine.CheckCtl("start", "dpu-host-agent");
        Progress(pair);
        End(pair, worker);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Runtime_WithWhatItsUnitLeavesIt_ServesSocketsFifosProcessesAndViews()
    {
        using var pair = new Pair(keeper: true);
        JsonObject export = pair.AgentConfiguration["exports"]![0]!.AsObject();
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("**"), ["bind"] = new JsonArray("**") };
        export["fifos"] = new JsonArray(new JsonObject { ["match"] = "**" });
        pair.AgentConfiguration["programs"] = new JsonArray(ExecPair.Rule("/bin/sh"), ExecPair.Rule("/usr/bin/id"));
        using var machine = new SystemdMachine(CgroupKind.Two);
        string views = Directory.CreateDirectory($"{pair.Folder}/views.d").FullName;
        string mount = machine.Up(pair, configuration =>
        {
            configuration["viewsFolder"] = views;
            configuration["viewSocket"] = "/run/dpu/view.sock";
        });
        File.SetUnixFileMode(pair.Folder, (UnixFileMode)0x1ed);
        File.SetUnixFileMode(pair.MountRoot, (UnixFileMode)0x1ed);

        // A socket each way, as an unprivileged user too; a FIFO; a process with a terminal.
        using RunningProgram host = Shell.StartPythonServer("s = socket.socket(socket.AF_UNIX); s.bind('of-host'); os.chmod('of-host', 0o777); s.listen(); say('ready'); [s.accept()[0].send(b'hello') for i in range(2)]", pair.ExportRoot);
        string connect = $"/usr/bin/python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.connect('{mount}/of-host'); print(s.recv(9).decode())\"";
        Assert.AreEqual("hello", machine.Check(connect));
        Assert.AreEqual("hello", machine.Check("setpriv --reuid 1234 --regid 1234 --clear-groups " + connect));
        using RunningProgram bound = machine.Start($"exec /usr/bin/python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.bind('{mount}/of-dpu'); s.listen(); print('ready', flush=True); c, _ = s.accept(); c.send(b'hello')\"");
        Shell.AwaitReady(bound);
        Eventually.True(() => Shell.Run("socat -u UNIX-CONNECT:of-dpu -", pair.ExportRoot).Output.TrimEnd() == "hello", Pair.Limit, "a socket that the DPU has bound");
        machine.Check($"mkfifo {mount}/fifo");
        using RunningProgram reader = machine.Start($"exec cat {mount}/fifo");
        _ = Shell.Check("echo hello > fifo", pair.ExportRoot);
        Assert.AreEqual("hello", string.Concat(Shell.End(reader)));
        Assert.AreEqual("uid=1234 gid=1234 groups=1234", machine.Check($"DPU_STUB_SOCKET={pair.StubSocket} setpriv --reuid 1234 --regid 1234 --clear-groups {ExecPair.Stub} /usr/bin/id").Split(" context", 2)[0]);

        // A view whose program is the host's.
        File.WriteAllText($"{views}/one.json", new JsonObject { ["mounts"] = new JsonArray(ViewLab.Part("/srv", "mount", mount)) }.ToJsonString());
        Assert.AreEqual(0, machine.Ctl(pair, "view", "create", "one").ExitCode, machine.Ctl(pair, "view", "create", "one").Error);
        Assert.AreEqual("/srv/of-host", machine.Check($"{ViewLab.Program} --socket /run/dpu/view.sock one -- ls /srv/of-host"));
        machine.KillService(SystemdMachine.Runtime);
        ProgramResult after = machine.Run(ViewLab.Program, "--socket", "/run/dpu/view.sock", "one", "--", "ls", "/srv/of-host");
        Assert.AreEqual("/srv/of-host", after.Output.TrimEnd(), after.Error + machine.LogOf(SystemdMachine.Runtime));
        Assert.AreEqual(0, machine.Ctl(pair, "view", "delete", "--force", "one").ExitCode);
        machine.Check($"umount {mount}");
    }

    private static RunningProgram Start(SystemdMachine machine, string mount) => machine.Start(string.Format(CultureInfo.InvariantCulture, Worker, mount));

    // The worker writes: more than what may have been on its way.
    private static void Progress(Pair pair)
    {
        long Size() => File.Exists($"{pair.ExportRoot}/log") ? new FileInfo($"{pair.ExportRoot}/log").Length : 0;
        long before = Size();
        Eventually.True(() => Size() > before + 1000, Pair.Limit, "more lines");
    }

    // Each line once and in order, and the file without a name is there.
    private static void End(Pair pair, RunningProgram worker)
    {
        File.WriteAllText($"{pair.ExportRoot}/stop", "");
        string[] said = string.Concat(Shell.End(worker)).Split(' ');
        Assert.AreEqual("kept", said[1]);
        CollectionAssert.AreEqual(
            Enumerable.Range(0, int.Parse(said[0], CultureInfo.InvariantCulture)).Select(number => number.ToString(CultureInfo.InvariantCulture)).ToArray(), File.ReadAllLines($"{pair.ExportRoot}/log"));
    }
}
