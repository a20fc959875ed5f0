using Dpu.Linux;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>The arm64 builds of dpu-stub and dpu-launch, run by an emulator: a DPU's, and an arm64 host's.</summary>
[TestClass]
public sealed class EmulatedTests
{
    private const string Emulator = "qemu-aarch64-static";

    [TestMethod]
    [TestCategory("interop")]
    public void Stub_OfArm64_StartsStopsIsSignalledAndEndsAsItsProgram()
    {
        string emulator = Requires.Tool(Emulator);
        using StubProgram runtime = new();
        KeeperProcess.Compile("arm64", runtime.Folder.FullPath);
        string parent =
            """
            import os, sys
            pid = os.fork()
            if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
            print(pid, flush=True)
            while True:
                _, s = os.waitpid(pid, os.WUNTRACED)
                print(s, flush=True)
                if not os.WIFSTOPPED(s): break
            """;
        foreach (int status in (int[])[0, 77 << 8, 15])
        {
            using RunningProgram program = RunningProgram.Start("python3", ["-c", parent, emulator, runtime.Folder["dpu-stub"], "--host", "h", "--", "/bin/program", "argument"], environment: runtime.Environment);
            int pid = int.Parse(program.WaitForLine(line => line.Length > 0, StubProgram.Limit), System.Globalization.CultureInfo.InvariantCulture);
            using FrameSocket first = runtime.Accept();
            Frame start = StubProgram.TakeStart(first);
            CollectionAssert.AreEqual((string[])["/bin/program", "argument"], start.Texts(process.PROCESS_ARGUMENT));
            Assert.AreEqual("h", start.Texts(process.PROCESS_HOST).Single());
            CollectionAssert.AreEqual(FrameSocket.Bytes(0, 0), start.Record(process.PROCESS_IDENTITY));
            Assert.HasCount(16 * 24, start.Record(process.PROCESS_LIMITS));
            StubProgram.Started(first);
            Assert.AreEqual(0, LibC.kill(pid, 10));
            Assert.AreEqual(10, StubProgram.Signal(first.Receive()).signal);
            first.Send(process.PROCESS_STOPPED, FrameSocket.Bytes(20));
            program.WaitForLine(line => line == $"{(20 << 8) | 0x7f}", StubProgram.Limit);
            Assert.AreEqual(0, LibC.kill(pid, 18));
            Assert.AreEqual(18, StubProgram.Signal(first.Receive()).signal);
            first.Dispose();
            using FrameSocket second = runtime.Accept();
            CollectionAssert.AreEqual(StubProgram.Token, second.Receive()!.Content);
            second.Send(process.PROCESS_ATTACHED, []);
            second.Send(process.PROCESS_ENDED, FrameSocket.Bytes(status));
            Assert.IsTrue(program.WaitForExit(StubProgram.Limit));
            Assert.EndsWith($"\n{status}\n", program.Output);
        }
    }

    // What it becomes is this machine's: the emulator has the kernel execute it.
    [TestMethod]
    [TestCategory("interop")]
    public void Launch_OfArm64_BecomesWhatItIsTold()
    {
        string emulator = Requires.Tool(Emulator);
        using TemporaryDirectory folder = new();
        KeeperProcess.Compile("arm64", folder.FullPath);
        string launcher = folder.WriteFile("launcher", $"#!/bin/sh\nexec {emulator} -L /usr/aarch64-linux-gnu {folder["dpu-launch"]}\n");
        File.SetUnixFileMode(launcher, (UnixFileMode)0x1ed);
        using KeeperProcess keeper = new("--launcher", launcher);
        using KeeperClient client = new(keeper.Socket);
        string seen = LaunchedProgram.Run(
            client,
            Records.Shell("id -u; id -G; pwd; umask; ulimit -c; grep SigIgn /proc/self/status; nice; exit $((3 - 3))")
                .Numbers(process.PROCESS_IDENTITY, 65534, 1234).Numbers(process.PROCESS_GROUPS, 5, 6).Text(process.PROCESS_DIRECTORY, "/usr/share").Numbers(process.PROCESS_UMASK, 22)
                .Wide(process.PROCESS_LIMITS, 4, 512 * 5, 512 * 7).Wide(process.PROCESS_SIGNALS, 0, 1ul << 9).Numbers(process.PROCESS_SCHEDULING, 0, 0, 7).Numbers(process.PROCESS_FLAGS, (int)process.PROCESS_NEW_SESSION));
        Assert.AreEqual("65534\n1234 5 6\n/usr/share\n0026\n5\nSigIgn:\t0000000000000200\n7\n", seen);
        using LaunchedProgram failing = new(client, Records.Of("/no/such/program"));
        Assert.AreEqual(errno.ENOENT, failing.Failure!.Number());
        Assert.AreEqual(127, failing.Wait().ExitCode);
        using LaunchedProgram signalled = new(client, Records.Shell("kill -9 $$"));
        Assert.AreEqual(9, signalled.Wait().EndedBy);
    }
}
