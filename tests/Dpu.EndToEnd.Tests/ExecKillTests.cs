using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// What becomes of processes of a host when something between them and who started them dies: one whose 0 and 1 are pipes, one on a terminal, and one that was left as
/// a daemon, at once. Host and DPU have a keeper each. Each row is one of the table in docs/processes.md.
/// </summary>
[TestClass]
public sealed class ExecKillTests
{
    private const string Cat = "/usr/bin/cat";
    private const string SetSid = "/usr/bin/setsid";

    // That of this program, and that of the runtime, which views have.
    private static readonly string s_stubs = $"{ExecPair.Stub} {Path.Combine(Path.GetDirectoryName(Repository.Program("Dpu.Runtime", "dpu-runtime"))!, "dpu-stub")}";

    // EXPECT: what becomes of all three. CODE: how one that goes on ends for who started it, when it is told to.
    private const string Program =
        """
        HOW, WHAT, EXPECT, CODE = env['HOW'].split(), env['WHAT'], env['EXPECT'], int(env['CODE'])
        KINDS = 'pipes', 'terminal', 'daemon'
        if WHAT.startswith('view'): env.pop('DPU_STUB_SOCKET')
        def file(path): return (lambda s: (s.st_dev, s.st_ino))(os.stat(path))
        def found(kind, *programs):
            # By the file: in a view the stub has the program's name.
            all, programs = [], [file(program) for program in programs]
            for process in filter(str.isdigit, os.listdir('/proc')):
                try:
                    environment = open(f'/proc/{process}/environ', 'rb').read()
                    if f'KIND={kind}\0'.encode() in environment and f'FOLDER={FOLDER}\0'.encode() in environment and file(f'/proc/{process}/exe') in programs: all.append(int(process))
                except OSError: continue
            return all
        def host(kind): return found(kind, '/usr/bin/cat', '/usr/bin/sleep')
        def stub(kind): return found(kind, *env['STUB'].split())
        def echo(text):
            p.stdin.write(text + b'\n'); p.stdin.flush(); assert p.stdout.readline() == text + b'\n'
            t.send(text + b'\r'); t.expect(text + b'\r\n' + text + b'\r\n')
        p = subprocess.Popen([*HOW, '/usr/bin/cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**env, 'KIND': 'pipes'})
        env['KIND'] = 'terminal'; t = T(*HOW, '/usr/bin/cat')
        env['KIND'] = 'daemon'; subprocess.run([*HOW, '/usr/bin/setsid', '--fork', 'sleep', '1000'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, check=True)
        echo(b'begun')
        before = {kind: host(kind) for kind in KINDS}
        assert all(len(all_of) == 1 for all_of in before.values()), before
        assert all(len(stub(kind)) == 1 for kind in KINDS), {kind: stub(kind) for kind in KINDS}
        if WHAT == 'stub':
            # A stand-in that is killed before it has connected is noticed after half a minute.
            act('stood')
            for kind in KINDS: os.kill(stub(kind)[0], signal.SIGKILL)
        elif WHAT.startswith('reboot'):
            act('down')
            for kind in KINDS: os.kill(stub(kind)[0], signal.SIGKILL)
            if EXPECT == 'ends': until(lambda: not any(host(kind) for kind in KINDS), 'the end by policy')
            act('up')
        else: act(WHAT)
        if EXPECT == 'ends':
            until(lambda: not any(host(kind) for kind in KINDS), 'the end of all')
        elif EXPECT == 'goes on':
            echo(b'goes on')
            assert {kind: host(kind) for kind in KINDS} == before
            p.stdin.close(); assert p.wait(20) == CODE, p.returncode
            t.send('\x04'); code = os.waitstatus_to_exitcode(t.end()); assert code == CODE, code
            os.kill(stub('daemon')[0], signal.SIGTERM); until(lambda: not host('daemon'), 'the end of the daemon')
        else:
            # Who started them is told of an end; they are not.
            until(lambda: not any(stub(kind) for kind in KINDS), 'the end of the stubs')
            p.wait(20); t.end()
            act('listed')
            assert {kind: host(kind) for kind in KINDS} == before
            act('killed')
            until(lambda: not any(host(kind) for kind in KINDS), 'the end of all')
        if WHAT.startswith('reboot'): act('ended')
        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow("link", "goes on", 0)]
    [DataRow("agent", "goes on", 0)]
    [DataRow("runtime", "goes on", 0)]
    [DataRow("both", "goes on", 0)]
    [DataRow("DPU's keeper", "goes on", 0)]
    [DataRow("host's keeper", "goes on", 255)]
    [DataRow("stub", "ends", 0)]
    [DataRow("reboot", "goes on alone", 0)]
    [DataRow("reboot, terminate", "ends", 0)]
    public void Killed_EachKindOfProcess_IsAsTheTableSays(string what, string becomes, int code)
    {
        using var hostKeeper = new KeeperProcess("--launcher", Path.Combine(AppContext.BaseDirectory, "dpu-launch"));
        using var pair = new ExecPair(
            programs: [Cat, SetSid], cuts: true, agent: agent => agent["keeper"] = new JsonObject { ["socket"] = hostKeeper.Socket },
            change: rule => rule.With("onLinkDown", what.EndsWith("terminate", StringComparison.Ordinal) ? "terminate" : "keep").With("linkDownFor", "300ms").With("grace", "200ms"));
        RunningProgram? rebooted = null;
        var actions = new Dictionary<string, Action>
        {
            ["both"] = () =>
            {
                pair.Pair.Runtime.Kill();
                pair.Pair.Agent.Kill();
                pair.Pair.RestartAgent(quick: true);
                pair.Pair.RestartRuntime(quick: true);
            },
            ["DPU's keeper"] = () => Replace(pair.Pair.Keeper!, () => pair.Pair.Runtime.Log),
            ["host's keeper"] = () => Replace(hostKeeper, () => pair.Pair.Agent.Log),
            ["down"] = () =>
            {
                pair.Pair.Runtime.Kill();
                pair.Pair.Keeper!.Kill();
            },
            ["up"] = () => rebooted = Boot(pair),
            ["stood"] = () => Eventually.True(() => All(pair) is { Length: 3 } all && all.All(one => (int)one["pid"]! != 0), Pair.Limit, "the stand-in"),
            ["listed"] = () => Listed(pair),
            ["killed"] = () => EndAll(pair),
            ["ended"] = () => Ended(pair),
        };
        try
        {
            TerminalDriver.Run(pair, Program, actions, new Dictionary<string, string?> { ["HOW"] = pair.Environment["REXEC"], ["STUB"] = s_stubs, ["WHAT"] = what, ["EXPECT"] = becomes, ["CODE"] = code.ToString(CultureInfo.InvariantCulture) });
        }
        finally
        {
            rebooted?.Dispose();
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("view")]
    [DataRow("view while the runtime is down")]
    public void ViewsFirstProcessKilled_WhatItsStubsStandForGoesOn(string what)
    {
        using var lab = new ViewLab(programs: [Cat, SetSid]);
        lab.Describe("d1", new JsonObject { ["stubs"] = new JsonArray(new JsonObject { ["program"] = Cat }, new JsonObject { ["program"] = SetSid }) });
        var actions = new Dictionary<string, Action>
        {
            ["view"] = () => Kill(lab.InitOf("d1")),
            ["view while the runtime is down"] = () =>
            {
                int init = lab.InitOf("d1");
                lab.Pair.Runtime.Kill();
                Kill(init);
                lab.Pair.RestartRuntime();
            },
            ["listed"] = () => Listed(lab.Exec),
            ["killed"] = () => EndAll(lab.Exec),
        };
        TerminalDriver.Run(
            lab.Exec, Program, actions, new Dictionary<string, string?> { ["HOW"] = $"{ViewLab.Program} --socket {lab.Socket} d1 --", ["STUB"] = s_stubs, ["WHAT"] = what, ["EXPECT"] = "goes on alone", ["CODE"] = "0" });
    }

    private static void Kill(int process) => ExternalProgram.Check("kill", ["-KILL", process.ToString(CultureInfo.InvariantCulture)], Pair.Limit);

    private static void Replace(KeeperProcess keeper, Func<string> log)
    {
        int known = Known();

        // Not those whose parent it is.
        Kill(keeper.Running.Id);
        Assert.IsTrue(keeper.Running.WaitForExit(Pair.Limit));
        keeper.Start();
        Eventually.True(() => Known() > known, Pair.Limit, "that the next keeper has all");

        int Known() => log().Split("holds what this daemon has").Length;
    }

    // The DPU's next boot: nothing of /run is there, and its number is another one.
    private static RunningProgram Boot(ExecPair pair)
    {
        string boot = Path.Combine(pair.Pair.Folder, "boot_id");
        File.WriteAllText(boot, "6d0f1f3c-5d0e-4f0b-9c0f-0123456789ab\n");
        foreach (string mount in MountTable.Targets().Where(target => target.StartsWith(pair.Pair.MountRoot, StringComparison.Ordinal)))
        {
            Shell.Check($"umount -l {mount}", "/");
        }

        pair.Pair.Keeper!.Start();
        var rebooted = RunningProgram.Start(
            "unshare",
            [
                "--mount", "--propagation", "private", "bash", "-c", "mount --bind \"$0\" /proc/sys/kernel/random/boot_id; exec \"$1\" --config \"$2\"",
                boot, Repository.Program("Dpu.Runtime", "dpu-runtime"), Path.Combine(pair.Pair.Folder, "dpu1.json"),
            ]);
        Eventually.True(() => All(pair, "--all").Length == 3 || rebooted.HasExited, Pair.Limit, $"that all are taken up: {rebooted.Error}");
        Assert.Contains("TakenUp", rebooted.Output + rebooted.Error);
        return rebooted;
    }

    private static JsonNode[] All(ExecPair pair, params string[] options)
    {
        ProgramResult listed = pair.Pair.Runtime.Ctl(["ps", .. options, "--json"]);
        return listed.ExitCode == 0 ? [.. JsonNode.Parse(listed.Output)!["processes"]!.AsArray().Select(one => one!)] : [];
    }

    // The host's word is what counts: none of them is away.
    private static void Listed(ExecPair pair)
    {
        string said = "";
        Assert.IsTrue(
            Eventually.Within(() => (said = string.Join(' ', All(pair).Select(one => (string)one["state"]!).Order(StringComparer.Ordinal))) == "daemonised running running", Pair.Limit),
            $"{said}; {pair.Pair.Runtime.Log}");
    }

    private static void EndAll(ExecPair pair)
    {
        foreach (JsonNode one in All(pair))
        {
            pair.Pair.Runtime.Ctl("ps", "kill", (string)one["id"]!).EnsureSuccess();
        }
    }

    private static void Ended(ExecPair pair)
    {
        string said = "";
        Assert.IsTrue(
            Eventually.Within(() => (said = string.Join(' ', All(pair, "--all").Select(one => $"{one["state"]}:{one["signal"]}").Order(StringComparer.Ordinal))) == "ended:0 ended:15 ended:15", Pair.Limit),
            $"two were ended by SIGTERM, and nobody was told how the daemon ended: {said}");
    }
}
