using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>FIFOs of a mount between programs of the DPU and of the host, with programs that know of nothing.</summary>
[TestClass]
public sealed class FifoTests
{
    private static Pair s_pair = null!;
    private static string s_mount = "";

    private static string Export => s_pair.ExportRoot;

    [ClassInitialize]
    public static void Up(TestContext context)
    {
        s_pair = new Pair();
        JsonObject export = Pair.Export("data", s_pair.ExportRoot);
        export["fifos"] = new JsonArray(
            new JsonObject { ["match"] = "*-out", ["direction"] = "toDpu" }, new JsonObject { ["match"] = "*-in", ["direction"] = "toHost" }, new JsonObject { ["match"] = "f-*" });
        s_pair.AgentConfiguration["exports"] = new JsonArray(export);
        s_mount = s_pair.Up();
    }

    [ClassCleanup]
    public static void Down() => s_pair.Dispose();

    /// <summary>Which side a program is on.</summary>
    public enum Side
    {
        Dpu,
        Host,
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(Side.Dpu, true)]
    [DataRow(Side.Dpu, false)]
    [DataRow(Side.Host, true)]
    [DataRow(Side.Host, false)]
    public void Data_OfAWriter_ReachTheReaderOfTheOtherSide_WhoeverComesFirst_AndEnd(Side writer, bool writerFirst)
    {
        string name = $"f-data-{writer}-{writerFirst}";
        Make(name, writer);
        string file = Path.Combine(s_pair.Folder, name);
        _ = Shell.Check($"head -c {64 << 20} /dev/urandom > {file}", "/");
        using RunningProgram first = writerFirst ? Write(file, name, Where(writer)) : Read(name, Where(Other(writer)));
        Eventually.True(() => IsOpening(first), Pair.Limit, "the first to wait for its partner");
        using RunningProgram second = writerFirst ? Read(name, Where(Other(writer))) : Write(file, name, Where(writer));
        RunningProgram reader = writerFirst ? second : first;
        _ = Shell.End(writerFirst ? first : second);
        Assert.AreEqual(Shell.Check($"sha256sum < {file}", "/"), string.Concat(Shell.End(reader)));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(Side.Dpu)]
    [DataRow(Side.Host)]
    public void Writer_IsToldThatTheLastReaderHasGone(Side writer)
    {
        string name = $"f-epipe-{writer}";
        Make(name, Side.Host);
        using RunningProgram writing = Shell.StartPython(
            $$"""
            f = os.open('{{name}}', os.O_WRONLY); say('open')
            os.write(f, b'one')
            p = select.poll(); p.register(f, 0)
            p.poll(20000)
            attempt('write', lambda: os.write(f, b'two'))
            """,
            Where(writer));
        Assert.AreEqual("one", Shell.Check($"head -c3 {name}", Where(Other(writer))));
        CollectionAssert.AreEqual(new[] { "open", "write EPIPE" }, Shell.End(writing));
    }

