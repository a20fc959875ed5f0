using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>FIFOs of a mount while the link is cut, once, again and again, and for longer.</summary>
[TestClass]
public sealed class FifoCutTests
{
    // Writes what a seed says for some seconds; the sum is that of what the kernel has taken. An end that nobody has made is an error of its own (EPIPE).
    private const string Write =
        """
        import hashlib, random
        def write(f, seed, seconds):
            r = random.Random(seed); sum = hashlib.sha256(); until = time.time() + seconds
            while time.time() < until:
                block = r.randbytes(r.choice([1, 64, 3000, 100000])); sum.update(block)
                while block:
                    try: block = block[os.write(f, block):]
                    except BlockingIOError: select.select([], [f], [])
            os.close(f); say('sum', sum.hexdigest())

        """;

    private const string Read =
        """
        import hashlib
        def read(f):
            sum = hashlib.sha256()
            while True:
                select.select([f], [], [])
                block = os.read(f, 200000)
                if not block: break
                sum.update(block)
            say('sum', sum.hexdigest())
        def await_data(f):
            p = select.poll(); p.register(f, select.POLLIN)
            while not any(events & select.POLLIN for _, events in p.poll()): select.select([], [], [], 0.01)
            return f

        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void LinkCutAgainAndAgain_DataGoOn_BothWays(LinkKind kind)
    {
        int seed = Environment.TickCount;
        using var pair = new Pair(kind);
        using LinkProxy proxy = Up(pair, "10s", out string mount);
        _ = Shell.Check("mkfifo up down upnb downnb", pair.ExportRoot);
        const string Opens = "while True:\n    try: f = os.open('upnb', os.O_WRONLY | os.O_NONBLOCK); break\n    except OSError: select.select([], [], [], 0.02)\n";
        RunningProgram[] readers =
        [
            Shell.StartPython(Read + "read(os.open('up', os.O_RDONLY))", pair.ExportRoot), Shell.StartPython(Read + "read(os.open('down', os.O_RDONLY))", mount),

            // A writer that does not wait may be refused as the link is cut, though this one's open has found it.
            Shell.StartPython(Read + "read(await_data(os.open('upnb', os.O_RDONLY)))", pair.ExportRoot),
            Shell.StartPython(Read + "read(await_data(os.open('downnb', os.O_RDONLY | os.O_NONBLOCK)))", mount),
        ];
        RunningProgram[] writers =
        [
            Shell.StartPython(Write + "write(os.open('up', os.O_WRONLY), 1, 2)", mount), Shell.StartPython(Write + "write(os.open('down', os.O_WRONLY), 2, 2)", pair.ExportRoot),
            Shell.StartPython(Write + Opens + "write(f, 3, 2)", mount), Shell.StartPython(Write + "write(os.open('downnb', os.O_WRONLY), 4, 2)", pair.ExportRoot),
        ];
        try
        {
            proxy.CutAtRandom(seed, most: 2_000_000);
            AwaitEnds([.. readers, .. writers], pair, $"seed {seed}, {proxy.Cuts} cuts");
            proxy.CutAtRandom(seed, most: 0);
            CollectionAssert.AreEqual(writers.SelectMany(Shell.End).ToArray(), readers.SelectMany(Shell.End).ToArray(), $"what each has written is what was read (seed {seed}, {proxy.Cuts} cuts)");
            Assert.IsGreaterThan(3, proxy.Cuts, "hardly any cut");
            Console.WriteLine($"seed {seed}: {proxy.Cuts} cuts");
        }
        finally
        {
            Array.ForEach([.. readers, .. writers], program => program.Dispose());
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void LinkCutAgainAndAgain_WhileWaysAreMade_EachWriterIsReadOnce_InOrder()
    {
        int seed = Environment.TickCount;
        using var pair = new Pair();
        using LinkProxy proxy = Up(pair, "10s", out string mount);
        _ = Shell.Check("mkfifo up down", pair.ExportRoot);
        RunningProgram[] readers = [Shell.StartPython(Listen("up"), pair.ExportRoot), Shell.StartPython(Listen("down"), mount)];
        RunningProgram[] writers = [Shell.StartPython(Say("up"), mount), Shell.StartPython(Say("down"), pair.ExportRoot)];
        try
        {
            proxy.CutAtRandom(seed, most: 10_000);
            AwaitEnds([.. readers, .. writers], pair, $"seed {seed}, {proxy.Cuts} cuts");
            proxy.CutAtRandom(seed, most: 0);
            CollectionAssert.AreEqual(writers.SelectMany(Shell.End).ToArray(), readers.SelectMany(Shell.End).ToArray(), $"what was written is what was read (seed {seed}, {proxy.Cuts} cuts)\n{pair.Runtime.Log}\n{pair.Agent.Log}");
            Assert.IsGreaterThan(1, proxy.Cuts, "hardly any cut");
            Console.WriteLine($"seed {seed}: {proxy.Cuts} cuts, {string.Join(" and ", readers.Select(reader => reader.Output.Split(' ').Length))} writers");
        }
        finally
        {
            Array.ForEach([.. readers, .. writers], program => program.Dispose());
        }

        // It never closes it, so that who opens it to write is never the partner of one that is about to go.
        static string Listen(string name) =>
            $$"""
            f = os.open('{{name}}', os.O_RDONLY); got = b''
            while not got.endswith(b'end\n'):
                block = os.read(f, 1000); got += block
                if not block: select.select([], [], [], 0.01)
            say(*got.decode().split())
            """;

        static string Say(string name) =>
            $$"""
            n = 0; until = time.time() + 2
            while time.time() < until or n < 3:
                f = os.open('{{name}}', os.O_WRONLY); os.write(f, b'%d\n' % n); os.close(f); n += 1; select.select([], [], [], 0.02)
            f = os.open('{{name}}', os.O_WRONLY); os.write(f, b'end\n'); os.close(f)
            say(*range(n), 'end')
            """;
    }

    private static void AwaitEnds(RunningProgram[] programs, Pair pair, string what) => Assert.IsTrue(
        Eventually.Within(() => programs.All(program => program.HasExited), TimeSpan.FromSeconds(60)),
        $"the ends of all ({what}): {string.Join(", ", programs.Select(program => $"{program.HasExited} {program.Error}"))}\n{pair.Runtime.Log}\n{pair.Agent.Log}");

    [TestMethod]
    [TestCategory("root")]
    [DataRow(true)]
    [DataRow(false)]
    public void LinkCut_InTheMiddleOfTheHostsAnswer_WhatItHasBegunGoesOn(bool toDpu)
    {
        using var pair = new Pair();
        using LinkProxy proxy = Up(pair, "1m", out string mount);
        _ = Shell.Check("mkfifo fifo", pair.ExportRoot);
        string reads = "say('ready'); f = os.open('fifo', os.O_RDONLY); say(os.read(f, 10)); say(os.read(f, 10))";
        string writes = "say('ready'); f = os.open('fifo', os.O_WRONLY); os.write(f, b'hello')";
        using RunningProgram waits = Shell.StartPython(toDpu ? reads : writes, mount);
        Eventually.True(() => FifosOf(pair.Runtime.Id) == 1 && pair.Agent.Log.Contains("for relay opened", StringComparison.Ordinal), Pair.Limit, "the question to the host: " + waits.Error);
        Task<long> cut = proxy.CloseAfter(4);
        using RunningProgram partner = Shell.StartPython(toDpu ? writes : reads, pair.ExportRoot);
        Assert.IsTrue(cut.Wait(Pair.Limit), "the cut");
        if (toDpu)
        {
            // It knows of nothing.
            _ = Shell.End(partner);
        }

        Assert.IsFalse(waits.Output.Contains("hello", StringComparison.Ordinal) || partner.Output.Contains("hello", StringComparison.Ordinal), "not yet");
        proxy.Closed = false;
        CollectionAssert.AreEqual(new[] { "ready", "b'hello'", "b''" }, Shell.End(toDpu ? waits : partner), $"{pair.Runtime.Log}\n{pair.Agent.Log}");
        _ = Shell.End(toDpu ? partner : waits);
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("1s")]
    [DataRow("0s")]
    public void LinkThatStaysAway_BothSeeTheEnd_AfterTheConfiguredTime_AndTheNextOpenersAreJoined(string within)
    {
        using var pair = new Pair();
        using LinkProxy proxy = Up(pair, within, out string mount);
        _ = Shell.Check("mkfifo fifo", pair.ExportRoot);
        using RunningProgram reader = Shell.StartPython(FifoPrograms.Reader, mount);
        using RunningProgram writer = Shell.StartPython(FifoPrograms.Writer, pair.ExportRoot);
        AwaitHello(reader);
        proxy.CloseNow();
        if (within != "0s")
        {
            Eventually.True(() => Fifos(pair).SingleOrDefault()?["away"]!.GetValue<bool>() == true, Pair.Limit, "the FIFO to be listed as away");
            Assert.IsFalse(reader.HasExited || writer.HasExited, "not yet");
        }

        CollectionAssert.AreEqual(new[] { "ready", "b'hello'", "b''" }, Shell.End(reader));
        CollectionAssert.AreEqual(new[] { "ready", "True", "write EPIPE" }, Shell.End(writer));
        proxy.Closed = false;
        using RunningProgram again = Shell.StartPython("f = os.open('fifo', os.O_RDONLY); say(os.read(f, 10))", mount);
        _ = Shell.Check("echo again > fifo", pair.ExportRoot);
        CollectionAssert.AreEqual(new[] { "b'again\\n'" }, Shell.End(again));
    }

    [TestMethod]
    [TestCategory("root")]
    public void LinkAway_WhatProgramsOfTheDpuDo_CrossesWhenItIsBack_InOrder()
    {
        using var pair = new Pair();
        using LinkProxy proxy = Up(pair, "1m", out string mount);
        _ = Shell.Check("mkfifo fifo up waits", pair.ExportRoot);
        using RunningProgram waits = Shell.StartPython("say('ready'); f = os.open('waits', os.O_RDONLY); say(os.read(f, 10))", mount);
        using RunningProgram leaves = Shell.StartPython($"say('ready'); f = os.open('waits', os.O_RDONLY)", mount);
        using RunningProgram reader = Shell.StartPython($"f = os.open('fifo', os.O_RDONLY); say(os.read(f, 10)); wait('{pair.Folder}/go'); os.close(f); say('closed')", mount);
        using RunningProgram writer = Shell.StartPython(FifoPrograms.Writer, pair.ExportRoot);
        using RunningProgram up = Shell.StartPython(
            $"f = os.open('up', os.O_WRONLY); os.write(f, b'first'); wait('{pair.Folder}/go'); os.write(f, b'second'); os.close(f); say('closed'); f = os.open('up', os.O_WRONLY); os.write(f, b'third')", mount);
        using RunningProgram heard = Shell.StartPython(
            """
            f = os.open('up', os.O_RDONLY); got = b''
            while not got.endswith(b'third'):
                block = os.read(f, 100); got += block
                if block: say(block)
                else: select.select([], [], [], 0.01)
            say(got)
            """,
            pair.ExportRoot);
        Eventually.True(() => reader.Output.Contains("hello", StringComparison.Ordinal) && heard.Output.Contains("first", StringComparison.Ordinal), Pair.Limit, "the data: " + reader.Error + heard.Error);
        proxy.CloseNow();
        Eventually.True(() => Fifos(pair).Count(fifo => fifo!["away"]!.GetValue<bool>()) == 2, Pair.Limit, "both to be away");
        leaves.Kill();
        File.WriteAllText($"{pair.Folder}/go", "");
        Eventually.True(() => reader.HasExited && up.Output.Contains("closed", StringComparison.Ordinal), Pair.Limit, "what they do");
        Assert.IsFalse(writer.HasExited || heard.HasExited || waits.HasExited, "nobody at the host knows of it");
        proxy.Closed = false;
        CollectionAssert.AreEqual(new[] { "ready", "True", "write EPIPE" }, Shell.End(writer), "the last reader has gone");
        Assert.AreEqual("b'firstsecondthird'", Shell.End(heard)[^1]);
        _ = Shell.End(up);
        _ = Shell.Check("echo again > waits", pair.ExportRoot);
        CollectionAssert.AreEqual(new[] { "ready", "b'again\\n'" }, Shell.End(waits));
        Eventually.True(() => Fifos(pair).Length == 0 && FifosOf(pair.Agent.Id) == 0 && FifosOf(pair.Runtime.Id) == 0, Pair.Limit, "the end of all");
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(true)]
    [DataRow(false)]
    public void LinkAway_TheMountIsUnmounted_AsEver(bool lazily)
    {
        using var pair = new Pair();
        using LinkProxy proxy = Up(pair, "1m", out string mount);
        _ = Shell.Check("mkfifo fifo", pair.ExportRoot);
        using RunningProgram reader = Shell.StartPython(lazily ? FifoPrograms.Reader : $"f = os.open('fifo', os.O_RDONLY); say(os.read(f, 10)); wait('{pair.Folder}/go')", mount);
        using RunningProgram writer = Shell.StartPython(FifoPrograms.Writer, pair.ExportRoot);
        AwaitHello(reader);
        proxy.CloseNow();
        Eventually.True(() => pair.Runtime.Log.Contains("is down", StringComparison.Ordinal), Pair.Limit, "the loss of the link");
        if (lazily)
        {
            _ = Shell.Check($"umount -l {mount}", "/");
            CollectionAssert.AreEqual(new[] { "ready", "b'hello'", "b''" }, Shell.End(reader));
        }
        else
        {
            File.WriteAllText($"{pair.Folder}/go", "");
            _ = Shell.End(reader);
            pair.Runtime.Ctl("umount", mount).EnsureSuccess();
        }

        Assert.IsFalse(writer.HasExited, "the host knows nothing of it yet");
        proxy.Closed = false;
        CollectionAssert.AreEqual(new[] { "ready", "True", "write EPIPE" }, Shell.End(writer));
        Eventually.True(() => Fifos(pair).Length == 0 && FifosOf(pair.Agent.Id) == 0, Pair.Limit, "the end of all");
    }

    [TestMethod]
    [TestCategory("root")]
    public void RuntimeKilled_ItsSuccessorsFirstWay_EndsTheOldOne_AndIsNotHeldUpByIt()
    {
        using var pair = new Pair(keeper: true);
        using LinkProxy proxy = Up(pair, "5m", out string mount);
        _ = Shell.Check("mkfifo fifo", pair.ExportRoot);
        using RunningProgram reader = Shell.StartPython(FifoPrograms.Reader, mount);
        using RunningProgram writer = Shell.StartPython(FifoPrograms.Writer, pair.ExportRoot);
        AwaitHello(reader);
        pair.Runtime.Kill();
        CollectionAssert.AreEqual(new[] { "ready", "b'hello'", "b''" }, Shell.End(reader));
        pair.RestartRuntime();
        Assert.IsFalse(writer.HasExited, "its runtime may only have lost the link");

        // The other way round, which has to wait for the end of the first.
        using RunningProgram next = Shell.StartPython("f = os.open('fifo', os.O_WRONLY); os.write(f, b'again')", mount);
        CollectionAssert.AreEqual(new[] { "ready", "True", "write EPIPE" }, Shell.End(writer));
        CollectionAssert.AreEqual(new[] { "b'again'" }, Shell.Python("say(os.read(os.open('fifo', os.O_RDONLY), 10))", pair.ExportRoot));
        _ = Shell.End(next);
    }

    private static LinkProxy Up(Pair pair, string within, out string mount)
    {
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["fifos"] = new JsonArray(new JsonObject { ["match"] = "*" });
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        return LinkProxy.Up(pair, out mount, configure: runtime => runtime["hosts"]![0]!["resumeWithin"] = within);
    }

    private static void AwaitHello(RunningProgram reader) =>
        Eventually.True(() => reader.Output.Contains("hello", StringComparison.Ordinal) || reader.HasExited, Pair.Limit, "the data: " + reader.Error);

    private static JsonNode?[] Fifos(Pair pair) =>
        [.. JsonNode.Parse(pair.Runtime.Ctl("socket", "list", "--json").EnsureSuccess().Output)!["sockets"]!.AsArray().Where(relay => relay!["type"]!.GetValue<string>() == "fifo")];

    // Threads that move bytes of FIFOs.
    private static int FifosOf(int process) => Directory.GetDirectories($"/proc/{process}/task").Count(task => Name(task) == "fifo");

    private static string Name(string task)
    {
        try
        {
            return File.ReadAllText(task + "/comm").TrimEnd();
        }
        catch (IOException)
        {
            // Expected: it has just ended.
            return "";
        }
    }
}
