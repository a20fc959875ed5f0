using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Sockets that are forwarded outside of mounts, by command and by configuration.</summary>
[TestClass]
public sealed class ForwardTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Forwards_CarryBothWays_ForEveryTypeAndKindOfAddress()
    {
        using Pair pair = Up(out string dpu, out string host);
        string unique = Path.GetFileName(pair.Folder);
        foreach ((string type, string python) in (ReadOnlySpan<(string, string)>)[("stream", "SOCK_STREAM"), ("seqpacket", "SOCK_SEQPACKET")])
        {
            foreach (bool reverse in (bool[])[false, true])
            {
                foreach (bool isAbstract in (bool[])[false, true])
                {
                    string name = $"{type}-{reverse}-{isAbstract}";
                    (string here, string there) = isAbstract ? ($"@{unique}/dpu-{name}", $"@{unique}/host-{name}") : ($"{dpu}/{name}", $"{host}/{name}");
                    (string listens, string serves) = reverse ? (there, here) : (here, there);
                    using RunningProgram server = Serve(serves, python);
                    pair.Runtime.Ctl([.. (string[])["socket", "forward", "--type", type, "--mode", "0640", "--owner", "12:34"], .. reverse ? (string[])["--reverse"] : [], here, there]).EnsureSuccess();
                    CollectionAssert.AreEqual(new[] { isAbstract ? "-" : "srw-r----- 12 34", "b'ONE'", "100000", "b'bye'" }, Talk(listens, python), name);
                    _ = Shell.End(server);
                    pair.Runtime.Ctl("socket", "rm", listens).EnsureSuccess();
                    Eventually.True(() => Refused(listens, python), Pair.Limit, $"the end of {listens}");
                    Eventually.True(() => isAbstract || !File.Exists(listens), Pair.Limit, "the end of its file");
                }
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Datagrams_AreForwardedBothWays()
    {
        using Pair pair = Up(out string dpu, out string host);
        using RunningProgram there = Shell.StartPythonServer($"s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind('{host}/d'); say('ready'); m, a = s.recvfrom(1000000); say(len(m)); s.sendto(b'answer', a)", "/");
        pair.Runtime.Ctl("socket", "forward", "--type", "dgram", dpu + "/d", host + "/d").EnsureSuccess();
        CollectionAssert.AreEqual(
            new[] { "b'answer'" },
            Shell.Python($"s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(''); s.settimeout(20); s.sendto(b'x' * 100000, '{dpu}/d'); say(s.recv(100))", "/"));
        CollectionAssert.AreEqual(new[] { "ready", "100000" }, Shell.End(there));

        using RunningProgram here = Shell.StartPythonServer($"s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind('{dpu}/r'); say('ready'); say(s.recv(100))", "/");
        pair.Runtime.Ctl("socket", "forward", "--type", "dgram", "--reverse", dpu + "/r", host + "/r").EnsureSuccess();
        Eventually.True(() => File.Exists(host + "/r"), Pair.Limit, "the host's socket");
        _ = Shell.Python($"s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'hello', '{host}/r')", "/");
        CollectionAssert.AreEqual(new[] { "ready", "b'hello'" }, Shell.End(here));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ProgramsNobodyHereWrote_AreServed()
    {
        using Pair pair = Up(out string dpu, out string host);
        using RunningProgram web = Shell.StartPythonServer(
            $$"""
            import http.server, socketserver
            class S(socketserver.UnixStreamServer):
                def get_request(self): return super().get_request()[0], ('x', 0)
            class H(http.server.BaseHTTPRequestHandler):
                def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'web ' * 100000)
            s = S('{{host}}/web', H); say('ready'); s.serve_forever()
            """,
            "/");
        pair.Runtime.Ctl("socket", "forward", dpu + "/web", host + "/web").EnsureSuccess();
        Assert.AreEqual("400000", Shell.Check($"curl -s --max-time 10 --unix-socket {dpu}/web http://x/ | wc -c", "/"));
        string unique = Path.GetFileName(pair.Folder);
        using RunningProgram socat = RunningProgram.Start("socat", [$"ABSTRACT-LISTEN:{unique}/cat,fork", "EXEC:cat"]);
        pair.Runtime.Ctl("socket", "forward", "--reverse", $"@{unique}/cat", $"@{unique}/host-cat").EnsureSuccess();
        Eventually.True(() => Shell.Run($"echo hello | socat -t5 - ABSTRACT-CONNECT:{unique}/host-cat", "/").Output == "hello\n", Pair.Limit, "the echo");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Configured_AreThereAfterTheRestartOfEitherDaemon_AndFollowAReload()
    {
        using Pair pair = Up(out string dpu, out string host, forwards: true);
        string configuration = Path.Combine(pair.Folder, "dpu1.json");
        using RunningProgram there = Echo(host + "/a");
        using RunningProgram here = Echo(dpu + "/b");
        AwaitEcho(dpu + "/a", "at first");
        AwaitEcho(host + "/b", "at first, of the host");
        pair.Runtime.Kill();
        Assert.IsTrue(Refused(dpu + "/a", "SOCK_STREAM") && File.Exists(dpu + "/a"), "a dead socket's file");
        pair.RestartRuntime();
        AwaitEcho(dpu + "/a", "after the runtime's restart");
        AwaitEcho(host + "/b", "after the runtime's restart, of the host");
        pair.Agent.Kill();
        pair.RestartAgent();
        AwaitEcho(dpu + "/a", "after the agent's restart");
        AwaitEcho(host + "/b", "after the agent's restart, of the host");
        pair.Runtime.Ctl("socket", "forward", dpu + "/command", host + "/a").EnsureSuccess();

        // The files go with what they were for, and what a command has made stays.
        JsonNode changed = JsonNode.Parse(File.ReadAllText(configuration))!;
        changed["forwards"] = new JsonArray(new JsonObject { ["host"] = "host1", ["dpuAddress"] = dpu + "/c", ["hostAddress"] = host + "/a", ["mode"] = "0666" });
        File.WriteAllText(configuration, changed.ToJsonString());
        pair.Runtime.Ctl("reload").EnsureSuccess();
        AwaitEcho(dpu + "/c", "that was added");
        AwaitEcho(dpu + "/command", "of a command");
        Eventually.True(() => !File.Exists(dpu + "/a") && !File.Exists(host + "/b"), Pair.Limit, "the end of those that were removed");
        JsonNode[] listed = [.. JsonNode.Parse(pair.Runtime.Ctl("socket", "list", "--json").EnsureSuccess().Output)!["forwards"]!.AsArray()!];
        Assert.AreEqual($"{dpu}/c True , {dpu}/command False ", string.Join(", ", listed.Select(one => $"{one!["dpuAddress"]} {one["configured"]!.GetValue<bool>()} {one["problem"]}").Order()));
        Assert.Contains($"host1:{host}/a", pair.Runtime.Ctl("socket", "list").EnsureSuccess().Output);
        pair.Runtime.Ctl("socket", "rm", listed.Single(one => one!["dpuAddress"]!.GetValue<string>() == dpu + "/command")!["id"]!.GetValue<string>()).EnsureSuccess();
        Assert.IsFalse(File.Exists(dpu + "/command"));
    }

    [TestMethod]
    [TestCategory("root")]
    public void WhatNoRuleNames_IsRefused_AndTheLogNamesIt()
    {
        using Pair pair = Up(out string dpu, out string host);
        using RunningProgram other = Echo(pair.Folder + "/other");
        pair.Runtime.Ctl("socket", "forward", dpu + "/other", pair.Folder + "/other").EnsureSuccess();
        Assert.AreEqual("b''", Shell.Python($"s = socket.socket(socket.AF_UNIX); s.connect('{dpu}/other'); s.settimeout(20); say(s.recv(10))", "/").Single());
        Eventually.True(() => pair.Agent.Log.Contains($"'dpu1' asked for the socket {pair.Folder}/other, which it may not reach: \"connect\"", StringComparison.Ordinal), Pair.Limit, "the host's log");
        pair.Runtime.Ctl("socket", "forward", "--reverse", dpu + "/x", pair.Folder + "/x").EnsureSuccess();
        Eventually.True(() => pair.Agent.Log.Contains($"'dpu1' asked for the socket {pair.Folder}/x, which it may not reach: \"listen\"", StringComparison.Ordinal), Pair.Limit, "the host's log");
        Eventually.True(() => pair.Runtime.Ctl("socket", "list").Output.Contains("no rule of the host's", StringComparison.Ordinal), Pair.Limit, "the problem in the list");
        Assert.IsFalse(File.Exists(pair.Folder + "/x"));

        // A link to what is not given does not lead there.
        File.CreateSymbolicLink(host + "/link", pair.Folder + "/other");
        pair.Runtime.Ctl("socket", "forward", dpu + "/link", host + "/link").EnsureSuccess();
        Assert.AreEqual("b''", Shell.Python($"s = socket.socket(socket.AF_UNIX); s.connect('{dpu}/link'); s.settimeout(20); say(s.recv(10))", "/").Single());

        // What lives is not replaced, nor what is no socket.
        using RunningProgram mine = Echo(dpu + "/mine");
        Assert.AreNotEqual(0, pair.Runtime.Ctl("socket", "forward", dpu + "/mine", host + "/a").ExitCode);
        File.WriteAllText(dpu + "/file", "x");
        Assert.AreNotEqual(0, pair.Runtime.Ctl("socket", "forward", dpu + "/file", host + "/a").ExitCode);
        Assert.AreEqual("x", File.ReadAllText(dpu + "/file"));
        AwaitEcho(dpu + "/mine", "of the program that was there");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Users_AreThoseOfTheRule_AndNeverRootWhereNobodySaysSo()
    {
        using Pair pair = Up(out string dpu, out string host, squash: "root");
        const string Who =
            """
            import struct
            s = socket.socket(socket.AF_UNIX); s.bind('PATH'); os.chmod('PATH', 0o666); s.listen(); say('ready')
            while True:
                c, _ = s.accept()
                c.send(str(struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:]).encode()); c.close()
            """;
        using RunningProgram there = Shell.StartPythonServer(Who.Replace("PATH", host + "/who", StringComparison.Ordinal), "/");
        using RunningProgram here = Shell.StartPythonServer(Who.Replace("PATH", dpu + "/back", StringComparison.Ordinal), "/");
        pair.Runtime.Ctl("socket", "forward", "--mode", "0666", dpu + "/who", host + "/who").EnsureSuccess();
        pair.Runtime.Ctl("socket", "forward", "--mode", "0666", "--reverse", dpu + "/back", host + "/back").EnsureSuccess();
        Eventually.True(() => File.Exists(host + "/back"), Pair.Limit, "the host's socket");
        foreach (string address in (string[])[dpu + "/who", host + "/back"])
        {
            string ask = $"s = socket.socket(socket.AF_UNIX); s.connect('{address}'); s.settimeout(20); say(s.recv(100).decode())";
            CollectionAssert.AreEqual(new[] { "(65534, 65534)" }, Shell.Python(ask, "/"), address);
            CollectionAssert.AreEqual(new[] { "(1234, 1234)" }, Shell.Python("os.setgroups([]); os.setgid(1234); os.setuid(1234)\n" + ask, "/"), address);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void IdMaps_MappedCallersAreWhoTheyAreThere_AndOthersAreRefused()
    {
        using Pair pair = Up(out string dpu, out string host, mapped: true);
        using RunningProgram server = Shell.StartPythonServer(
            $$"""
            import struct
            l = socket.socket(socket.AF_UNIX); l.bind('{{host}}/m'); os.chmod('{{host}}/m', 0o777); l.listen(); say('ready')
            for i in range(2):
                c, _ = l.accept(); say(struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:], c.recv(10)); c.send(b'yes')
            """,
            "/");
        pair.Runtime.Ctl("socket", "forward", "--mode", "0777", dpu + "/m", host + "/m").EnsureSuccess();
        string[] lines = Shell.Python(
            $$"""
            def ask(uid):
                os.setresgid(uid, uid, 0); os.setresuid(uid, uid, 0)
                s = socket.socket(socket.AF_UNIX); s.settimeout(20)
                try: s.connect('{{dpu}}/m'); s.send(b'may I?'); say(uid, s.recv(10))
                except OSError as e: say(uid, errno.errorcode[e.errno])
                os.setresuid(0, 0, 0); os.setresgid(0, 0, 0)
            os.setgroups([]); ask(1000); ask(1500); ask(1001)
            """,
            "/");
        Assert.AreEqual("1000 b'yes'", lines[0]);
        Assert.IsTrue(lines[1] is "1500 ECONNRESET" or "1500 b''" or "1500 EPIPE", lines[1]);
        Assert.AreEqual("1001 b'yes'", lines[2]);
        CollectionAssert.AreEqual(new[] { "ready", "(2000, 3000) b'may I?'", "(2001, 3001) b'may I?'" }, Shell.End(server));
        Assert.Contains("uid 1500", pair.Agent.Log);
    }

    private static Pair Up(out string dpu, out string host, bool forwards = false, string squash = "none", bool mapped = false)
    {
        var pair = new Pair();
        File.SetUnixFileMode(pair.Folder, (UnixFileMode)0x1ed);
        (string here, string there) = (dpu, host) = (Path.Combine(pair.Folder, "d"), Path.Combine(pair.Folder, "h"));
        string unique = Path.GetFileName(pair.Folder);
        Directory.CreateDirectory(dpu);
        Directory.CreateDirectory(host);
        pair.AgentConfiguration["sockets"] = new JsonArray(new JsonObject
        {
            ["peers"] = new JsonArray("dpu1"),
            ["connect"] = new JsonArray(host + "/*", $"@{unique}/*"),
            ["listen"] = new JsonArray(host + "/*", $"@{unique}/*"),
            ["squash"] = squash,
        });
        if (mapped)
        {
            pair.AgentConfiguration["sockets"]![0]!["userMap"] = new JsonArray(new JsonObject { ["dpu"] = 1000, ["host"] = 2000, ["count"] = 2 });
            pair.AgentConfiguration["sockets"]![0]!["groupMap"] = new JsonArray(new JsonObject { ["dpu"] = 1000, ["host"] = 3000, ["count"] = 2 });
        }

        pair.Up(changeRuntime: configuration =>
        {
            if (forwards)
            {
                configuration["forwards"] = new JsonArray(
                    new JsonObject { ["host"] = "host1", ["dpuAddress"] = here + "/a", ["hostAddress"] = there + "/a" },
                    new JsonObject { ["host"] = "host1", ["dpuAddress"] = here + "/b", ["hostAddress"] = there + "/b", ["reverse"] = true });
            }
        });
        return pair;
    }

    private static string Address(string address) => address.StartsWith('@') ? "\\0" + address[1..] : address;

    private static RunningProgram Echo(string address) => Shell.StartPythonServer(
        $$"""
        s = socket.socket(socket.AF_UNIX); s.bind('{{Address(address)}}'); s.listen(); say('ready')
        while True:
            c, _ = s.accept(); c.send(b'hello'); c.close()
        """,
        "/");

    private static void AwaitEcho(string address, string what) => Eventually.True(
        () => Shell.Run($"/usr/bin/python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect('{address}'); print(s.recv(5))\"", "/").Output.Contains("hello", StringComparison.Ordinal),
        Pair.Limit,
        "the echo " + what);

    private static RunningProgram Serve(string address, string type) => Shell.StartPythonServer(
        $$"""
        s = socket.socket(socket.AF_UNIX, socket.{{type}}); s.bind('{{Address(address)}}'); s.listen(); say('ready')
        while True:
            c, _ = s.accept()
            m = c.recv(1 << 20)
            if m: break
            c.close()
        while m:
            c.sendall(m.upper()); m = c.recv(1 << 20)
        c.sendall(b'bye')
        """,
        "/");

    private static string[] Talk(string address, string type) => Shell.Python(
        $$"""
        for i in range(1000):
            try:
                s = socket.socket(socket.AF_UNIX, socket.{{type}}); s.settimeout(20); s.connect('{{Address(address)}}'); break
            except (ConnectionRefusedError, FileNotFoundError): select.select([], [], [], 0.02)
        if '{{address[..1]}}' == '/':
            st = os.lstat('{{address}}'); say(stat.filemode(st.st_mode), st.st_uid, st.st_gid)
        else: say('-')
        s.send(b'one'); say(s.recv(100))
        s.send(b'x' * 100000)
        got = 0
        while got < 100000: got += len(s.recv(200000))
        say(got)
        s.shutdown(socket.SHUT_WR); say(s.recv(100))
        """,
        "/");

    private static bool Refused(string address, string type) =>
        Shell.Python($"attempt('', lambda: socket.socket(socket.AF_UNIX, socket.{type}).connect('{Address(address)}'))", "/").Single().Trim() is "ECONNREFUSED" or "ENOENT";
}
