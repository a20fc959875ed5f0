using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Programs of the host that a DPU's programs run as if they were local: by dpu-stub, with real daemons.</summary>
[TestClass]
public sealed class ExecTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void Program_HasWhatItsStubHad_AndItsOutputAndStatusComeBack(LinkKind kind)
    {
        using var pair = new ExecPair(kind);
        Assert.AreEqual(new(0, "hello\n", ""), pair.Rexec("/bin/echo hello"));
        Assert.AreEqual(new(7, "out\n", "err\n"), pair.Rexec("/bin/sh -c 'echo out; echo err >&2; exit 7'"));
        Assert.AreEqual("HELLO", pair.Check("echo hello | $REXEC /usr/bin/tr a-z A-Z"));
        Assert.AreEqual("7", pair.Check("cd /usr; umask 027; A=7 $REXEC /bin/sh -c 'test $PWD = /usr && test $(umask) = 0027 && echo $A'"));
        Assert.AreEqual("3000000", pair.Check("head -c 3000000 /dev/zero | $REXEC /bin/cat | wc -c"));

        // 1 and 2 are one pipe there as well: nothing overtakes.
        Assert.AreEqual("1:2:1", pair.Check("$REXEC /bin/sh -c 'echo 1; echo 2 >&2; echo 1' 2>&1 | paste -sd:"));

        // Who reads no more ends who writes, as SIGPIPE does.
        string Ended(string program) => pair.Check($"({program}; echo $? > {pair.Pair.Folder}/status) | head -n 100000 | tail -n 1 > /dev/null; echo $? $(cat {pair.Pair.Folder}/status)");
        Assert.AreEqual(Ended("/usr/bin/yes"), Ended("$REXEC /usr/bin/yes"));
        Assert.AreEqual("0 141", Ended("env --default-signal=PIPE $REXEC /usr/bin/yes"));
        Assert.AreEqual("a:b", pair.Check("$REXEC /bin/sh -c 'read A; read B; echo $A:$B' <<< $'a\\nb'"));
        Assert.AreEqual("0", pair.Check("$REXEC /bin/cat </dev/null | wc -c"));
    }

    [TestMethod]
    [TestCategory("root")]
    public void EndOfAnyKind_IsTheStubs()
    {
        using var pair = new ExecPair();
        foreach (int code in (int[])[0, 1, 42, 127, 255])
        {
            Assert.AreEqual(code, pair.Rexec($"/bin/sh -c 'exit {code}'").Code);
        }

        // A shell says 128 and the signal's number of who was ended by one.
        foreach (int signal in (int[])[1, 2, 6, 9, 11, 15, 34, 64])
        {
            string status = pair.Check($"$REXEC /usr/bin/python3 -c 'import os,signal; signal.signal({signal}, signal.SIG_DFL) if {signal} != 9 else 0; os.kill(os.getpid(), {signal})'; echo $?");
            Assert.AreEqual((128 + signal).ToString(CultureInfo.InvariantCulture), status, $"signal {signal}");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Signals_GetToTheProcess_WithTheirValues()
    {
        using var pair = new ExecPair();
        using RunningProgram stub = pair.StartPython(
            """
            import ctypes, signal, struct, sys
            wanted = [signal.SIGUSR1, signal.SIGWINCH, signal.SIGRTMIN, signal.SIGTERM]
            signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
            mask = (ctypes.c_uint64 * 16)(sum(1 << (s - 1) for s in wanted))
            info = ctypes.create_string_buffer(128)
            print('ready', flush=True)
            while True:
                number = ctypes.CDLL(None).sigwaitinfo(mask, info)
                print(number, *([struct.unpack_from('i', info, 24)[0]] if number == signal.SIGRTMIN else []), flush=True)
                if number == signal.SIGTERM: sys.exit(3)
            """);
        _ = stub.WaitForLine(line => line == "ready", Pair.Limit);
        foreach (string signal in (string[])["-s USR1", "-s WINCH", "-q 77 -s RTMIN", "-q 78 -s RTMIN"])
        {
            _ = pair.Check($"/bin/kill {signal} {stub.Id}");
        }

        Eventually.True(() => stub.Output.Contains("78", StringComparison.Ordinal), Pair.Limit, "the signals");
        _ = pair.Check($"kill -TERM {stub.Id}");
        Assert.IsTrue(stub.WaitForExit(Pair.Limit));
        Assert.AreEqual("ready\n10\n28\n34 77\n34 78\n15", string.Join('\n', stub.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)));
        Assert.AreEqual(3, stub.ExitCode);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Stop_IsSeenByTheStubsParent_AndItGoesOn()
    {
        using var pair = new ExecPair();
        using RunningProgram parent = Shell.StartPython(
            $$"""
            child = os.posix_spawn('{{pair.Pair.Folder}}/rexec', ['rexec', '--', '/bin/sh', '-c', 'kill -STOP $$; echo goes on; exit 5'], {**os.environ, 'DPU_STUB_SOCKET': '{{pair.Pair.StubSocket}}'})
            _, status = os.waitpid(child, os.WUNTRACED)
            say('stopped', os.WIFSTOPPED(status), os.WSTOPSIG(status))
            os.kill(child, 18)
            _, status = os.waitpid(child, 0)
            say('exited', os.WEXITSTATUS(status))
            """,
            "/");
        CollectionAssert.AreEqual(new[] { "stopped True 19", "goes on", "exited 5" }, Shell.End(parent));
    }

    [TestMethod]
    [TestCategory("root")]
    public void KilledStub_EndsItsProcess()
    {
        using var pair = new ExecPair();
        using RunningProgram stub = pair.Start("$REXEC /bin/sleep 1000");
        int process = pair.ProcessOf(stub);
        Assert.IsTrue(Directory.Exists($"/proc/{process}"));
        _ = pair.Check($"kill -KILL {stub.Id}");
        Eventually.True(() => !Directory.Exists($"/proc/{process}"), Pair.Limit, "the process's end");
    }

    [TestMethod]
    [TestCategory("root")]
    public void FilesOfMounts_AreOpenedOnTheHost_AtTheirOffset()
    {
        using var pair = new ExecPair();
        string mount = Path.Combine(pair.Pair.MountRoot, "data");
        File.WriteAllText(Path.Combine(pair.Pair.ExportRoot, "in"), "one\ntwo\nthree\n");
        Assert.AreEqual("one:two", pair.Check($"exec < {mount}/in; read A; B=$($REXEC /bin/sh -c 'read B; echo $B'); echo $A:$B"));
        Assert.AreEqual("2", pair.Check($"$REXEC /bin/sh -c 'readlink /proc/self/fd/1; echo x' > {mount}/out; wc -l < {mount}/out"));
        Assert.AreEqual($"{pair.Pair.ExportRoot}/out", File.ReadLines(Path.Combine(pair.Pair.ExportRoot, "out")).First(), "it is the host's own file");
        Assert.AreEqual("seven", pair.Check($"$REXEC /bin/sh -c 'echo seven >&7' 7>> {mount}/more; cat {mount}/more"));
        Assert.AreEqual("/dev/null", pair.Check("$REXEC /bin/sh -c 'readlink /proc/self/fd/0' < /dev/null"));
        Assert.AreEqual("local:appended", pair.Check($"echo local > {pair.Pair.Folder}/here; $REXEC /bin/echo appended >> {pair.Pair.Folder}/here; paste -sd: {pair.Pair.Folder}/here"), "a file of the DPU's own");
    }

    [TestMethod]
    [TestCategory("root")]
    public void NothingIsPermittedByDefault_AndARefusalSaysWhatIsMissing()
    {
        using var pair = new ExecPair(programs: ["/bin/echo", "/bin/cat"], change: rule =>
        {
            rule["arguments"] = new JsonArray("-n", "hello*");
            rule["environment"] = new JsonArray("LC_*");
            rule["directories"] = new JsonArray("/usr/**", "/usr");
        });
        Refused("/bin/true", 126, "no rule of the host's \"programs\" names /bin/true for 'dpu1'");
        Refused("/bin/echo goodbye", 126, "\"arguments\" has no pattern for argument 1, 'goodbye'");
        Refused("echo hello", 126, "\"directories\" has no pattern for");
        Assert.AreEqual("hello world", pair.Check("cd /usr/bin; $REXEC echo -n 'hello world'"));
        Assert.Contains("ProcessRefused", pair.Pair.Agent.Log);

        void Refused(string program, int code, string text)
        {
            Said said = pair.Rexec(program);
            Assert.AreEqual(code, said.Code, said.Error);
            Assert.Contains(text, said.Error);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void RulesBounds_Hold()
    {
        string hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes("/bin/true")));
        using var pair = new ExecPair(programs: ["/bin/true", "/bin/sh", "/bin/echo"], change: rule =>
        {
            if ((string)rule["path"]! != "/bin/sh")
            {
                rule["sha256"] = hash;
            }

            rule["capabilities"] = new JsonArray("CAP_CHOWN", "CAP_KILL");
            rule["limits"] = new JsonObject { ["nofile"] = 77 };
            rule["cpus"] = "0";
        });
        Assert.AreEqual(0, pair.Rexec("/bin/true").Code);
        Said other = pair.Rexec("/bin/echo hello");
        Assert.AreEqual(126, other.Code);
        Assert.Contains($"\"sha256\" is {hash}", other.Error);
        Assert.AreEqual("77 77", pair.Check("$REXEC /bin/sh -c 'echo $(ulimit -Sn) $(ulimit -Hn)'"));
        Assert.AreEqual("Cpus_allowed_list:\t0", pair.Check("$REXEC /bin/sh -c 'grep Cpus_allowed_list /proc/self/status'"));
        Assert.AreEqual("CapEff:\t0000000000000021:CapBnd:\t0000000000000021", pair.Check("$REXEC /bin/sh -c 'grep -E \"CapEff|CapBnd\" /proc/self/status' | paste -sd:"));
        Assert.AreEqual("1", pair.Check("$REXEC /bin/sh -c 'grep -v :cpuset: /proc/self/cgroup | grep -c dpu-host-agent'"), "a cgroup of its own, beside what binds it");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Identity_IsTheCallers_AndWhoHasNoCounterpartIsRefused()
    {
        using var pair = new ExecPair(programs: ["/usr/bin/id", "/bin/cat"], change: rule =>
        {
            rule["squash"] = "root";
            rule["userMap"] = new JsonArray(new JsonObject { ["dpu"] = 1234, ["host"] = 4321 });
            rule["groupMap"] = new JsonArray(new JsonObject { ["dpu"] = 1234, ["host"] = 4321 });
        });
        File.SetUnixFileMode(pair.Pair.Folder, (UnixFileMode)0x1ed);
        Assert.AreEqual("4321", pair.Check("cd /; setpriv --reuid 1234 --regid 1234 --clear-groups $REXEC /usr/bin/id -u"));
        Assert.AreEqual("65534", pair.Check("cd /; $REXEC /usr/bin/id -u"), "root is nobody");
        Assert.AreEqual("CapEff:\t0000000000000000", pair.Check("cd /; $REXEC /bin/cat /proc/self/status | grep CapEff"));
        ProgramResult result = ExternalProgram.Run("bash", ["-c", "cd /; setpriv --reuid 1235 --regid 1235 --clear-groups $REXEC /usr/bin/id -u"], Pair.Limit, environment: pair.Environment);
        Assert.AreEqual(126, result.ExitCode);
        Assert.Contains("no counterpart for uid 1235", result.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Ps_ShowsWhatRunsAndWhatHasEnded_AndKills()
    {
        using var pair = new ExecPair();
        Assert.AreEqual(7, pair.Rexec("/bin/sh -c 'exit 7'").Code);
        using RunningProgram stub = pair.Start("$REXEC /bin/sh -c 'trap \"exit 8\" TERM; while :; do sleep 0.05; done'");
        int process = pair.ProcessOf(stub);
        JsonArray all = [];
        Eventually.True(() => (all = Ps("--all")).Count == 2, Pair.Limit, "both processes");
        Assert.AreEqual(("ended", 7), ((string)all[0]!["state"]!, (int)all[0]!["exitCode"]!));
        JsonNode running = Ps("")[0]!;
        Assert.AreEqual(("running", process, stub.Id, 0), ((string)running["state"]!, (int)running["hostPid"]!, (int)running["pid"]!, (int)running["uid"]!));
        Assert.Contains(process.ToString(CultureInfo.InvariantCulture), Ctl("ps").Output);

        Assert.AreEqual(0, Ctl("ps", "kill", "--signal", "STOP", stub.Id.ToString(CultureInfo.InvariantCulture)).ExitCode);
        Eventually.True(() => (string)Ps("")[0]!["state"]! == "stopped", Pair.Limit, "the stop");
        Assert.AreEqual(0, Ctl("ps", "kill", "--signal", "18", ((string)running["id"]!)[..8]).ExitCode);
        Eventually.True(() => (string)Ps("")[0]!["state"]! == "running", Pair.Limit, "its going on");
        Assert.AreEqual(0, Ctl("ps", "kill", (string)running["id"]!).ExitCode);
        Assert.IsTrue(stub.WaitForExit(Pair.Limit));
        Assert.AreEqual(8, stub.ExitCode);
        Assert.AreEqual(4, Ctl("ps", "kill", "12345678").ExitCode, "there is none");
        Assert.AreEqual(2, Ctl("ps", "kill", "--signal", "NONE", "12345678").ExitCode);

        // What has happened to it is known also when it has ended.
        string id = ((string)running["id"]!)[..8];
        string logs = Ctl("ps", "logs", id).EnsureSuccess().Output;
        int at = 0;
        foreach (string line in (string[])["begun for stub", "its host says: begun as user 0 by the rule for /bin/sh", "signal 19", "stopped by signal 19", "signal 18", "it goes on", "its host is told to end it", "its host says: it gets SIGTERM", "ended, exit code 8"])
        {
            at = logs.IndexOf(line, at, StringComparison.Ordinal);
            Assert.IsGreaterThan(-1, at, $"'{line}' is not in, or not in its place: {logs}");
        }

        Assert.MatchesRegex("group +/.*/dpu-host-agent/", Ctl("ps", "show", id).EnsureSuccess().Output);
        Assert.AreEqual(8, (int)JsonNode.Parse(Ctl("ps", "show", id, "--json").EnsureSuccess().Output)!["exitCode"]!);
        Assert.AreEqual(4, Ctl("ps", "logs", "12345678").ExitCode, "there is none");

        JsonArray Ps(string options) => (JsonArray)JsonNode.Parse(Ctl(["ps", .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--json"]).EnsureSuccess().Output)!["processes"]!;

        ProgramResult Ctl(params string[] arguments) => pair.Pair.Runtime.Ctl(arguments);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Logs_KeepTheBeginningAndTheLast()
    {
        using var pair = new ExecPair();
        using RunningProgram stub = pair.Start("$REXEC /bin/sh -c 'trap \"\" USR1; while :; do sleep 1; done'");
        _ = pair.ProcessOf(stub);
        string[] logs = [];

        // Which comes by another way, and could be the last of all.
        Eventually.True(() => Logs().Any(line => line.Contains("its host says: begun", StringComparison.Ordinal)), Pair.Limit, "the host's word");
        Eventually.True(
            () =>
            {
                _ = pair.Check($"for i in $(seq 100); do kill -USR1 {stub.Id}; done");
                logs = Logs();
                return logs.Any(line => line.Contains("events before this one are not kept", StringComparison.Ordinal));
            },
            Pair.Limit, "more events than are kept");
        Assert.HasCount(8 + 1 + 56, logs);
        Assert.Contains("begun for stub", logs[0]);
        Assert.Contains("signal 10", logs[^1]);
        _ = pair.Check($"kill -KILL {stub.Id}");

        string[] Logs() => pair.Pair.Runtime.Ctl("ps", "logs", stub.Id.ToString(CultureInfo.InvariantCulture)).EnsureSuccess().Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ManyAtOnce_LeaveNothingBehind()
    {
        using var pair = new ExecPair();
        _ = pair.Check("for i in $(seq 5); do $REXEC /bin/true; done");
        int[] before = Counts();
        Assert.AreEqual("200", pair.Check("for i in $(seq 200); do $REXEC /bin/echo $i & done | sort -n | uniq | wc -l; wait"));

        // One open file of all: nothing is written over.
        string lines = Path.Combine(pair.Pair.Folder, "lines");
        for (int i = 0; i < 3; i++)
        {
            Assert.AreEqual("200", pair.Check($"for i in $(seq 200); do $REXEC /bin/echo $i & done > {lines}; wait; sort -u {lines} | wc -l"));
        }

        Eventually.True(() => Counts().Zip(before).All(pair => pair.First <= pair.Second + 8), Pair.Limit, $"as few descriptors as before ({string.Join(", ", before)})");

        int[] Counts() => [.. new[] { pair.Pair.Agent.Id, pair.Pair.Runtime.Id, pair.Pair.Keeper!.Running.Id }.Select(process => Directory.GetFileSystemEntries($"/proc/{process}/fd").Length)];
    }
}
