using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Connections with sockets of the host while the link is cut again and again.</summary>
[TestClass]
public sealed class SocketCutTests
{
    // Each side sends what a seed says and hears what another one says, then the end; both tell the sums.
    private const string Talk =
        """
        import hashlib, random, threading
        def talk(s, mine, seconds):
            sent = hashlib.sha256(); heard = hashlib.sha256()
            def speak():
                r = random.Random(mine); until = time.time() + seconds
                while time.time() < until:
                    block = r.randbytes(r.choice([1, 64, 3000, 100000])); sent.update(block); s.sendall(block)
                s.shutdown(socket.SHUT_WR)
            t = threading.Thread(target=speak); t.start()
            while True:
                block = s.recv(200000)
                if not block: break
                heard.update(block)
            t.join(); say('sum', sent.hexdigest(), heard.hexdigest())

        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void LinkCutAgainAndAgain_StreamsGoOn_BothWays(LinkKind kind)
    {
        int seed = Environment.TickCount;
        using var pair = new Pair(kind);
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock"), ["bind"] = new JsonArray("*.sock") };
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        pair.AgentConfiguration["sockets"] = new JsonArray(
            new JsonObject { ["peers"] = new JsonArray("dpu1"), ["connect"] = new JsonArray($"{pair.ExportRoot}/*.sock"), ["listen"] = new JsonArray($"{pair.Folder}/*.sock"), ["squash"] = "none" });
        using LinkProxy proxy = LinkProxy.Up(pair, out string mount);

        // One is the host's, which programs of the DPU reach; the other the DPU's, which programs of the host reach. Each also by a forward.
        using RunningProgram hostServer = Shell.StartPythonServer(Server("host.sock"), pair.ExportRoot);
        using RunningProgram dpuServer = Shell.StartPythonServer(Server("dpu.sock"), mount);
        using RunningProgram reverseServer = Shell.StartPythonServer(Server("served.sock"), pair.Folder);
        pair.Runtime.Ctl("socket", "forward", $"{pair.Folder}/there.sock", $"{pair.ExportRoot}/host.sock").EnsureSuccess();
        pair.Runtime.Ctl("socket", "forward", "--reverse", $"{pair.Folder}/served.sock", $"{pair.Folder}/here.sock").EnsureSuccess();
        Eventually.True(() => File.Exists($"{pair.Folder}/here.sock"), Pair.Limit, "the host's end of a forward");
        RunningProgram[] servers = [hostServer, dpuServer, reverseServer];
        RunningProgram[] clients =
        [
            Shell.StartPython(Client("host.sock", 1), mount), Shell.StartPython(Client("host.sock", 2), mount), Shell.StartPython(Client("dpu.sock", 3), pair.ExportRoot),
            Shell.StartPython(Client("there.sock", 4), pair.Folder), Shell.StartPython(Client("here.sock", 5), pair.Folder),
        ];
        try
        {
            Eventually.True(() => clients.All(client => client.Output.Contains("connected", StringComparison.Ordinal)), Pair.Limit, "the connections: " + string.Concat(clients.Select(client => client.Error)));
            proxy.CutAtRandom(seed, most: 3_000_000);
            bool ended = Eventually.Within(() => clients.All(client => client.HasExited) && servers.Sum(server => Sums(server).Length) == clients.Length, TimeSpan.FromSeconds(60));
            Assert.IsTrue(ended, $"the ends of all (seed {seed}, {proxy.Cuts} cuts): {Told(clients)}{Told(servers)}{pair.Runtime.Ctl("socket", "list").Output}{pair.Runtime.Log}{pair.Agent.Log}");
            proxy.CutAtRandom(seed, most: 0);
            string[] far = [.. servers.SelectMany(Sums).Order(StringComparer.Ordinal)];
            string[] near = [.. clients.SelectMany(Sums).Select(sum => string.Join(' ', sum.Split(' ').Reverse())).Order(StringComparer.Ordinal)];
            CollectionAssert.AreEqual(near, far, $"what each has said the other has heard (seed {seed}, {proxy.Cuts} cuts)");
            Assert.IsGreaterThan(3, proxy.Cuts, "hardly any cut");
            Console.WriteLine($"seed {seed}: {proxy.Cuts} cuts");
        }
        finally
        {
            Array.ForEach(clients, client => client.Dispose());
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void LinkThatStaysAway_ResetsThePrograms_AfterTheConfiguredTime()
    {
        using var pair = new Pair();
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock") };
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        using LinkProxy proxy = LinkProxy.Up(pair, out string mount, configure: runtime => runtime["hosts"]![0]!["resumeWithin"] = "2s");
        using RunningProgram server = Shell.StartPythonServer(
            """
            s = socket.socket(socket.AF_UNIX); s.bind('a.sock'); s.listen(); say('ready')
            c, _ = s.accept(); c.send(b'hello')
            try: say('end', c.recv(10))
            except ConnectionResetError: say('end', 'reset')
            """,
            pair.ExportRoot);
        using RunningProgram client = Shell.StartPython(
            """
            s = socket.socket(socket.AF_UNIX); s.settimeout(30)
            s.connect('a.sock'); say(s.recv(10))
            try: say('end', s.recv(10))
            except ConnectionResetError: say('end', 'reset')
            """,
            mount);
        Eventually.True(() => client.Output.Contains("hello", StringComparison.Ordinal) || client.HasExited, Pair.Limit, "the connection: " + client.Error);
        proxy.CloseNow();
        Eventually.True(() => Sockets(pair).Any(relay => relay!["away"]!.GetValue<bool>()), Pair.Limit, "the connection to be listed as away");
        Assert.IsFalse(client.HasExited || server.HasExited, "not yet");
        Assert.HasCount(2, Shell.End(client), "its program sees the end");
        Assert.HasCount(2, Shell.End(server), "so does the host's");
    }

    private static string Server(string name) => Talk +
        $$"""
        s = socket.socket(socket.AF_UNIX); s.bind('{{name}}'); s.listen(); say('ready')
        n = 100
        while True:
            c, _ = s.accept(); n += 1
            threading.Thread(target=talk, args=(c, n, 5)).start()
        """;

    private static string Client(string name, int seed) => Talk +
        $$"""
        s = socket.socket(socket.AF_UNIX)
        while s.connect_ex('{{name}}') == errno.ECONNREFUSED: time.sleep(0.01)
        say('connected')
        talk(s, {{seed}}, 5)
        """;

    private static string[] Sums(RunningProgram program) =>
        [.. program.Output.Split('\n').Where(line => line.StartsWith("sum ", StringComparison.Ordinal)).Select(line => line["sum ".Length..])];

    private static string Told(RunningProgram[] programs) => string.Join("; ", programs.Select(program => $"{program.HasExited} {program.Output}{program.Error}")) + "\n";

    private static JsonArray Sockets(Pair pair) => JsonNode.Parse(pair.Runtime.Ctl("socket", "list", "--json").EnsureSuccess().Output)!["sockets"]!.AsArray();
}