    [TestMethod]
    [TestCategory("root")]
    public void OpenersThatDoNotWait_FindThePartnerOfTheOtherSide_OrNone()
    {
        Make("f-nonblock", Side.Dpu);
        Assert.AreEqual("none ENXIO", Shell.Python("attempt('none', lambda: os.open('f-nonblock', os.O_WRONLY | os.O_NONBLOCK))", s_mount).Single());
        foreach (Side writer in (Side[])[Side.Dpu, Side.Host])
        {
            // The reader waits in open(2), or has it open without a writer.
            foreach (string flags in (string[])["os.O_RDONLY", "os.O_RDONLY | os.O_NONBLOCK"])
            {
                using RunningProgram reader = Shell.StartPython(
                    $$"""
                    say('ready')
                    f = os.open('f-nonblock', {{flags}})
                    p = select.poll(); p.register(f, select.POLLIN)
                    got = b''
                    while True:
                        p.poll(20000)
                        m = os.read(f, 100)
                        if not m: break
                        got += m
                    say(got)
                    """,
                    Where(Other(writer)));
                Shell.AwaitReady(reader);
                string[] said = Shell.Python(
                    """
                    for i in range(1000):
                        try:
                            f = os.open('f-nonblock', os.O_WRONLY | os.O_NONBLOCK)
                            break
                        except OSError as e:
                            if e.errno != errno.ENXIO: raise
                            select.select([], [], [], 0.02)
                    os.write(f, b'hello'); say('written')
                    """,
                    Where(writer));
                CollectionAssert.AreEqual(new[] { "written" }, said);
                CollectionAssert.AreEqual(new[] { "ready", "b'hello'" }, Shell.End(reader), $"{writer} {flags}");
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(Side.Dpu)]
    [DataRow(Side.Host)]
    public void WriterThatDoesNotWait_WithAReaderOfItsOwnSide_IsItsPartnerAlone(Side side)
    {
        string name = $"f-own-{side}";
        Make(name, side);
        for (int round = 0; round < 5; round++)
        {
            using RunningProgram reader = Read(name, Where(side));
            Eventually.True(() => IsOpening(reader), Pair.Limit, "the reader");

            // The host is asked for a writer meanwhile.
            Assert.AreEqual("5", Shell.Python("select.select([], [], [], 0.15); say(os.write(os.open('" + name + "', os.O_WRONLY | os.O_NONBLOCK), b'hello'))", Where(side)).Single());
            Assert.StartsWith("2cf24dba", string.Concat(Shell.End(reader)));
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void WriterThatDoesNotWait_WhenAReaderOfItsOwnSideHasJustGone_FindsTheHosts()
    {
        Make("f-gone", Side.Host);
        for (int round = 0; round < 5; round++)
        {
            using RunningProgram reader = Read("f-gone", Export);
            Eventually.True(() => IsOpening(reader), Pair.Limit, "the reader");
            string[] lines = Shell.Python(
                """
                f = os.open('f-gone', os.O_RDONLY | os.O_NONBLOCK)
                select.select([], [], [], 0.15)
                os.close(f)
                say(os.write(os.open('f-gone', os.O_WRONLY | os.O_NONBLOCK), b'hello'))
                """,
                s_mount);
            CollectionAssert.AreEqual(new[] { "5" }, lines);
            Assert.StartsWith("2cf24dba", string.Concat(Shell.End(reader)));
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void WriterThatDoesNotWait_FindsAWaitingReaderOfTheHost_AtOnce()
    {
        Make("f-once", Side.Host);
        using RunningProgram reader = Read("f-once", Export);
        Eventually.True(() => IsOpening(reader), Pair.Limit, "the reader");
        CollectionAssert.AreEqual(new[] { "5" }, Shell.Python("say(os.write(os.open('f-once', os.O_WRONLY | os.O_NONBLOCK), b'hello'))", s_mount));
        Assert.StartsWith("2cf24dba", string.Concat(Shell.End(reader)));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Writers_OfBothSides_ShareOneReader_WhichEndsAfterTheLast()
    {
        Make("f-many", Side.Host);
        using RunningProgram reader = RunningProgram.Start("bash", ["-c", "sort f-many | uniq -c | awk '{print $1, $2}'"], directory: Export);
        string write = "for w in a b c d; do (for i in $(seq 500); do echo $SIDE$w; done) & done; wait";
        using RunningProgram dpu = RunningProgram.Start("bash", ["-c", $"exec > f-many; SIDE=dpu; {write}; sleep 0.3"], directory: s_mount);
        using RunningProgram host = RunningProgram.Start("bash", ["-c", $"exec > f-many; SIDE=host; {write}; sleep 0.3"], directory: Export);
        string[] lines = Shell.End(reader);
        CollectionAssert.AreEqual((string[])["500 dpua", "500 dpub", "500 dpuc", "500 dpud", "500 hosta", "500 hostb", "500 hostc", "500 hostd"], lines);
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(Side.Dpu)]
    [DataRow(Side.Host)]
    public void Traffic_OfOneSideAlone_IsItsOwn(Side side)
    {
        string name = $"f-local-{side}";
        Make(name, side);
        string[] lines = Shell.Python(
            $$"""
            import threading, hashlib
            total = 0
            def read():
                global total
                with open('{{name}}', 'rb', 0) as f:
                    while True:
                        m = f.read(65536)
                        if not m: break
                        total += len(m)
            for i in range(5):
                t = threading.Thread(target=read); t.start()
                with open('{{name}}', 'wb', 0) as f:
                    for j in range(200): f.write(b'x' * 50000)
                t.join()
            say(total)
            """,
            Where(side));
        CollectionAssert.AreEqual(new[] { "50000000" }, lines);
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("a-out", Side.Host)]
    [DataRow("a-in", Side.Dpu)]
    public void OpenForBothOnBothSides_GoesTheWayOfTheRule(string name, Side writer)
    {
        Make(name, Side.Host);
        using RunningProgram reader = Shell.StartPython(
            $$"""
            f = os.open('{{name}}', os.O_RDWR); say('ready')
            got = b''
            while len(got) < 2000000:
                got += os.read(f, 65536)
            say(len(got), set(got))
            """,
            Where(Other(writer)));
        Shell.AwaitReady(reader);
        string[] written = Shell.Python(
            $$"""
            f = os.open('{{name}}', os.O_RDWR)
            for i in range(200): os.write(f, b'y' * 10000)
            select.select([], [], [], 0.2)
            import fcntl, termios, struct
            while struct.unpack('i', fcntl.ioctl(f, termios.FIONREAD, b'0000'))[0]: select.select([], [], [], 0.01)
            say('done')
            """,
            Where(writer));
        CollectionAssert.AreEqual(new[] { "done" }, written);
        CollectionAssert.AreEqual(new[] { "ready", "2000000 {121}" }, Shell.End(reader));
    }

    [TestMethod]
    [TestCategory("root")]
    public void OpenForBothOnBothSides_WithoutARule_CrossesNothing_AndTheHostSaysWhich()
    {
        Make("f-both", Side.Host);
        using RunningProgram host = Shell.StartPython("f = os.open('f-both', os.O_RDWR | os.O_NONBLOCK); say('ready'); import signal; signal.pause()", Export);
        Shell.AwaitReady(host);
        using RunningProgram dpu = Shell.StartPython("f = os.open('f-both', os.O_RDWR); os.write(f, b'mine'); say('ready'); import signal; signal.pause()", s_mount);
        Shell.AwaitReady(dpu);
        Eventually.True(() => s_pair.Agent.Log.Contains("the FIFO f-both of 'data' is open for reading and writing both here", StringComparison.Ordinal), Pair.Limit, "the log");
        Assert.AreEqual("b'mine'", Shell.Python("say(os.read(os.open('f-both', os.O_RDONLY | os.O_NONBLOCK), 100))", s_mount).Single());
    }

    [TestMethod]
    [TestCategory("root")]
    public void OpenForBothOnTheDpu_FollowsTheHostsPrograms()
    {
        Make("f-one", Side.Host);
        using RunningProgram dpu = Shell.StartPython("f = os.open('f-one', os.O_RDWR); say('ready'); say(os.read(f, 100)); say('got')", s_mount);
        Shell.AwaitReady(dpu);
        _ = Shell.Check("echo hello > f-one; sleep 0.6", Export);
        CollectionAssert.AreEqual(new[] { "ready", "b'hello\\n'", "got" }, Shell.End(dpu));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(Side.Dpu)]
    [DataRow(Side.Host)]
    public void WaitingByItsPlace_AsContainerdDoes_IsJoined(Side writer)
    {
        string name = $"f-wait-{writer}";
        Make(name, Side.Host);
        string place = $"p = os.open('{name}', 0o10000000); say('ready'); ";
        using RunningProgram reader = Shell.StartPython(place + "say(os.read(os.open('/proc/self/fd/%d' % p, os.O_RDONLY), 100))", Where(Other(writer)));
        using RunningProgram writing = Shell.StartPython(place + "os.write(os.open('/proc/%d/fd/%d' % (os.getpid(), p), os.O_WRONLY), b'hello')", Where(writer));
        CollectionAssert.AreEqual(new[] { "ready", "b'hello'" }, Shell.End(reader));
        _ = Shell.End(writing);
    }

    [TestMethod]
    [TestCategory("root")]
    public void OpenedByItsPlace_AsContainerdDoes_IsRelayed_AndListed()
    {
        Make("f-place", Side.Host);
        using RunningProgram reader = Shell.StartPython(
            """
            place = os.open('f-place', 0o10000000); say('ready')
            f = os.open('/proc/self/fd/%d' % place, os.O_RDONLY | os.O_NONBLOCK)
            p = select.poll(); p.register(f, select.POLLIN)
            p.poll(20000); say(os.read(f, 100)); import signal; signal.pause()
            """,
            s_mount);
        Shell.AwaitReady(reader);
        using RunningProgram writer = Shell.StartPython("f = os.open('f-place', os.O_WRONLY); os.write(f, b'hello'); say('ready'); import signal; signal.pause()", Export);
        Eventually.True(() => reader.Output.Contains("hello", StringComparison.Ordinal), Pair.Limit, "the data: " + reader.Error);
        JsonNode listed = JsonNode.Parse(s_pair.Runtime.Ctl("socket", "list", "--json").EnsureSuccess().Output)!["sockets"]!.AsArray().Single(relay => relay!["path"]!.GetValue<string>() == s_mount + "/f-place")!;
        Assert.AreEqual("fifo toDpu", $"{listed["type"]} {listed["direction"]}");
        Assert.Contains("fifo toDpu", s_pair.Runtime.Ctl("socket", "list").EnsureSuccess().Output);
    }

    [TestMethod]
    [TestCategory("root")]
    public void WithoutARule_EachSideKeepsItsOwn_AndTheLogNamesTheRule()
    {
        Make("private", Side.Host);
        using RunningProgram host = Shell.StartPython("f = os.open('private', os.O_WRONLY)", Export);
        Eventually.True(() => IsOpening(host), Pair.Limit, "the host's writer");
        string[] lines = Shell.Python("f = os.open('private', os.O_RDONLY | os.O_NONBLOCK); p = select.poll(); p.register(f, select.POLLIN); say(p.poll(500))", s_mount);
        CollectionAssert.AreEqual(new[] { "[]" }, lines);
        Assert.IsTrue(IsOpening(host), "nobody has released it");
        Eventually.True(() => s_pair.Agent.Log.Contains("which may not be relayed: each side's programs reach their own side only; fifos of the export gives it", StringComparison.Ordinal), Pair.Limit, "the log");
    }

    [TestMethod]
    [TestCategory("root")]
    public void AfterMany_NothingIsLeft()
    {
        Make("f-again", Side.Host);
        int runtime = 0;
        int agent = 0;
        for (int round = 0; round < 30; round++)
        {
            using RunningProgram reader = Read("f-again", round % 2 == 0 ? s_mount : Export);
            _ = Shell.Check("echo hello > f-again", round % 2 == 0 ? Export : s_mount);
            Assert.StartsWith("5891b5b5", string.Concat(Shell.End(reader)));
            if (round == 5)
            {
                (runtime, agent) = (Descriptors(s_pair.Runtime.Id), Descriptors(s_pair.Agent.Id));
            }
        }

        Eventually.True(() => Descriptors(s_pair.Runtime.Id) <= runtime + 4 && Descriptors(s_pair.Agent.Id) <= agent + 4, Pair.Limit, $"descriptors: {runtime}, {agent} before, {Descriptors(s_pair.Runtime.Id)}, {Descriptors(s_pair.Agent.Id)} now");
    }

    private static int Descriptors(int process) => Directory.GetFiles($"/proc/{process}/fd").Length;

    private static Side Other(Side side) => side == Side.Dpu ? Side.Host : Side.Dpu;

    private static string Where(Side side) => side == Side.Dpu ? s_mount : Export;

    private static void Make(string name, Side side)
    {
        _ = Shell.Check($"mkfifo {name}", Where(side));
        Eventually.True(() => Shell.Run($"test -p {name}", Where(Other(side))).ExitCode == 0, Pair.Limit, "the FIFO");
    }

    private static RunningProgram Write(string file, string name, string where) => RunningProgram.Start("dd", [$"if={file}", $"of={name}", "bs=1M", "conv=notrunc", "status=none"], directory: where);

    private static RunningProgram Read(string name, string where) => RunningProgram.Start("bash", ["-c", $"exec sha256sum < {name}"], directory: where);

    private static bool IsOpening(RunningProgram program) => !program.HasExited && File.ReadAllText($"/proc/{program.Id}/wchan") == "wait_for_partner";
}
