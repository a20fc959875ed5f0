using System.Globalization;
using Dpu.Linux;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>Signals that a stub gets, how it stops and ends by them, and what it does without a runtime.</summary>
[TestClass]
public sealed class StubSignalTests
{
    // A parent that says all that wait(2) says of its child.
    private const string Waiting =
        """
        import os, sys, signal, resource
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        r = (0, 0) if sys.argv[2] == '0' else (resource.RLIM_INFINITY, resource.RLIM_INFINITY) if sys.argv[2] == 'core' else None
        os.chdir(os.path.dirname(os.environ['DPU_STUB_SOCKET']))
        pid = os.fork()
        if pid == 0:
            if r: resource.setrlimit(resource.RLIMIT_CORE, r)
            os.setpgid(0, 0)
            os.execv(sys.argv[1], ['rexec', 'x'])
        print('pid', pid, flush=True)
        while True:
            _, s = os.waitpid(pid, os.WUNTRACED | os.WCONTINUED)
            print('stopped %d' % os.WSTOPSIG(s) if os.WIFSTOPPED(s) else 'continued' if os.WIFCONTINUED(s) else 'exited %d' % os.WEXITSTATUS(s) if os.WIFEXITED(s) else 'ended by %d%s' % (os.WTERMSIG(s), ' with core' if os.WCOREDUMP(s) else ''), flush=True)
            if os.WIFEXITED(s) or os.WIFSIGNALED(s): break
        """;

    private static RunningProgram Parent(StubProgram runtime, string core, out int stub)
    {
        RunningProgram parent = RunningProgram.Start("python3", ["-c", Waiting, StubProgram.Program, core], environment: runtime.Environment);
        stub = int.Parse(parent.WaitForLine(line => line.StartsWith("pid ", StringComparison.Ordinal), StubProgram.Limit)[4..], CultureInfo.InvariantCulture);
        return parent;
    }

