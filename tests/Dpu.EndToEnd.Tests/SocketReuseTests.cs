using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Short connections with sockets of the host, one after another: what carries one carries the next.</summary>
[TestClass]
public sealed class SocketReuseTests
{
    // Where the export lies: sockets in memory are connected to by the thread that moves the bytes, others by one that may wait.
    private const string Memory = "/dev/shm";
    private const string Disk = "/var/tmp";

    // Answers each with the user that it sees, and what was said.
    private const string Server =
        """
        import struct
        s = socket.socket(socket.AF_UNIX); s.bind('a.sock'); os.chmod('a.sock', 0o666); s.listen(); say('ready')
        while True:
            c, _ = s.accept()
            try:
                word = c.recv(100)
                c.sendall(b'%d %s' % (struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1], word))
            except ConnectionResetError: pass
            c.close()
        """;

    // Who fails says it; the path is looked up again while the link is away.
    private const string Ask =
        """
        def ask(word):
            s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect('a.sock'); s.sendall(word)
            heard = b''
            while True:
                part = s.recv(100)
                if not part: return heard.decode()
                heard += part

        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(LinkKind.Unix, Memory)]
    [DataRow(LinkKind.Unix, Disk)]
    [DataRow(LinkKind.Tls, Memory)]
    public void ConnectionsOfSeveralUsers_OneAfterAnother_TakeOneConnectionOfTheLink_EachAsItsUser(LinkKind kind, string store)
    {
        using var pair = new Pair(kind);
        using var folder = new ExportFolder(store);
        Allow(pair, folder);
        string mount = pair.Up();
        using RunningProgram server = Shell.StartPythonServer(Server, folder.Path);
        int before = Connections(pair);
        string[] lines = Shell.Python(
            Ask + """
            for i in range(40):
                if os.fork() == 0:
                    os.setgroups([]); os.setresgid(1000 + i % 4, 1000 + i % 4, 1000 + i % 4); os.setresuid(1000 + i % 4, 1000 + i % 4, 1000 + i % 4)
                    say(i, ask(b'word%d' % i))
                    os._exit(0)
                os.wait()
            """,
            mount);
        CollectionAssert.AreEqual(Enumerable.Range(0, 40).Select(i => $"{i} {1000 + (i % 4)} word{i}").ToArray(), lines);

        // The next may come a moment before the last one's end is known to both ends.
        Assert.IsLessThan(6, Connections(pair) - before, "connections of the link for 40 of programs");
        Assert.IsEmpty(Listed(pair), "none goes on");
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(LinkKind.Unix, Memory)]
    [DataRow(LinkKind.Tls, Disk)]
    public void LinkCutBetweenConnections_TheNextProgramsSeeNothingOfIt(LinkKind kind, string store)
    {
        using var pair = new Pair(kind);
        using var folder = new ExportFolder(store);
        Allow(pair, folder);
        using LinkProxy proxy = LinkProxy.Up(pair, out string mount);
        using RunningProgram server = Shell.StartPythonServer(Server, folder.Path);
        using RunningProgram client = Shell.StartPython(
            Ask + $$"""
            for r in range(1, 9):
                wait('{{pair.Folder}}/go%d' % r)
                for i in range(5): say(ask(b'%d' % i))
            """,
            mount);
        for (int round = 1; round <= 8; round++)
        {
            // While all wait, and in the middle.
            File.WriteAllText(Path.Combine(pair.Folder, $"go{round}"), "");
            if (round % 2 == 0)
            {
                proxy.Cut();
            }

            Eventually.True(() => client.HasExited || Lines(client).Length == 5 * round, Pair.Limit, $"the answers of round {round}: {client.Output}{client.Error}");
            proxy.Cut();
        }

        CollectionAssert.AreEqual(Enumerable.Range(0, 40).Select(i => $"0 {i % 5}").ToArray(), Shell.End(client));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ListenerWhoseQueueIsFull_HoldsUpItsOwnProgramsAlone()
    {
        using var pair = new Pair();
        using var folder = new ExportFolder(Memory);
        Allow(pair, folder);
        string mount = pair.Up();
        using RunningProgram server = Shell.StartPythonServer(Server, folder.Path);
        using RunningProgram busy = Shell.StartPythonServer(
            $$"""
            s = socket.socket(socket.AF_UNIX); s.bind('busy.sock'); s.listen(0); say('ready')
            wait('{{pair.Folder}}/accept')
            for i in range(8):
                c, _ = s.accept(); c.sendall(b'at last'); c.close()
            """,
            folder.Path);

        // Eight at a time leave eight connections of the link, which the eight that wait take.
        using RunningProgram clients = Shell.StartPython(
            Ask + $$"""
            import threading
            def together(work):
                threads = [threading.Thread(target=work) for i in range(8)]
                for t in threads: t.start()
                return threads
            for t in together(lambda: ask(b'x')): t.join()
            heard = []
            def await_busy():
                s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect('busy.sock'); heard.append(s.recv(100))
            waiting = together(await_busy)
            for i in range(20): ask(b'y')
            say('others')
            for t in waiting: t.join()
            say(heard.count(b'at last'))
            """,
            mount);
        Eventually.True(() => Lines(clients).Contains("others") || clients.HasExited, Pair.Limit, "the connections with the other socket: " + clients.Error);
        Assert.HasCount(1, Lines(clients), "and the others wait");
        File.WriteAllText(Path.Combine(pair.Folder, "accept"), "");
        CollectionAssert.AreEqual(new[] { "others", "8" }, Shell.End(clients));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("agent")]
    [DataRow("runtime")]
    public void DaemonReplaced_BesideConnectionsThatWait_TheNextProgramSeesNothingOfIt(string daemon)
    {
        using var pair = new Pair(keeper: true);
        using var folder = new ExportFolder(Memory);
        Allow(pair, folder);
        string mount = pair.Up();
        using RunningProgram server = Shell.StartPythonServer(Server, folder.Path);
        foreach (bool killed in new[] { true, false })
        {
            CollectionAssert.AreEqual(new[] { "0 a", "0 b" }, Shell.Python(Ask + "say(ask(b'a')); say(ask(b'b'))", mount));
            Daemon old = daemon == "agent" ? pair.Agent : pair.Runtime;
            if (killed)
            {
                old.Kill();
            }
            else
            {
                old.Stop();
            }

            _ = daemon == "agent" ? pair.RestartAgent() : pair.RestartRuntime();
        }

        CollectionAssert.AreEqual(new[] { "0 c" }, Shell.Python(Ask + "say(ask(b'c'))", mount));
    }

    [TestMethod]
    [TestCategory("root")]
    public void RuleTakenAway_BesideConnectionsThatWait_HoldsForTheNextProgram()
    {
        using var pair = new Pair();
        using var folder = new ExportFolder(Memory);
        Allow(pair, folder);
        string mount = pair.Up();
        using RunningProgram server = Shell.StartPythonServer(Server, folder.Path);
        CollectionAssert.AreEqual(new[] { "0 a" }, Shell.Python(Ask + "say(ask(b'a'))", mount));
        pair.AgentConfiguration["exports"]![0]!["sockets"]!["connect"] = new JsonArray("other.sock");
        _ = pair.WriteAgentConfiguration();
        pair.Agent.Ctl("reload").EnsureSuccess();
        CollectionAssert.AreEqual(new[] { "refused" }, Shell.Python("say('refused' if socket.socket(socket.AF_UNIX).connect_ex('a.sock') == errno.ECONNREFUSED else 'connected')", mount));
        pair.AgentConfiguration["exports"]![0]!["sockets"]!["connect"] = new JsonArray("a.sock");
        _ = pair.WriteAgentConfiguration();
        pair.Agent.Ctl("reload").EnsureSuccess();
        CollectionAssert.AreEqual(new[] { "0 b" }, Shell.Python(Ask + "say(ask(b'b'))", mount));
    }

    private static void Allow(Pair pair, ExportFolder folder)
    {
        JsonObject export = Pair.Export("data", folder.Path);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock") };
        pair.AgentConfiguration["exports"] = new JsonArray(export);

        // Unprivileged users shall get as far as the sockets.
        File.SetUnixFileMode(pair.Folder, (UnixFileMode)0x1ed);
    }

    private static string[] Lines(RunningProgram program) => program.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private static int Connections(Pair pair) => pair.Agent.Log.Split("for relay opened").Length;

    private static JsonArray Listed(Pair pair) => JsonNode.Parse(pair.Runtime.Ctl("socket", "list", "--json").EnsureSuccess().Output)!["sockets"]!.AsArray();

    /// <summary>A folder of a file system of the one kind or the other.</summary>
    private sealed class ExportFolder : IDisposable
    {
        public ExportFolder(string store)
        {
            string kind = new DriveInfo(store).DriveFormat;
            Assert.AreEqual(store == Memory, kind == "tmpfs", $"{store} is {kind}");
            Path = System.IO.Path.Combine(store, System.IO.Path.GetRandomFileName());

            // Unprivileged users shall get as far as the sockets.
            Directory.CreateDirectory(Path, (UnixFileMode)0x1ed);
        }

        public string Path { get; }

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
