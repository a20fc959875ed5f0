using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Short connections with sockets of the host, one after another: what carries one carries the next.</summary>
[TestClass]
public sealed class SocketReuseTests
{
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
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void ConnectionsOfSeveralUsers_OneAfterAnother_TakeOneConnectionOfTheLink_EachAsItsUser(LinkKind kind)
    {
        using var pair = new Pair(kind);
        string mount = Up(pair);
        using RunningProgram server = Shell.StartPythonServer(Server, pair.ExportRoot);
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
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void LinkCutBetweenConnections_TheNextProgramsSeeNothingOfIt(LinkKind kind)
    {
        using var pair = new Pair(kind);
        Allow(pair);
        using LinkProxy proxy = LinkProxy.Up(pair, out string mount);
        using RunningProgram server = Shell.StartPythonServer(Server, pair.ExportRoot);
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

    private static string Up(Pair pair)
    {
        Allow(pair);
        return pair.Up();
    }

    private static void Allow(Pair pair)
    {
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock") };
        pair.AgentConfiguration["exports"] = new JsonArray(export);

        // Unprivileged users shall get as far as the sockets.
        File.SetUnixFileMode(pair.Folder, (UnixFileMode)0x1ed);
    }

    private static string[] Lines(RunningProgram program) => program.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private static int Connections(Pair pair) => pair.Agent.Log.Split("for relay opened").Length;

    private static JsonArray Listed(Pair pair) => JsonNode.Parse(pair.Runtime.Ctl("socket", "list", "--json").EnsureSuccess().Output)!["sockets"]!.AsArray();
}