    [TestMethod]
    [TestCategory("root")]
    public void DeathBySignal_OfEachThatCanEndAProgram_IsTheStubs()
    {
        using StubProgram runtime = new();
        int[] harmless = [17, 18, 19, 20, 21, 22, 23, 28, 32, 33], numbers = [.. Enumerable.Range(1, 64).Except(harmless)];

        // One after the other, and without a core dump, though they may leave one.
        string each = Waiting.Replace("pid = os.fork()", "for _ in range(int(sys.argv[3])):\n  if (pid := os.fork()) == 0: resource.setrlimit(resource.RLIMIT_CORE, r); os.execv(sys.argv[1], ['rexec', 'x'])\n  print(os.waitpid(pid, 0)[1], flush=True)\nsys.exit()", StringComparison.Ordinal);
        using RunningProgram parent = RunningProgram.Start("python3", ["-c", each, StubProgram.Program, "core", $"{numbers.Length}"], environment: runtime.Environment);
        foreach (int number in numbers)
        {
            using FrameSocket stub = runtime.AcceptAndStart();
            stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(number));
        }

        Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        Assert.AreEqual(string.Join('\n', numbers) + "\n", parent.Output, parent.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("core", true)]
    [DataRow("0", false)]
    public void CoreDump_OnTheHost_IsToldWhereItIsAllowed_AndLeavesNoFile(string core, bool told)
    {
        using StubProgram runtime = new();
        string file = runtime.Folder.WriteFile("core", "the program's own");
        using RunningProgram parent = Parent(runtime, core, out _);
        using FrameSocket stub = runtime.AcceptAndStart();
        stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(11 | 0x80));
        Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        Assert.Contains(told ? "ended by 11 with core\n" : "ended by 11\n", parent.Output);
        Assert.AreEqual("the program's own", File.ReadAllText(file));
        CollectionAssert.AreEquivalent((string[])["core", "stub.sock"], Directory.GetFileSystemEntries(runtime.Folder.FullPath).Select(Path.GetFileName).ToArray());
    }

    [TestMethod]
    [TestCategory("root")]
    public void StopAndContinue_AreSeenByItsParent_AndContinuingIsTold()
    {
        using StubProgram runtime = new();
        using RunningProgram parent = Parent(runtime, "-", out int pid);
        using FrameSocket stub = runtime.AcceptAndStart();
        string expected = $"pid {pid}\n";
        foreach (int number in (int[])[20, 21, 22, signal.SIGSTOP, 20])
        {
            stub.Send(process.PROCESS_STOPPED, FrameSocket.Bytes(number));
            expected += $"stopped {number}\n";
            Eventually.True(() => parent.Output == expected, StubProgram.Limit, $"stopped by {number}, after {parent.Output}");
            Assert.AreEqual(0, LibC.kill(pid, 18));
            expected += "continued\n";
            Eventually.True(() => parent.Output == expected, StubProgram.Limit, $"going on, after {parent.Output}");
            Assert.AreEqual(18, StubProgram.Signal(stub.Receive()).signal);
        }

        // A signal that stops is told, not obeyed: whether the program stops is its own affair.
        Assert.AreEqual(0, LibC.kill(pid, 20));
        Assert.AreEqual(20, StubProgram.Signal(stub.Receive()).signal);
        Assert.AreEqual(expected, parent.Output);
        stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(0));
        Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Signals_AreToldWithWhatCameWithThem_RealTimeOnesEachAndInOrder()
    {
        using StubProgram runtime = new();
        using RunningProgram parent = Parent(runtime, "-", out int pid);
        using FrameSocket stub = runtime.AcceptAndStart();
        int self = Environment.ProcessId;
        foreach (int number in (int[])[1, 2, 3, 10, 12, 13, 14, 15, 21, 22, 23, 28, 29])
        {
            Assert.AreEqual(0, LibC.kill(pid, number));
            process_signal told = StubProgram.Signal(stub.Receive());
            Assert.AreEqual((number, 0, self, 0u), (told.signal, told.code, told.pid, told.uid));
        }

        // A burst: by a program that queues them faster than they are taken.
        const int Count = 500;
        using RunningProgram queuing = RunningProgram.Start("python3", ["-c", "import ctypes, sys\nl = ctypes.CDLL(None)\nfor i in range(500): assert l.sigqueue(int(sys.argv[1]), 40, ctypes.c_void_p((i << 33) + 7)) == 0", $"{pid}"]);
        for (int i = 0; i < Count; i++)
        {
            process_signal told = StubProgram.Signal(stub.Receive());
            Assert.AreEqual((40, -1, queuing.Id, ((long)i << 33) + 7), (told.signal, told.code, told.pid, told.value));
        }

        Assert.IsTrue(queuing.WaitForExit(StubProgram.Limit));
        Assert.AreEqual(0, queuing.ExitCode, queuing.Error);

        // A child's end is the stub's own affair.
        Assert.AreEqual(0, LibC.kill(pid, 17));
        Assert.AreEqual(0, LibC.kill(pid, 15));
        Assert.AreEqual(15, StubProgram.Signal(stub.Receive()).signal);
        stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(15));
        Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        Assert.Contains("ended by 15\n", parent.Output);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Signals_BeforeItHasStarted_AreToldAfterwards_OrEndItWhereThatTakesLong()
    {
        using StubProgram runtime = new();
        using (RunningProgram parent = Parent(runtime, "-", out int pid))
        {
            using FrameSocket stub = runtime.Accept();
            StubProgram.TakeStart(stub);
            Assert.AreEqual(0, LibC.kill(pid, 28));
            Assert.AreEqual(0, LibC.kill(pid, 10));
            StubProgram.Started(stub);
            Assert.AreEqual(10, StubProgram.Signal(stub.Receive()).signal);
            Assert.AreEqual(28, StubProgram.Signal(stub.Receive()).signal);
            stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(0));
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        }

        using (RunningProgram parent = Parent(runtime, "-", out int pid))
        {
            using FrameSocket stub = runtime.Accept();
            StubProgram.TakeStart(stub);

            // One that ends nobody, and then one that does.
            Assert.AreEqual(0, LibC.kill(pid, 28));
            Assert.AreEqual(0, LibC.kill(pid, 15));
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
            Assert.Contains("ended by 15\n", parent.Output);
            Assert.IsNull(stub.Receive(), "so that the runtime knows");
        }

        // Nobody there at all: at once.
        using StubProgram nobody = new(listens: false);
        using RunningProgram alone = Parent(nobody, "-", out int waiting);
        Eventually.True(() => File.ReadAllText($"/proc/{waiting}/comm") == "dpu-stub\n" && File.ReadAllText($"/proc/{waiting}/syscall").StartsWith("7 ", StringComparison.Ordinal), StubProgram.Limit, "the stub");
        Assert.AreEqual(0, LibC.kill(waiting, 2));
        Assert.IsTrue(alone.WaitForExit(TimeSpan.FromSeconds(3)));
        Assert.Contains("ended by 2\n", alone.Output);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Runtime_ThatIsReplaced_IsFoundAgain_AndWhatCameMeanwhileIsTold()
    {
        using StubProgram runtime = new();
        using RunningProgram parent = Parent(runtime, "-", out int pid);
        FrameSocket first = runtime.AcceptAndStart();
        runtime.Leave();
        first.Dispose();
        Assert.AreEqual(0, LibC.kill(pid, 12));
        using (RunningProgram queuing = RunningProgram.Start("python3", ["-c", "import ctypes, sys\nl = ctypes.CDLL(None)\nfor i in range(100): assert l.sigqueue(int(sys.argv[1]), 50, ctypes.c_void_p(i)) == 0", $"{pid}"]))
        {
            Assert.IsTrue(queuing.WaitForExit(StubProgram.Limit));
            Assert.AreEqual(0, queuing.ExitCode, queuing.Error);
        }

        Assert.IsFalse(parent.HasExited);
        runtime.Listen();
        for (int life = 0; life < 3; life++)
        {
            using FrameSocket next = runtime.Accept();
            Frame attach = next.Receive()!;
            Assert.AreEqual(process.PROCESS_ATTACH, attach.Kind);
            CollectionAssert.AreEqual(StubProgram.Token, attach.Content);
            if (life < 2)
            {
                // One that goes away before it has said that it knows the stub gets no signals.
                continue;
            }

            next.Send(process.PROCESS_ATTACHED, []);
            Assert.AreEqual(12, StubProgram.Signal(next.Receive()).signal);
            for (int i = 0; i < 100; i++)
            {
                process_signal told = StubProgram.Signal(next.Receive());
                Assert.AreEqual((50, (long)i), (told.signal, told.value));
            }

            next.Send(process.PROCESS_ENDED, FrameSocket.Bytes(42 << 8));
        }

        Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        Assert.Contains("exited 42\n", parent.Output);

        // One that does not know it says so.
        using RunningProgram another = Parent(runtime, "-", out _);
        runtime.AcceptAndStart().Dispose();
        using FrameSocket forgetful = runtime.Accept();
        Assert.AreEqual(process.PROCESS_ATTACH, forgetful.Receive()!.Kind);
        forgetful.Send(process.PROCESS_REFUSED, FrameSocket.Bytes(125));
        Assert.IsTrue(another.WaitForExit(StubProgram.Limit));
        Assert.Contains("exited 125\n", another.Output);
    }

    // A shell that a person uses, on a terminal.
    private const string Interactive =
        """
        import os, pty, sys
        pid, t = pty.fork()
        if pid == 0: os.execve('/bin/bash', ['bash', '--norc', '--noprofile', '-i'], {**os.environ, 'PS1': '', 'TERM': 'dumb'})
        seen = b''
        def until(text):
            global seen
            while text not in seen:
                seen += os.read(t, 1000)
            print(text.decode(), flush=True)
            seen = b''
        os.write(t, b"set +o emacs; stty -echo; echo re''ady\n"); until(b'ready')
        os.write(t, f"'{sys.argv[1]}' x\n".encode()); until(b'Stopped')
        os.write(t, b'fg; echo finished $?\n'); until(b'finished 7')
        os.write(t, f"'{sys.argv[1]}' x\n".encode() + b'echo second $?\n'); until(b'second 130')
        os.write(t, b'exit\n'); os.waitpid(pid, 0)
        """;

    [TestMethod]
    [TestCategory("root")]
    public void JobControl_OfAShellOnATerminal_SeesAProgramThatStopsAndGoesOn()
    {
        using StubProgram runtime = new();
        using RunningProgram shell = RunningProgram.Start("python3", ["-c", Interactive, StubProgram.Program], environment: runtime.Environment);
        using (FrameSocket stub = runtime.Accept())
        {
            Frame start = StubProgram.TakeStart(stub);
            int[] session = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(start.Record(process.PROCESS_SESSION)).ToArray();
            Assert.AreEqual((session[0], session[0], session[1]), (session[2], session[4], session[3]), "it leads the group in the foreground of the shell's session");
            byte[] own = start.Record(process.PROCESS_OWN_TERMINAL);
            Assert.AreEqual(process.PROCESS_FOREGROUND, BitConverter.ToUInt32(own, 4), "its terminal is the program's at once");
            StubProgram.Started(stub);
            Assert.AreEqual(process.PROCESS_FOREGROUND, Job(stub.Receive()));
            stub.Send(process.PROCESS_STOPPED, FrameSocket.Bytes(20));
            shell.WaitForLine(line => line == "Stopped", StubProgram.Limit);

            // How it stands to the terminal comes before what has the program go on.
            Assert.AreEqual(process.PROCESS_FOREGROUND, Job(stub.Receive()));
            Assert.AreEqual(18, StubProgram.Signal(stub.Receive()).signal);
            stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(7 << 8));
            shell.WaitForLine(line => line == "finished 7", StubProgram.Limit);
        }

        using (FrameSocket stub = runtime.AcceptAndStart())
        {
            // What Ctrl-C sends; the shell says what it makes of a death by it.
            int group = int.Parse(ExternalProgram.Check("pgrep", ["-f", $"^{StubProgram.Program} x$"], StubProgram.Limit), CultureInfo.InvariantCulture);
            Assert.AreEqual(process.PROCESS_FOREGROUND, Job(stub.Receive()));
            Assert.AreEqual(0, LibC.kill(-group, 2));
            Assert.AreEqual(2, StubProgram.Signal(stub.Receive()).signal);
            stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(2));
        }

        Assert.IsTrue(shell.WaitForExit(StubProgram.Limit), shell.Output);
        Assert.AreEqual(0, shell.ExitCode, shell.Error);
    }

    private static uint Job(Frame? frame)
    {
        Assert.AreEqual(process.PROCESS_JOB, frame?.Kind);
        return System.Runtime.InteropServices.MemoryMarshal.Read<process_job>(frame!.Content).kind;
    }

    [TestMethod]
    [TestCategory("root")]
    public void KilledAlone_EndsItsConnection()
    {
        using StubProgram runtime = new();
        using RunningProgram parent = Parent(runtime, "-", out int pid);
        using FrameSocket stub = runtime.AcceptAndStart();
        Assert.AreEqual(0, LibC.kill(pid, signal.SIGKILL));
        Assert.IsNull(stub.Receive());
        Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        Assert.Contains("ended by 9\n", parent.Output);
    }
}
