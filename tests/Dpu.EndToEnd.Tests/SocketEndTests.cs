using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Connections with sockets of the host when a daemon is killed.</summary>
[TestClass]
public sealed class SocketEndTests
{
    [TestMethod]
    [TestCategory("root")]
    public void EitherDaemonKilled_ConnectionsEnd_AndTheNextOneServesTheSockets()
    {
        using var pair = new Pair(keeper: true);
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock") };
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        string mount = pair.Up(changeRuntime: runtime => runtime["hosts"]![0]!["resumeWithin"] = "1s");
        using RunningProgram server = Shell.StartPython(
            """
            s = socket.socket(socket.AF_UNIX); s.bind('a.sock'); s.listen(); say('ready')
            while True:
                c, _ = s.accept(); c.send(b'hello')
                try: say('end', c.recv(10))
                except ConnectionResetError: say('end', 'reset')
            """,
            pair.ExportRoot);
        Eventually.True(() => server.Output.Contains("ready", StringComparison.Ordinal) || server.HasExited, Pair.Limit, "the host's server");
        int ends = 0;
        foreach (Action kill in (Action[])[() => pair.Runtime.Kill(), () => pair.Agent.Kill()])
        {
            using RunningProgram client = Shell.StartPython(
                """
                s = socket.socket(socket.AF_UNIX); s.settimeout(20)
                s.connect('a.sock'); say(s.recv(10))
                try: say('end', s.recv(10))
                except ConnectionResetError: say('end', 'reset')
                """,
                mount);
            Eventually.True(() => client.Output.Contains("hello", StringComparison.Ordinal) || client.HasExited, Pair.Limit, "the connection: " + client.Error);
            kill();
            Assert.HasCount(2, Shell.End(client), "its program sees the end");
            ends++;
            Eventually.True(() => server.Output.Split("end").Length - 1 == ends, Pair.Limit, "so does the host's");
            if (pair.Runtime.HasExited)
            {
                pair.RestartRuntime();
            }
            else
            {
                pair.RestartAgent();
            }
        }

        // While the link is still coming up again, connections break off.
        Eventually.True(
            () => Shell.Run("/usr/bin/python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.connect('a.sock'); print(s.recv(5))\"", mount).Output.Contains("hello", StringComparison.Ordinal),
            Pair.Limit,
            "a connection through the daemons that took over");
    }

    [TestMethod]
    [TestCategory("root")]
    public void RuntimeKilled_ItsSuccessorsFirstConnection_EndsItsConnectionsAtTheHost()
    {
        using var pair = new Pair(keeper: true);
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock") };
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        string mount = pair.Up(changeRuntime: runtime => runtime["hosts"]![0]!["resumeWithin"] = "5m");

        // Takes one program at a time, as monitors of virtual machines do.
        using RunningProgram server = Shell.StartPythonServer(
            """
            s = socket.socket(socket.AF_UNIX); s.bind('a.sock'); s.listen(); say('ready')
            while True:
                c, _ = s.accept(); c.send(b'hello')
                try: c.recv(10)
                except ConnectionResetError: pass
                c.close()
            """,
            pair.ExportRoot);
        const string Client = "s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect('a.sock'); say(s.recv(10)); ";
        using RunningProgram first = Shell.StartPython(Client + "s.recv(10)", mount);
        Eventually.True(() => first.Output.Contains("hello", StringComparison.Ordinal) || first.HasExited, Pair.Limit, "the first connection: " + first.Error);
        pair.Runtime.Kill();
        pair.RestartRuntime();
        CollectionAssert.AreEqual(new[] { "b'hello'" }, Shell.Python(Client, mount));
    }

    [TestMethod]
    [TestCategory("root")]
    public void EitherDaemonKilled_SocketsThatTheDpuHasBoundListenOn_UntilTheirProgramEnds()
    {
        using var pair = new Pair(keeper: true);
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["sockets"] = new JsonObject { ["bind"] = new JsonArray("*.sock") };
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        string mount = pair.Up();
        const string Serve =
            """
            all = []
            for i in range(80):
                s = socket.socket(socket.AF_UNIX); s.bind('a%d.sock' % i); s.listen(); all.append(s)
            say('ready')
            while True:
                for s in select.select(all, [], [])[0]:
                    c, _ = s.accept(); c.send(b'hello'); c.close()
            """;
        using (RunningProgram server = Shell.StartPython(Serve, mount))
        {
            AwaitHello(pair, "at first: " + server.Error);
            pair.Runtime.Kill();
            pair.RestartRuntime();
            AwaitHello(pair, "through the runtime that took over");
            pair.Agent.Kill();
            pair.RestartAgent();
            AwaitHello(pair, "through the agent that took over");
        }

        Eventually.True(() => Hello(pair) == "refused", Pair.Limit, "the end");
        _ = Shell.Check("rm a*.sock", pair.ExportRoot);
        using RunningProgram again = Shell.StartPython(Serve, mount);
        AwaitHello(pair, "bound again: " + again.Error);
    }

    private static void AwaitHello(Pair pair, string what) => Eventually.True(() => Hello(pair) == "b'hello'", Pair.Limit, what);

    // The first and the last of them.
    private static string Hello(Pair pair) => string.Join(' ', Shell.Python(
        """
        for name in ['a0.sock', 'a79.sock']:
            s = socket.socket(socket.AF_UNIX); s.settimeout(10)
            try: s.connect(name); say(s.recv(5))
            except (ConnectionRefusedError, FileNotFoundError): say('refused')
            except OSError as e: say(e)
        """,
        pair.ExportRoot).Distinct());
}
