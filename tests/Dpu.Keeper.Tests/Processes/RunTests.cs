using System.Collections.Concurrent;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>Processes whose parent the keeper is. Their launcher is a shell here, which does what it is told on descriptor 0.</summary>
[TestClass]
public sealed unsafe class RunTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Process_HasWhatItShall_AndNothingOfTheKeepers()
    {
        using Shells shells = new();
        using Kept kept = shells.Run("runtime/p", "a note"u8);
        KeptProcess process = kept.Entry.Process!;
        Assert.AreEqual(KeptKind.Process, kept.Entry.Kind);
        Assert.AreEqual("a note", Encoding.UTF8.GetString(kept.Entry.Note.Span));
        Assert.IsFalse(process.Ended);
        Assert.AreEqual(process.Number, PidOf(kept.Descriptor!));
        Assert.AreEqual(shells.Keeper.Running.Id, ParentOf(process.Number));

        // It is a copy of the keeper until it has executed.
        Eventually.True(() => File.ReadAllText($"/proc/{process.Number}/comm") == "launcher\n", KeeperProcess.Limit, "execve(2)");
        string[] links = [.. Enumerable.Range(0, 3).Select(i => File.ResolveLinkTarget($"/proc/{process.Number}/fd/{i}", returnFinalTarget: false)!.Name)];
        Assert.StartsWith("socket:", links[0]);
        Assert.AreEqual("null", links[1]);

        // Beside them only what sh(1) has opened itself: its script.
        Eventually.True(() => Directory.GetFileSystemEntries($"/proc/{process.Number}/fd").Length == 4, KeeperProcess.Limit, "three descriptors and the script");
        Assert.IsEmpty(File.ReadAllText($"/proc/{process.Number}/environ"));
        string status = File.ReadAllText($"/proc/{process.Number}/status");
        Assert.Contains("SigBlk:\t0000000000000000", status);
        Assert.Contains("SigIgn:\t0000000000000000", status);
        Assert.AreEqual(1, shells.Client.List("runtime/").Count(entry => entry.Process?.Number == process.Number));
        Assert.IsTrue(shells.Client.Status().Runs);
        shells.End("runtime/p");
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("exit 0", 0, 0)]
    [DataRow("exit 1", 1, 0)]
    [DataRow("exit 255", 255, 0)]
    [DataRow("kill -9 $$", null, 9)]
    [DataRow("kill -15 $$", null, 15)]
    [DataRow("kill -64 $$", null, 64)]
    public void End_IsKept(string command, int? code, int number)
    {
        using Shells shells = new();
        shells.Run("p").Dispose();
        shells.Tell(command);
        KeptProcess state = shells.Wait("p");
        Assert.AreEqual(code, state.ExitCode);
        Assert.AreEqual(number, state.EndedBy);
        Assert.IsFalse(state.DumpedCore);

        // Also for who comes later, and in the list.
        using KeeperClient another = new(shells.Keeper.Socket);
        Assert.AreEqual(state, another.List().Single().Process);
    }

    [TestMethod]
    [TestCategory("root")]
    public void CoreDump_IsToldWhereThereWasOne()
    {
        using Shells shells = new();
        shells.Run("p").Dispose();
        bool dumps = File.ReadAllText("/proc/sys/kernel/core_pattern")[0] != '|';
        shells.Tell($"cd {shells.Folder.FullPath} && ulimit -c unlimited && kill -11 $$");
        KeptProcess state = shells.Wait("p");
        Assert.AreEqual(11, state.EndedBy);
        Assert.AreEqual(dumps || state.DumpedCore, state.DumpedCore);
    }

    [TestMethod]
    [TestCategory("root")]
    public void StopAndContinue_AreSeen_AndToldToWhoWatches()
    {
        using Shells shells = new();
        ConcurrentQueue<(string, KeptProcess)> told = new();
        using Keeping keeping = new(shells.Keeper.Socket, "runtime/");
        keeping.ProcessChanged += (name, process) => told.Enqueue((name, process));
        (int process, SafeFileHandle pidfd) = shells.RunAs(keeping, "p");
        using SafeFileHandle owned = pidfd;
        (int Number, int Wanted)[] steps = [(signal.SIGSTOP, signal.SIGSTOP), (18, 0), (20, 20), (18, 0)];
        Eventually.True(() => shells.Client.Status().Clients == 3, KeeperProcess.Limit, "the watch");
        foreach ((int number, int wanted) in steps)
        {
            Assert.AreEqual(0, LibC.kill(process, number));
            Eventually.True(() => shells.State("runtime/p").StoppedBy == wanted, KeeperProcess.Limit, $"signal {number}");
        }

        shells.Tell("exit 3");
        Eventually.True(() => told.Count >= 5, KeeperProcess.Limit, "five words");
        Assert.AreEqual("19 0 20 0 0", string.Join(' ', told.Select(one => one.Item2.StoppedBy)));
        Assert.IsTrue(told.All(one => one.Item1 == "p" && one.Item2.Number == process));
        Assert.AreEqual(3, told.Last().Item2.ExitCode);

        // Another daemon's are not this one's.
        shells.Run("agent/q").Dispose();
        shells.End("agent/q");
        Assert.HasCount(5, told);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Cgroup_OfV2_IsWhereAProcessBegins_AndOneThatIsGoneIsSaid()
    {
        using Shells shells = new();
        Assert.IsTrue(shells.Client.Status().Bears);
        string root = File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' ')).First(parts => parts[Array.IndexOf(parts, "-") + 1] == "cgroup2")[4];
        string folder = Directory.CreateDirectory(Path.Combine(root, $"dpu-test-{Environment.ProcessId}")).FullName;
        using SafeFileHandle cgroup = Open(folder);
        KeptProcess process;
        using (Kept kept = shells.Run("p", "a note"u8, cgroup: cgroup))
        {
            process = kept.Entry.Process!;
            Assert.AreEqual("a note", Encoding.UTF8.GetString(kept.Entry.Note.Span));
        }

        // It has done nothing yet but wait for a line.
        Assert.AreEqual($"{process.Number}\n", File.ReadAllText(Path.Combine(folder, "cgroup.procs")));
        Assert.HasCount(1, shells.Client.List(), "it has the directory's place");
        shells.End("p");
        Directory.Delete(folder);
        CollectionAssert.Contains((int[])[errno.ENODEV, errno.ENOENT], Assert.ThrowsExactly<KeeperException>(() => shells.Run("q", cgroup: cgroup)).Error);
        Assert.IsNull(shells.Client.Get("q"), "nothing is left of what was refused");

        // What is held under the name otherwise stays, and nothing runs.
        shells.Client.Put("q", null);
        Assert.AreEqual(errno.EBUSY, Assert.ThrowsExactly<KeeperException>(() => shells.Run("q")).Error);
        using SafeFileHandle file = File.OpenHandle("/dev/null");
        Assert.AreEqual(errno.EBADF, Assert.ThrowsExactly<KeeperException>(() => shells.Run("r", cgroup: file)).Error);

        static SafeFileHandle Open(string folder)
        {
            fixed (byte* path = Encoding.UTF8.GetBytes(folder + "\0"))
            {
                int descriptor = LibC.openat(fcntl.AT_FDCWD, path, fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0);
                Assert.IsGreaterThanOrEqualTo(0, descriptor);
                return new SafeFileHandle(descriptor, ownsHandle: true);
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Number_ThatIsWanted_IsItsOwnAlsoAfterItHasExecuted_AndATakenOneIsRefused()
    {
        using Shells shells = new();
        int most = int.Parse(File.ReadAllText("/proc/sys/kernel/pid_max"), System.Globalization.CultureInfo.InvariantCulture);
        int wanted = Enumerable.Range(most - 2000, 1900).First(number => !Directory.Exists($"/proc/{number}"));
        using (Kept kept = shells.Run("p", number: wanted))
        {
            Assert.AreEqual(wanted, kept.Entry.Process!.Number);
        }

        shells.Tell("exec sleep 100");
        Eventually.True(() => File.ReadAllText($"/proc/{wanted}/comm") == "sleep\n", KeeperProcess.Limit, "sleep");
        (FrameSocket ours, SafeFileHandle theirs) = FrameSocket.Pair();
        using (ours)
        using (theirs)
        {
            int Error(string name, int number) => Assert.ThrowsExactly<KeeperException>(() => shells.Client.Run(name, default, number, theirs)).Error;
            Assert.AreEqual(errno.EEXIST, Error("q", wanted));
            Assert.AreEqual(errno.EBUSY, Error("p", 0));
            Assert.AreEqual(errno.EINVAL, Error("q", most + 1));
            using SafeFileHandle file = File.OpenHandle("/dev/null");
            Assert.AreEqual(errno.ENOTSOCK, Assert.ThrowsExactly<KeeperException>(() => shells.Client.Run("q", default, 0, file)).Error);
            Assert.IsNull(shells.Client.Get("q"), "nothing is left of what was refused");

            // And is free again when it has ended, though its entry is kept.
            Assert.AreEqual(0, LibC.kill(wanted, signal.SIGKILL));
            Eventually.True(() => shells.State("p").Ended, KeeperProcess.Limit, "its end");
            using Kept again = shells.Client.Run("q", default, wanted, theirs);
            Assert.AreEqual(wanted, again.Entry.Process!.Number);
        }

        shells.End("q");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Launcher_ThatIsMissing_IsSaid_AndOneThatCannotRunEndsWith127()
    {
        using TemporaryDirectory folder = new();
        (FrameSocket ours, SafeFileHandle theirs) = FrameSocket.Pair();
        using (ours)
        using (theirs)
        {
            using (KeeperProcess keeper = new("--launcher", folder["nothing"]))
            using (KeeperClient client = new(keeper.Socket))
            {
                KeeperException missing = Assert.ThrowsExactly<KeeperException>(() => client.Run("p", default, 0, theirs));
                Assert.AreEqual(errno.ENOENT, missing.Error);
                Assert.Contains("--launcher", missing.Message);
            }

            string nonsense = folder.WriteFile("nonsense", "no program");
            File.SetUnixFileMode(nonsense, (UnixFileMode)0x1ed);
            using (KeeperProcess keeper = new("--launcher", nonsense))
            using (KeeperClient client = new(keeper.Socket))
            {
                client.Run("p", default, 0, theirs).Dispose();
                theirs.Dispose();
                Assert.IsNull(ours.Receive(), "the socket ends");
                Eventually.True(() => client.List().Single().Process!.Ended, KeeperProcess.Limit, "its end");
                Assert.AreEqual(127, client.List().Single().Process!.ExitCode);
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void RunningOne_ThatIsDropped_GoesOnAndIsReapedWhenItEnds()
    {
        using Shells shells = new();
        int process;
        using (Kept kept = shells.Run("p"))
        {
            process = kept.Entry.Process!.Number;
        }

        Assert.IsTrue(shells.Client.Drop("p"));
        Assert.IsTrue(Directory.Exists($"/proc/{process}"));
        shells.Tell("exit 0");
        Eventually.True(() => !Directory.Exists($"/proc/{process}"), KeeperProcess.Limit, "no zombie");
        Assert.IsEmpty(shells.Client.List());
    }

    [TestMethod]
    [TestCategory("root")]
    public void Keeper_Killed_ItsProcessesGoOn_AndTheNextOneIsNotGivenThem()
    {
        using Shells shells = new();
        int returned = 0;
        using Keeping keeping = new(shells.Keeper.Socket, "agent/");
        keeping.Returned += () => Interlocked.Increment(ref returned);
        (int process, SafeFileHandle pidfd) = shells.RunAs(keeping, "p");
        keeping.Hold("note", null, "kept again"u8);
        using SafeFileHandle owned = pidfd;

        // Not by KeeperProcess, which ends its children as well.
        Assert.AreEqual(0, LibC.kill(shells.Keeper.Running.Id, signal.SIGKILL));
        Assert.IsTrue(shells.Keeper.Running.WaitForExit(KeeperProcess.Limit));
        Assert.IsTrue(Directory.Exists($"/proc/{process}"));
        Eventually.True(() => !keeping.IsProtected, KeeperProcess.Limit, "the word of it");
        Assert.Contains("no keeper answers", Assert.ThrowsExactly<KeeperException>(() => shells.RunAs(keeping, "q")).Message);
        shells.Keeper.Start();
        Eventually.True(() => Volatile.Read(ref returned) == 1, KeeperProcess.Limit, "the next keeper");
        Assert.AreEqual("note", keeping.List().Single().Name);
        Assert.IsTrue(Directory.Exists($"/proc/{process}"));
        Assert.AreEqual(0, LibC.kill(process, signal.SIGKILL));
        Eventually.True(() => !Directory.Exists($"/proc/{process}") || File.ReadAllText($"/proc/{process}/stat").Contains(") Z", StringComparison.Ordinal), KeeperProcess.Limit, "its end");
    }

    // As version 1 was before there were processes: it greets, and knows nothing of them.
    private const string OlderKeeper =
        """
        import socket, struct, sys, threading
        l = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        l.bind(sys.argv[1])
        l.listen()
        print('listens', flush=True)
        def serve(s):
            while m := s.recv(65536):
                operation, tag = struct.unpack('=H', m[2:4])[0], struct.unpack('=Q', m[24:32])[0]
                print('operation', operation, flush=True)
                note = bytes(96) if operation in (1, 7) else b''
                s.send(struct.pack('=HHIiIIIQQ', 40, operation, 0, 0 if note else 38, 0, len(note), 0, tag, 1) + note)
        while True: threading.Thread(target=serve, args=[l.accept()[0]], daemon=True).start()
        """;

    [TestMethod]
    [TestCategory("root")]
    public void OlderKeeper_IsNotAskedToTell_AndSaysThatItCannotRun()
    {
        using TemporaryDirectory folder = new();
        using RunningProgram older = RunningProgram.Start("python3", ["-c", OlderKeeper, folder["keeper.sock"]]);
        older.WaitForLine(line => line == "listens", KeeperProcess.Limit);
        using Keeping keeping = new(folder["keeper.sock"], "agent/");
        Eventually.True(() => older.Output.Split("operation 1\n").Length == 3, KeeperProcess.Limit, "the greetings of the client and the watch");
        Assert.IsFalse(keeping.Status()!.Runs);
        (FrameSocket ours, SafeFileHandle theirs) = FrameSocket.Pair();
        using (ours)
        using (theirs)
        {
            KeeperException refused = Assert.ThrowsExactly<KeeperException>(() => keeping.Run("p", default, 0, theirs));
            Assert.AreEqual(errno.ENOSYS, refused.Error);
            Assert.Contains("as it is older than this daemon", refused.Message);
        }

        Assert.IsTrue(keeping.IsProtected, "all else goes on");
        Assert.DoesNotContain("operation 9", older.Output);
    }

    // Some dropped while they run, some when they have ended, many at a time.
    [TestMethod]
    [TestCategory("root")]
    public void TenThousandShortOnes_LeaveNothing()
    {
        using KeeperProcess keeper = new("--launcher", "/bin/true");
        using KeeperClient client = new(keeper.Socket);
        void Work(int count)
        {
            (FrameSocket ours, SafeFileHandle theirs) = FrameSocket.Pair();
            using (ours)
            using (theirs)
            {
                for (int i = 0; i < count; i++)
                {
                    client.Run($"p{i}", default, 0, theirs).Dispose();
                    if (i % 3 == 0)
                    {
                        Assert.IsTrue(client.Drop($"p{i}"));
                    }

                    if (i % 100 == 99)
                    {
                        Eventually.True(() => client.List().All(entry => entry.Process!.Ended), KeeperProcess.Limit, "the end of all");
                        Assert.IsTrue(client.List().All(entry => entry.Process!.ExitCode == 0));
                        Assert.AreEqual(67, client.DropAll("p"), 1.0);
                    }
                }
            }

            Eventually.True(() => client.Status() is { Entries: 0, Closing: 0 } && ChildrenOf(keeper.Running.Id) == 0, KeeperProcess.Limit, "the end of all");
        }

        Work(500);
        (int descriptors, long memory) = (keeper.Descriptors, keeper.ResidentKiB);
        Work(9500);
        Assert.AreEqual(descriptors, keeper.Descriptors);
        Assert.IsLessThan(memory + 256, keeper.ResidentKiB, $"KiB, of {memory} before");
    }

    private static int PidOf(SafeFileHandle pidfd) => int.Parse(
        File.ReadLines($"/proc/self/fdinfo/{pidfd.DangerousGetHandle()}").Single(line => line.StartsWith("Pid:", StringComparison.Ordinal))[4..],
        System.Globalization.CultureInfo.InvariantCulture);

    private static int ParentOf(int process) => int.Parse(File.ReadAllText($"/proc/{process}/stat").Split(") ")[1].Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);

    private static int ChildrenOf(int process) => Directory.GetDirectories($"/proc/{process}/task")
        .Sum(task => File.ReadAllText(Path.Combine(task, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries).Length);

    /// <summary>A keeper whose processes are shells, and the ends of their descriptors 0.</summary>
    private sealed class Shells : IDisposable
    {
        private FrameSocket? _socket;

        public Shells()
        {
            string launcher = Folder.WriteFile("launcher", "#!/bin/sh\nread line\neval \"$line\"\n");
            File.SetUnixFileMode(launcher, (UnixFileMode)0x1ed);
            Keeper = new KeeperProcess("--launcher", launcher);
            Client = new KeeperClient(Keeper.Socket);
        }

        public TemporaryDirectory Folder { get; } = new();

        public KeeperProcess Keeper { get; }

        public KeeperClient Client { get; }

        public Kept Run(string name, ReadOnlySpan<byte> note = default, int number = 0, SafeFileHandle? cgroup = null)
        {
            using SafeFileHandle theirs = Next();
            return Client.Run(name, note, number, theirs, cgroup);
        }

        public (int Process, SafeFileHandle Pidfd) RunAs(Keeping keeping, string name)
        {
            using SafeFileHandle theirs = Next();
            return keeping.Run(name, default, 0, theirs);
        }

        /// <summary>A line to the last one.</summary>
        public void Tell(string line) => Assert.IsTrue(_socket!.SendRaw(Encoding.UTF8.GetBytes(line + "\n")));

        public KeptProcess State(string name)
        {
            using Kept kept = Client.Get(name)!;
            return kept.Entry.Process!;
        }

        public KeptProcess Wait(string name)
        {
            Eventually.True(() => State(name).Ended, KeeperProcess.Limit, $"the end of {name}");
            return State(name);
        }

        public void End(string name)
        {
            _socket!.Dispose();
            Wait(name);
        }

        public void Dispose()
        {
            _socket?.Dispose();
            Client.Dispose();
            Keeper.Dispose();
            Folder.Dispose();
        }

        private SafeFileHandle Next()
        {
            _socket?.Dispose();
            (_socket, SafeFileHandle theirs) = FrameSocket.Pair();
            return theirs;
        }
    }
}
