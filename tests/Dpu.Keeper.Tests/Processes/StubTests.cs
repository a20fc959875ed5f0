using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>What dpu-stub tells a runtime (which this test plays), and what becomes of it; its parents are real programs.</summary>
[TestClass]
public sealed unsafe class StubTests
{
    // What a parent can give a program, and how a program finds it.
    private const string Parent =
        """
        import os, resource, signal, sys, ctypes
        os.chdir('/usr/share'); os.umask(0o27); os.closerange(3, 1000)
        resource.setrlimit(resource.RLIMIT_CORE, (1234, 5678))
        open('/proc/self/oom_score_adj', 'w').write('77')
        os.setpriority(os.PRIO_PROCESS, 0, 5)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        signal.signal(signal.SIGUSR2, signal.SIG_IGN); signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGHUP, 40])
        l = ctypes.CDLL(None)
        l.prctl(38, 1, 0, 0, 0)
        os.setsid()
        # CAP_SYS_NICE (23) is inheritable, ambient.
        l.prctl(8, 1, 0, 0, 0)
        os.setgroups([5, 70000]); os.setresgid(1234, 1234, 1234); os.setresuid(4321, 4321, 4321)
        class H(ctypes.Structure): _fields_ = [('v', ctypes.c_uint32), ('p', ctypes.c_int)]
        d = (ctypes.c_uint32 * 6)(1 << 23, 1 << 23, 1 << 23, 0, 0, 0)
        assert l.capset(ctypes.byref(H(0x20080522, 0)), d) == 0
        assert l.prctl(47, 2, 23, 0, 0) == 0
        print(os.getpid(), os.getppid(), flush=True)
        os.execve(sys.argv[1], ['another argv0', '--host', 'host2', '--', 'qemu', '', 'two words'], {'A': '1', 'EMPTY': '', 'DPU_STUB_SOCKET': os.environ['DPU_STUB_SOCKET']})
        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(0u, true)]
    [DataRow(4321u, false)]
    public void StandIn_HasTheNumberThatIsWanted_OrAnyOther_AndItsOwnToken(uint uid, bool chooses)
    {
        using StubProgram runtime = new();
        using RunningProgram program = RunningProgram.Start(
            "setpriv", ["--reuid", uid.ToString(CultureInfo.InvariantCulture), "--clear-groups", .. chooses ? (string[])[] : ["--bounding-set=-all"], StubProgram.Program, "/bin/true"], environment: runtime.Environment);
        using FrameSocket stub = runtime.AcceptAndStart();
        int free = Enumerable.Range(20_000, 1000).First(number => !Directory.Exists($"/proc/{number}"));
        byte[] token = [.. Enumerable.Range(1, process.PROCESS_TOKEN_SIZE).Select(i => (byte)i)];
        stub.Send(process.PROCESS_STAND_IN, [.. token, .. FrameSocket.Bytes(free, 0)]);
        Frame stood = stub.Receive()!;
        Assert.AreEqual(process.PROCESS_STOOD, stood.Kind);
        int number = BinaryPrimitives.ReadInt32LittleEndian(stood.Content.AsSpan(16));
        Assert.AreEqual(chooses, number == free);
        Assert.AreEqual(chooses ? 0 : errno.EPERM, BinaryPrimitives.ReadInt32LittleEndian(stood.Content.AsSpan(20)));

        // Asked again, it is the same one.
        stub.Send(process.PROCESS_STAND_IN, [.. token, .. FrameSocket.Bytes(free, 0)]);
        CollectionAssert.AreEqual(stood.Content, stub.Receive()!.Content);
        using FrameSocket standIn = runtime.Accept();
        Frame attach = standIn.Receive()!;
        Assert.AreEqual(process.PROCESS_ATTACH, attach.Kind);
        CollectionAssert.AreEqual(token, attach.Content);
        standIn.Send(process.PROCESS_ATTACHED, []);
        stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(7 << 8));
        Assert.IsTrue(program.WaitForExit(StubProgram.Limit));
        Assert.AreEqual(7, program.ExitCode);

        // It goes on, with nothing but its connection and its signals.
        Assert.AreEqual("/", new FileInfo($"/proc/{number}/cwd").LinkTarget);
        Assert.HasCount(2, Directory.GetFileSystemEntries($"/proc/{number}/fd"));
        Assert.AreEqual(0, LibC.kill(number, 12));
        Assert.AreEqual(12, StubProgram.Signal(standIn.Receive()).signal);
        standIn.Send(process.PROCESS_ENDED, FrameSocket.Bytes(0));
        Eventually.True(() => !File.Exists($"/proc/{number}/stat") || File.ReadAllText($"/proc/{number}/stat").Contains(") Z ", StringComparison.Ordinal), StubProgram.Limit, "the stand-in's end");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Everything_ThatAParentHasGivenIt_IsTold()
    {
        using StubProgram runtime = new();
        using RunningProgram parent = RunningProgram.Start("python3", ["-c", Parent, StubProgram.Program], environment: runtime.Environment);
        using FrameSocket stub = runtime.Accept();
        Frame start = StubProgram.TakeStart(stub, out int[] numbers);
        foreach (SafeFileHandle handle in start.Descriptors)
        {
            handle.Dispose();
        }

        CollectionAssert.AreEqual((string[])["qemu"], start.Texts(process.PROCESS_PROGRAM));
        CollectionAssert.AreEqual((string[])["qemu", "", "two words"], start.Texts(process.PROCESS_ARGUMENT));
        CollectionAssert.AreEqual((string[])["A=1", "EMPTY="], start.Texts(process.PROCESS_ENVIRONMENT));
        CollectionAssert.AreEqual((string[])["/usr/share"], start.Texts(process.PROCESS_DIRECTORY));
        CollectionAssert.AreEqual((string[])["host2"], start.Texts(process.PROCESS_HOST));
        Assert.AreEqual("4321 1234", Words(start, process.PROCESS_IDENTITY));
        Assert.AreEqual("5 70000", Words(start, process.PROCESS_GROUPS));
        Assert.AreEqual("23", Words(start, process.PROCESS_UMASK));
        Assert.AreEqual("77", Words(start, process.PROCESS_OOM));
        Assert.AreEqual("3 0 5", Words(start, process.PROCESS_SCHEDULING));
        Assert.AreEqual("1", Words(start, process.PROCESS_FLAGS));
        ulong[] sets = MemoryMarshal.Cast<byte, ulong>(start.Record(process.PROCESS_CAPABILITIES)).ToArray();
        Assert.AreEqual("800000 800000 800000 800000", string.Join(' ', ((ulong[])[sets[0], sets[1], sets[2], sets[4]]).Select(set => set.ToString("x", CultureInfo.InvariantCulture))));
        Assert.AreNotEqual(0ul, sets[3] & 1);
        ulong[] signals = MemoryMarshal.Cast<byte, ulong>(start.Record(process.PROCESS_SIGNALS)).ToArray();
        Assert.AreEqual(1ul | (1ul << 39), signals[0], "blocked");
        Assert.AreEqual(1ul << 11, signals[1] & ((1ul << 11) | (1ul << 12)), "ignored");
        int core = start.Record(process.PROCESS_LIMITS).AsSpan().IndexOf((byte[])[4, 0, 0, 0, 0, 0, 0, 0, .. BitConverter.GetBytes(1234L), .. BitConverter.GetBytes(5678L)]);
        Assert.AreEqual(4 * 24, core, "RLIMIT_CORE");
        Assert.HasCount(16 * 24, start.Record(process.PROCESS_LIMITS));
        string[] said = parent.WaitForLine(line => line.Length > 0, StubProgram.Limit).Split(' ');
        Assert.AreEqual($"{said[0]} {said[1]} {said[0]} {said[0]} 0", Words(start, process.PROCESS_SESSION));
        CollectionAssert.AreEqual((int[])[0, 1, 2], numbers);
        End(stub, 0);
        Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Descriptors_AreAllTold_AndOnlyThoseThatAreToStayDoSo()
    {
        using StubProgram runtime = new();
        string file = runtime.Folder.WriteFile("file", "0123456789");

        // 300 of them, more than one message takes; a file at its offset, a locked one, and 0 closed.
        using RunningProgram parent = RunningProgram.Start(
            "python3",
            ["-c", "import os, sys, fcntl\nos.closerange(3, 1000); f = os.open(sys.argv[2], os.O_RDWR); os.lseek(f, 4, 0); os.dup2(f, 200); l = os.open(sys.argv[2] + '.pid', os.O_RDWR | os.O_CREAT); os.dup2(l, 300); os.close(l); fcntl.lockf(300, fcntl.LOCK_EX)\nfor i in range(400, 700): os.dup2(2, i)\nos.close(0); os.execv(sys.argv[1], ['rexec', 'x'])", StubProgram.Program, file],
            environment: runtime.Environment);
        using FrameSocket stub = runtime.Accept();
        Frame start = StubProgram.TakeStart(stub, out int[] numbers);
        CollectionAssert.AreEqual((int[])[1, 2, 200, 300, .. Enumerable.Range(400, 300)], numbers);
        SafeFileHandle offset = start.Descriptors[2];
        Assert.AreEqual(4, LibC.lseek((int)offset.DangerousGetHandle(), 0, unistd.SEEK_CUR));
        foreach (SafeFileHandle handle in start.Descriptors)
        {
            handle.Dispose();
        }

        StubProgram.Started(stub, 300, 77);
        int[] Open() => [.. Directory.GetFileSystemEntries($"/proc/{parent.Id}/fd").Select(path => int.Parse(Path.GetFileName(path), CultureInfo.InvariantCulture)).Order()];
        Eventually.True(() => Open().Length <= 4, StubProgram.Limit, "the closes");
        int[] open = Open();
        CollectionAssert.Contains(open, 300);
        Assert.HasCount(3, open, "the one that stays, the socket, and the signals");
        Assert.Contains($"POSIX  ADVISORY  WRITE {parent.Id} ", File.ReadAllText("/proc/locks"));
        Assert.IsTrue(parent.Output.Length == 0 && !parent.HasExited);
        End(stub, 0);
        Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
    }

    [TestMethod]
    [TestCategory("root")]
    public void EndOfFile_OfWhatItHadItself_IsSeen()
    {
        using StubProgram runtime = new();
        using RunningProgram parent = RunningProgram.Start("/bin/bash", ["-c", $"'{StubProgram.Program}' -- cat | (cat; echo end of file); echo after"], environment: runtime.Environment);
        using FrameSocket stub = runtime.Accept();
        Frame start = StubProgram.TakeStart(stub, out int[] numbers);
        StubProgram.Started(stub);
        byte[] text = "written on the host\n"u8.ToArray();
        SafeFileHandle output = start.Descriptors[Array.IndexOf(numbers, 1)];
        fixed (byte* pointer = text)
        {
            Assert.AreEqual(text.Length, LibC.write((int)output.DangerousGetHandle(), pointer, (nuint)text.Length));
        }

        Assert.DoesNotContain("end of file", parent.Output);
        foreach (SafeFileHandle handle in start.Descriptors)
        {
            handle.Dispose();
        }

        // While the stub lives.
        parent.WaitForLine(line => line == "end of file", StubProgram.Limit);
        Assert.Contains("written on the host", parent.Output);
        End(stub, 0);
        parent.WaitForLine(line => line == "after", StubProgram.Limit);
    }

    [TestMethod]
    [TestCategory("root")]
    public void OtherName_StandsForTheProgramOfThatName()
    {
        using StubProgram runtime = new();
        string link = runtime.Folder["qemu-system-x86_64"];
        File.CreateSymbolicLink(link, StubProgram.Program);
        using (RunningProgram parent = RunningProgram.Start(link, ["--help", "-name", "guest"], environment: runtime.Environment))
        {
            using FrameSocket stub = runtime.Accept();
            Frame start = StubProgram.TakeStart(stub);
            Assert.AreEqual(link, start.Texts(process.PROCESS_PROGRAM).Single());
            CollectionAssert.AreEqual((string[])[link, "--help", "-name", "guest"], start.Texts(process.PROCESS_ARGUMENT));
            End(stub, 0);
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        }

        // By a relative path, and another argv[0]; then mounted over a program.
        using (RunningProgram parent = RunningProgram.Start("/bin/bash", ["-c", "exec -a name ./qemu-system-x86_64 -h"], directory: runtime.Folder.FullPath, environment: runtime.Environment))
        {
            using FrameSocket stub = runtime.Accept();
            Frame start = StubProgram.TakeStart(stub);
            Assert.AreEqual(link, start.Texts(process.PROCESS_PROGRAM).Single());
            CollectionAssert.AreEqual((string[])["name", "-h"], start.Texts(process.PROCESS_ARGUMENT));
            End(stub, 0);
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        }

        using (RunningProgram parent = RunningProgram.Start("unshare", ["-m", "/bin/sh", "-c", $"mount --bind '{StubProgram.Program}' /usr/bin/env && exec env --help"], environment: runtime.Environment))
        {
            using FrameSocket stub = runtime.Accept();
            Frame start = StubProgram.TakeStart(stub);
            Assert.AreEqual("/usr/bin/env", start.Texts(process.PROCESS_PROGRAM).Single());
            CollectionAssert.AreEqual((string[])["env", "--help"], start.Texts(process.PROCESS_ARGUMENT));
            End(stub, 0);
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void ExitStatus_OfEachNumber_IsTheStubs()
    {
        using StubProgram runtime = new();
        for (int code = 0; code < 256; code++)
        {
            using RunningProgram parent = RunningProgram.Start(StubProgram.Program, ["x"], environment: runtime.Environment);
            using FrameSocket stub = runtime.AcceptAndStart();
            End(stub, code << 8);
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
            Assert.AreEqual(code, parent.ExitCode);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Refusal_IsSaidAndItsCodeIsTheStubs()
    {
        using StubProgram runtime = new();
        foreach ((int code, string text, string said) in ((int, string, string)[])[(126, "no rule allows '/bin/x'", "dpu-stub: no rule allows '/bin/x'"), (127, "", "dpu-stub: dpu-runtime refused to start it"), (1, "50 % of\0what", "dpu-stub: 50 % of")])
        {
            using RunningProgram parent = RunningProgram.Start(StubProgram.Program, ["/bin/x"], environment: runtime.Environment);
            using FrameSocket stub = runtime.Accept();
            StubProgram.TakeStart(stub);
            stub.Send(process.PROCESS_REFUSED, [.. FrameSocket.Bytes(code), .. Encoding.UTF8.GetBytes(text)]);
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
            Assert.AreEqual(code, parent.ExitCode);
            Assert.AreEqual(said + "\n", parent.Error);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Runtime_ThatGoesAwayBeforeItHasAnswered_IsSaid()
    {
        using StubProgram runtime = new();
        foreach (bool whole in (bool[])[false, true])
        {
            using RunningProgram parent = RunningProgram.Start(StubProgram.Program, ["/bin/x", new string('a', 100_000)], environment: runtime.Environment);
            using (FrameSocket stub = runtime.Accept())
            {
                if (whole)
                {
                    StubProgram.TakeStart(stub);
                }
            }

            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
            Assert.AreEqual(125, parent.ExitCode);
            Assert.Contains("dpu-stub: dpu-runtime went away before it said whether the program was started; see its log", parent.Error);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Nonsense_OfARuntime_IsNeverASuccess()
    {
        using StubProgram runtime = new();
        int Code(Action<FrameSocket> says)
        {
            using RunningProgram parent = RunningProgram.Start(StubProgram.Program, ["x"], environment: runtime.Environment);
            using FrameSocket stub = runtime.Accept();
            StubProgram.TakeStart(stub);
            says(stub);
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
            return parent.ExitCode;
        }

        byte[] huge = BitConverter.GetBytes(((ulong)process.PROCESS_STARTED << 32) | 70_000);
        Assert.AreEqual(125, Code(stub => stub.SendRaw(huge)), "a frame beyond all bounds");
        Assert.AreEqual(125, Code(stub => stub.Send(process.PROCESS_STARTED, new byte[19])), "no token");
        Assert.AreEqual(125, Code(stub => stub.Send(process.PROCESS_REFUSED, [])), "no code");
        Assert.AreEqual(125, Code(stub => stub.Send(process.PROCESS_REFUSED, FrameSocket.Bytes(0))), "a refusal that is none");
        Assert.AreEqual(125, Code(stub => stub.Send(process.PROCESS_ENDED, [])), "no status");
        Assert.AreEqual(125, Code(stub => stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(0x7f))), "no signal");
        Assert.AreEqual(3, Code(stub =>
        {
            // Passed over: kinds that it does not know, byte by byte; a stop by what stops nobody; then it is as if there were another runtime.
            foreach (byte one in (byte[])[3, 0, 0, 0, 99, 0, 0, 0, 1, 2, 3])
            {
                stub.SendRaw([one]);
            }

            StubProgram.Started(stub);
            stub.Send(process.PROCESS_STOPPED, FrameSocket.Bytes(15));
            stub.Send(process.PROCESS_STOPPED, []);
            stub.SendRaw(huge);
            using FrameSocket again = runtime.Accept();
            Assert.AreEqual(process.PROCESS_ATTACH, again.Receive()!.Kind);
            End(again, 3 << 8);
        }));
    }

    // Whatever a runtime says, the stub ends or goes on by what of it was whole.
    [TestMethod]
    [TestCategory("root")]
    public void AnyFrames_OfARuntime_EndWithAStatus()
    {
        using StubProgram runtime = new();
        Gen<(int Kind, byte[] Bytes)> frames =
            from kind in Gen.Elements(0, 1, 2, 3, 4, 16, 16, 17, 19, 20, 32, 65535)
            from bytes in ArbMap.Default.ArbFor<byte[]>().Generator
            select (kind, bytes);
        Prop.ForAll(frames.ArrayOf().ToArbitrary(), all =>
        {
            using RunningProgram parent = RunningProgram.Start(StubProgram.Program, ["x"], environment: runtime.Environment);
            using FrameSocket stub = runtime.Accept();
            StubProgram.TakeStart(stub);

            // Not a stop: the test would have to have it go on.
            foreach ((int kind, byte[] bytes) in all.Where(one => one.Kind != 19 || one.Bytes.Length < 4))
            {
                _ = stub.SendRaw([.. BitConverter.GetBytes(bytes.Length), .. BitConverter.GetBytes((ushort)kind), 0, 0, .. bytes]);
            }

            _ = stub.SendRaw([4, 0, 0, 0, (byte)process.PROCESS_ENDED, 0, 0, 0, 0, 77, 0, 0]);
            return parent.WaitForExit(StubProgram.Limit) && parent.ExitCode != 0;
        }).QuickCheckThrowOnFailure();
    }

    [TestMethod]
    [TestCategory("root")]
    public void Runtime_ThatIsNotThereYet_IsWaitedFor_AndOneThatDoesNotComeIsSaid()
    {
        using (StubProgram runtime = new(listens: false))
        using (RunningProgram parent = RunningProgram.Start(StubProgram.Program, ["x"], environment: runtime.Environment))
        {
            Eventually.True(() => File.ReadAllText($"/proc/{parent.Id}/syscall").StartsWith("7 ", StringComparison.Ordinal) || File.ReadAllText($"/proc/{parent.Id}/syscall").StartsWith("271 ", StringComparison.Ordinal), StubProgram.Limit, "poll(2)");
            runtime.Listen();
            using FrameSocket stub = runtime.AcceptAndStart();
            End(stub, 5 << 8);
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
            Assert.AreEqual(5, parent.ExitCode);
        }

        using StubProgram nobody = new(listens: false);
        ProgramResult result = ExternalProgram.Run(StubProgram.Program, ["x"], StubProgram.Limit, environment: nobody.Environment);
        Assert.AreEqual(125, result.ExitCode);
        Assert.AreEqual($"dpu-stub: no dpu-runtime answers at '{nobody.Address}': No such file or directory; is dpu-runtime.service running, and may this user connect?\n", result.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void UserWithoutPrivileges_MayStartOne_AndIsToldWhereNot()
    {
        using StubProgram runtime = new();
        string[] asNobody = ["--reuid=65534", "--regid=65534", "--clear-groups", StubProgram.Program, "x"];

        // The build may lie where that user cannot go.
        string copy = runtime.Folder["rexec"];
        File.Copy(StubProgram.Program, copy);
        asNobody[3] = copy;
        using (RunningProgram parent = RunningProgram.Start("setpriv", asNobody, environment: runtime.Environment))
        {
            using FrameSocket stub = runtime.Accept();
            Frame start = StubProgram.TakeStart(stub);
            Assert.AreEqual("65534 65534", Words(start, process.PROCESS_IDENTITY));
            Assert.AreEqual("", Words(start, process.PROCESS_GROUPS));
            StubProgram.Started(stub);
            End(stub, 0);
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
            Assert.AreEqual(0, parent.ExitCode, parent.Error);
        }

        File.SetUnixFileMode(runtime.Address, (UnixFileMode)0x180);
        ProgramResult result = ExternalProgram.Run("setpriv", asNobody, StubProgram.Limit, environment: runtime.Environment);
        Assert.AreEqual(125, result.ExitCode);
        Assert.Contains("rexec: no dpu-runtime answers at", result.Error);
        Assert.Contains("Permission denied", result.Error);
    }

    // Resident: at most 2 MiB; from before fork(2) to the whole start: at most 5 ms, a quarter of 50 starts (others use this machine too).
    [TestMethod]
    [TestCategory("root")]
    public void Size_AndStart_AreSmall()
    {
        using StubProgram runtime = new();
        List<double> times = [];
        long resident = 0;
        for (int i = 0; i < 50; i++)
        {
            long before = Stopwatch.GetTimestamp();
            using RunningProgram parent = RunningProgram.Start(StubProgram.Program, ["x"], environment: runtime.Environment);
            using FrameSocket stub = runtime.AcceptAndStart();
            times.Add(Stopwatch.GetElapsedTime(before).TotalMilliseconds);
            resident = Math.Max(resident, long.Parse(File.ReadLines($"/proc/{parent.Id}/status").Single(line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture));
            End(stub, 0);
            Assert.IsTrue(parent.WaitForExit(StubProgram.Limit));
        }

        double quarter = times.Order().ElementAt(times.Count / 4);
        Console.WriteLine($"{resident} KiB; {quarter:0.00} ms with what starts it, {times.Min():0.00} at least, {times.Order().ElementAt(times.Count / 2):0.00} the median");
        Assert.IsLessThanOrEqualTo(2048, resident);
        Assert.IsLessThanOrEqualTo(5.0, quarter);
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("--help", 0, "usage: rexec")]
    [DataRow("--version", 0, "dpu-stub 0.")]
    [DataRow("", 125, "usage: rexec")]
    [DataRow("--", 125, "usage: rexec")]
    [DataRow("--what", 125, "dpu-stub: unknown option, or one without its value: --what; see --help")]
    [DataRow("--host", 125, "one without its value: --host")]
    public void Options_AreThoseOfTheManual(string arguments, int code, string said)
    {
        ProgramResult result = ExternalProgram.Run(StubProgram.Program, arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries), StubProgram.Limit);
        Assert.AreEqual(code, result.ExitCode);
        Assert.Contains(said, result.Output + result.Error);
    }

    private static string Words(Frame start, int kind)
    {
        byte[] bytes = start.Record(kind);
        return string.Join(' ', Enumerable.Range(0, bytes.Length / 4).Select(i => BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(i * 4))));
    }

    private static void End(FrameSocket stub, int status) => stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(status));
}
