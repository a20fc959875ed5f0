using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Programs on the DPU that connect to the host's unix sockets by their paths, without a change to either.</summary>
[TestClass]
public sealed class SocketTests
{
    private static Pair s_pair = null!;
    private static string s_mount = "";

    private static string Export => s_pair.ExportRoot;

    [ClassInitialize]
    public static void Up(TestContext context)
    {
        s_pair = new Pair();
        JsonObject export = Pair.Export("data", s_pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock", "run/**") };
        s_pair.AgentConfiguration["exports"] = new JsonArray(export);
        s_mount = s_pair.Up();
        Directory.CreateDirectory(Path.Combine(Export, "run"));

        // Unprivileged users shall get as far as the sockets.
        File.SetUnixFileMode(s_pair.Folder, (UnixFileMode)0x1ed);
    }

    [ClassCleanup]
    public static void Down() => s_pair.Dispose();

    [TestMethod]
    [TestCategory("root")]
    [DataRow("SOCK_STREAM")]
    [DataRow("SOCK_SEQPACKET")]
    public void Connect_ToTheHostsListener_CarriesBothWays_AndEnds(string type)
    {
        string name = $"echo-{type}.sock";
        using RunningProgram server = Server(
            $$"""
            s = socket.socket(socket.AF_UNIX, socket.{{type}})
            s.bind('{{name}}'); os.chmod('{{name}}', 0o640); os.chown('{{name}}', 12, 34); s.listen(); say('ready')
            c, _ = s.accept()
            while True:
                m = c.recv(1 << 20)
                if not m: break
                c.send(m.upper())
            c.send(b'bye')
            """);
        string[] lines = Shell.Python(
            $$"""
            st = os.lstat('{{name}}')
            say(stat.filemode(st.st_mode), st.st_uid, st.st_gid)
            attempt('open', lambda: os.open('{{name}}', os.O_RDWR))
            s = socket.socket(socket.AF_UNIX, socket.{{type}})
            s.settimeout(10)
            s.connect('{{name}}')
            s.send(b'one'); say(s.recv(100))
            s.send(b'x' * 100000)
            got = 0
            while got < 100000: got += len(s.recv(200000))
            say(got)
            s.shutdown(socket.SHUT_WR)
            say(s.recv(100), s.recv(100))
            """,
            s_mount);
        CollectionAssert.AreEqual(new[] { "srw-r----- 12 34", "open ENXIO", "b'ONE'", "100000", "b'bye' b''" }, lines);
        _ = Shell.End(server);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Datagrams_ByPathAndConnected_ArriveWhole_AndAreAnswered()
    {
        using RunningProgram server = Server(
            """
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.bind('log.sock'); say('ready')
            for i in range(4):
                m, a = s.recvfrom(1 << 20)
                say(len(m), m[:10])
                if m == b'ask': s.sendto(b'answer', a)
            """);
        string[] lines = Shell.Python(
            """
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.sendto(b'first', 'log.sock')
            s.sendto(b'y' * 150000, 'log.sock')
            s.connect('log.sock'); s.send(b'')
            t = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            t.bind('\0dpu-datagram-test'); t.settimeout(10)
            attempt('stream', lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect('log.sock'))
            t.sendto(b'ask', 'log.sock'); say(t.recv(100))
            """,
            s_mount);
        CollectionAssert.AreEqual(new[] { "stream EPROTOTYPE", "b'answer'" }, lines);
        string[] said = Shell.End(server);
        CollectionAssert.AreEquivalent(new[] { "ready", "5 b'first'", "150000 b'yyyyyyyyyy'", "0 b''", "3 b'ask'" }, said);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Connect_WhereThereIsNoListener_FailsAsOnTheHost()
    {
        string[] lines = Shell.Python(
            $$"""
            def connect(name, kind=socket.SOCK_STREAM):
                s = socket.socket(socket.AF_UNIX, kind); s.connect(name); return s
            export = '{{Export}}'
            attempt('none', lambda: connect('none.sock'))
            l = socket.socket(socket.AF_UNIX); l.bind(export + '/l.sock')
            attempt('bound', lambda: connect('l.sock'))
            l.listen()
            attempt('listens', lambda: connect('l.sock'))
            attempt('type', lambda: connect('l.sock', socket.SOCK_SEQPACKET))
            attempt('type', lambda: connect('l.sock', socket.SOCK_DGRAM))
            l.close()
            attempt('closed', lambda: connect('l.sock'))
            os.unlink(export + '/l.sock')
            l = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); l.bind(export + '/l.sock'); l.listen()
            attempt('again', lambda: connect('l.sock', socket.SOCK_SEQPACKET))
            os.rename(export + '/l.sock', export + '/r.sock')
            attempt('old', lambda: connect('l.sock', socket.SOCK_SEQPACKET))
            attempt('renamed', lambda: connect('r.sock', socket.SOCK_SEQPACKET))
            p = socket.socket(socket.AF_UNIX); p.bind(export + '/other'); p.listen()
            attempt('not given', lambda: connect('other'))
            open('file.sock', 'w').close()
            attempt('file', lambda: connect('file.sock'))
            """,
            s_mount);
        CollectionAssert.AreEqual(
            new[]
            {
                "none ENOENT", "bound ECONNREFUSED", "listens OK", "type EPROTOTYPE", "type EPROTOTYPE", "closed ECONNREFUSED", "again OK", "old ENOENT", "renamed OK",
                "not given ECONNREFUSED", "file ECONNREFUSED",
            },
            lines);
        Assert.Contains("which it may not connect to", s_pair.Agent.Log);
    }

    [TestMethod]
    [TestCategory("root")]
    public void UnprivilegedUser_StaysUnprivilegedAtTheHost()
    {
        using RunningProgram server = Server(
            """
            import struct
            s = socket.socket(socket.AF_UNIX); s.bind('run/who'); os.chmod('run/who', 0o660); os.chown('run/who', 0, 777); s.listen(); say('ready')
            c, _ = s.accept()
            c.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            say(struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:], sorted(struct.unpack('2I', c.getsockopt(socket.SOL_SOCKET, 59, 8))))
            m, a, f, _ = c.recvmsg(100, 100)
            say(m, [struct.unpack('3i', x[2])[1:] for x in a])
            """);
        string[] lines = Shell.Python(
            """
            os.setgroups([1234, 777]); os.setgid(1234); os.setuid(1234)
            s = socket.socket(socket.AF_UNIX); s.connect('run/who'); s.send(b'hi'); s.recv(1)
            say('ok')
            """,
            s_mount);
        CollectionAssert.AreEqual(new[] { "ok" }, lines);
        CollectionAssert.AreEqual(new[] { "ready", "(1234, 1234) [777, 1234]", "b'hi' [(1234, 1234)]" }, Shell.End(server));
        string[] refused = Shell.Python(
            """
            os.setgroups([]); os.setgid(1234); os.setuid(1234)
            attempt('other group', lambda: socket.socket(socket.AF_UNIX).connect('run/who'))
            """,
            s_mount);
        CollectionAssert.AreEqual(new[] { "other group EACCES" }, refused);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ProgramsNobodyHereWrote_ReachTheHost()
    {
        string bus = Path.Combine(Export, "run/bus");
        string configuration = Path.Combine(s_pair.Folder, "bus.conf");
        File.WriteAllText(
            configuration,
            $"""
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><listen>unix:path={bus}</listen><auth>EXTERNAL</auth>
            <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy></busconfig>
            """);
        using RunningProgram daemon = RunningProgram.Start("dbus-daemon", [$"--config-file={configuration}", "--nofork", "--nopidfile"]);
        Eventually.True(() => File.Exists(bus), Pair.Limit, "the bus");
        const string Ask = "call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus";

        // User 1 is known to every Debian, which the bus asks for.
        string own = Shell.Check($"busctl --address=unix:path={s_mount}/run/bus {Ask} GetId", "/", uid: 1);
        Assert.StartsWith("s \"", own);
        Assert.Contains("REJECTED", string.Concat(Shell.Python(
            """
            os.setgroups([]); os.setgid(1); os.setuid(1)
            s = socket.socket(socket.AF_UNIX); s.connect('run/bus'); s.sendall(b'\0AUTH EXTERNAL 30\r\n'); say(s.recv(100))
            """,
            s_mount)), "user 1 says that it is user 0");

        foreach (string type in (string[])["", ",socktype=5"])
        {
            string name = $"run/socat{type.Length}";
            using RunningProgram socat = RunningProgram.Start("socat", [$"UNIX-LISTEN:{Export}/{name}{type}", "EXEC:cat"]);
            Eventually.True(() => File.Exists($"{Export}/{name}"), Pair.Limit, "socat's socket");
            Assert.AreEqual("hello", Shell.Check($"echo hello | socat -t5 - UNIX-CONNECT:{name}{type}", s_mount));
        }

        using RunningProgram receiver = RunningProgram.Start("socat", ["-u", $"UNIX-RECV:{Export}/run/datagrams", "STDOUT"]);
        Eventually.True(() => File.Exists($"{Export}/run/datagrams"), Pair.Limit, "socat's socket");
        _ = Shell.Check("echo datagram | socat - UNIX-SENDTO:run/datagrams", s_mount);
        Eventually.True(() => receiver.Output.Contains("datagram", StringComparison.Ordinal), Pair.Limit, "the datagram");

        using RunningProgram web = Server(
            """
            import http.server, socketserver
            class S(socketserver.UnixStreamServer):
                def get_request(self): return super().get_request()[0], ('x', 0)
            class H(http.server.BaseHTTPRequestHandler):
                def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'web ' * 100000)
            s = S('run/web', H); say('ready'); s.serve_forever()
            """);
        Assert.AreEqual("400000", Shell.Check("curl -s --max-time 10 --unix-socket run/web http://x/ | wc -c", s_mount));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Connections_AreListed_AndEndWithThePlainUmount_OfTheirMount()
    {
        using RunningProgram server = Server(
            """
            all = []
            for i in range(100):
                s = socket.socket(socket.AF_UNIX); s.bind('run/s%d' % i); s.listen(); all.append(s)
            say('ready')
            for s in all: all[all.index(s)] = (s, s.accept()[0])
            say([c.recv(10) for s, c in all].count(b'x'))
            for s, c in all: c.recv(10)
            """);
        string target = s_pair.Mount("data", "other")["target"]!.GetValue<string>();
        s_pair.Runtime.Ctl("mount", "host1:data", target).EnsureSuccess();
        using RunningProgram client = Shell.StartPython(
            """
            all = []
            for i in range(100):
                s = socket.socket(socket.AF_UNIX); s.connect('run/s%d' % i); s.send(b'x'); all.append(s)
            os.chdir('/')
            say('ready')
            for s in all: s.settimeout(20)
            def end(s):
                try: return s.recv(1) == b''
                except ConnectionResetError: return True
            say([end(s) for s in all].count(True))
            """,
            target);
        Eventually.True(() => client.Output.Contains("ready", StringComparison.Ordinal) || client.HasExited, Pair.Limit, "the connections");
        Eventually.True(() => server.Output.Contains("100", StringComparison.Ordinal), Pair.Limit, "all of them at the host");
        JsonNode[] listed = [.. JsonNode.Parse(s_pair.Runtime.Ctl("socket", "list", "--json").EnsureSuccess().Output)!["sockets"]!.AsArray()
            .Where(relay => relay!["path"]!.GetValue<string>().StartsWith(target, StringComparison.Ordinal))!];
        Assert.HasCount(100, listed);
        Assert.IsTrue(listed.All(relay => relay["sentBytes"]!.GetValue<long>() == 1 && relay["pid"]!.GetValue<int>() == client.Id));
        Assert.Contains(target + "/run/s0", s_pair.Runtime.Ctl("socket", "list").EnsureSuccess().Output);

        Shell.Unmount(target);
        Pair.WaitUnmounted(target);
        CollectionAssert.AreEqual(new[] { "ready", "100" }, Shell.End(client), "each connection ends");
        Eventually.True(() => JsonNode.Parse(s_pair.Runtime.Ctl("mounts", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray().All(mount => mount!["target"]!.GetValue<string>() != target
            || mount["state"]!.GetValue<string>() != "mounted"), Pair.Limit, "the end of the mount itself");
    }

    private static RunningProgram Server(string program) => Shell.StartPythonServer(program, Export);
}
