using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Programs of the host that connect to sockets which programs on the DPU have bound below a mount, without a change to either.</summary>
[TestClass]
public sealed class SocketBindTests
{
    private static Pair s_pair = null!;
    private static string s_mount = "";

    private static string Export => s_pair.ExportRoot;

    [ClassInitialize]
    public static void Up(TestContext context)
    {
        s_pair = new Pair();
        JsonObject export = Pair.Export("data", s_pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("run/**"), ["bind"] = new JsonArray("*.sock", "run/**") };
        s_pair.AgentConfiguration["exports"] = new JsonArray(export);
        s_pair.AgentConfiguration["limits"] = new JsonObject { ["connections"] = 1024 };
        s_mount = s_pair.Up();
        Directory.CreateDirectory(Path.Combine(Export, "run"));
        File.SetUnixFileMode(s_pair.Folder, (UnixFileMode)0x1ed);
    }

    [ClassCleanup]
    public static void Down() => s_pair.Dispose();

    [TestMethod]
    [TestCategory("root")]
    [DataRow("SOCK_STREAM")]
    [DataRow("SOCK_SEQPACKET")]
    public void HostsProgram_ReachesTheDpusListener_BothWays_ToTheEnd(string type)
    {
        string name = $"echo-{type}.sock";
        using RunningProgram server = Server(
            $$"""
            import struct
            os.umask(0o027); os.setegid(34); os.seteuid(12)
            s = socket.socket(socket.AF_UNIX, socket.{{type}})
            s.bind('{{name}}'); say(s.getsockname()); s.listen(); say('ready')
            c, _ = s.accept()
            say(struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:])
            while True:
                m = c.recv(1 << 20)
                if not m: break
                c.send(m.upper())
            c.send(b'bye')
            """,
            () => File.SetUnixFileMode(Export, (UnixFileMode)0x1ff));
        string[] lines = Client(
            $$"""
            import struct
            os.setgroups([]); os.setgid(34); os.setuid(12)
            st = os.lstat('{{name}}')
            say(stat.filemode(st.st_mode), st.st_uid, st.st_gid)
            s = connect('{{name}}', socket.{{type}})
            say(struct.unpack('3i', s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:], s.getpeername())
            s.settimeout(10)
            s.send(b'one'); say(s.recv(100))
            s.send(b'x' * 100000)
            got = 0
            while got < 100000: got += len(s.recv(200000))
            say(got)
            s.shutdown(socket.SHUT_WR)
            say(s.recv(100), s.recv(100))
            """);
        CollectionAssert.AreEqual(new[] { "srwxr-x--- 12 34", $"(12, 34) {name}", "b'ONE'", "100000", "b'bye' b''" }, lines);
        CollectionAssert.AreEqual(new[] { name, "ready", "(12, 34)" }, Shell.End(server));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Datagrams_OfTheHost_ArriveWhole()
    {
        using RunningProgram server = Server(
            """
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.bind('log.sock'); say('ready')
            for i in range(4):
                m = s.recv(1 << 20); say(len(m), m[:10])
            """);
        string[] lines = Client(
            """
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.sendto(b'first', 'log.sock')
            s.sendto(b'y' * 150000, 'log.sock')
            s.connect('log.sock'); s.send(b''); s.send(b'last')
            attempt('stream', lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect('log.sock'))
            """);
        CollectionAssert.AreEqual(new[] { "stream EPROTOTYPE" }, lines);
        CollectionAssert.AreEqual(new[] { "ready", "5 b'first'", "150000 b'yyyyyyyyyy'", "0 b''", "4 b'last'" }, Shell.End(server));
        Eventually.True(() => Client("attempt('gone', lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', 'log.sock'))")[0] == "gone ECONNREFUSED", Pair.Limit, "the end");
    }

    [TestMethod]
    [TestCategory("root")]
    public void LifeOfASocket_IsTheSameOnBothSides()
    {
        using RunningProgram server = Server(
            """
            def next(n): open('step%d' % n, 'w').close(); wait('done%d' % n)
            s = socket.socket(socket.AF_UNIX); s.bind('life.sock')
            attempt('twice', lambda: socket.socket(socket.AF_UNIX).bind('life.sock'))
            say('ready')
            next(1)
            s.listen(); next(2)
            s.accept()
            os.chmod('life.sock', 0o600); next(3)
            os.rename('life.sock', 'moved.sock'); next(4)
            c, _ = s.accept(); c.send(b'accepted')
            s.close(); next(5)
            attempt('stale', lambda: socket.socket(socket.AF_UNIX).bind('moved.sock'))
            os.unlink('moved.sock')
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind('moved.sock'); s.listen(); next(6)
            os.unlink('moved.sock'); next(7)
            """);
        string[] lines = Client(
            """
            def step(n, word, function):
                wait('step%d' % n)
                # What the DPU's program has done an instant ago the host learns within a moment.
                for i in range(1000):
                    try: function(); result = 'OK'
                    except OSError as e: result = errno.errorcode[e.errno]
                    if result == word: break
                    select.select([], [], [], 0.01)
                say(n, result)
            def user(name):
                pid = os.fork()
                if pid == 0:
                    os.setgid(99); os.setuid(99)
                    try: socket.socket(socket.AF_UNIX).connect(name); code = 0
                    except OSError as e: code = e.errno
                    os._exit(code)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                if code: raise OSError(code, '')
            def done(n): open('done%d' % n, 'w').close()
            def plain(name): return lambda: socket.socket(socket.AF_UNIX).connect(name)
            step(1, 'ECONNREFUSED', plain('life.sock')); done(1)
            step(2, 'OK', plain('life.sock')); done(2)
            step(3, 'EACCES', lambda: user('life.sock')); done(3)
            wait('step4'); attempt('old', plain('life.sock'))
            c = socket.socket(socket.AF_UNIX); c.settimeout(10); c.connect('moved.sock'); done(4)
            step(5, 'ECONNREFUSED', plain('moved.sock')); say(c.recv(100)); done(5)
            step(6, 'OK', lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect('moved.sock'))
            attempt('type', plain('moved.sock')); done(6)
            wait('step7'); attempt('unlinked', plain('moved.sock')); done(7)
            """);
        CollectionAssert.AreEqual(new[] { "1 ECONNREFUSED", "2 OK", "3 EACCES", "old ENOENT", "5 ECONNREFUSED", "b'accepted'", "6 OK", "type EPROTOTYPE", "unlinked ENOENT" }, lines);
        CollectionAssert.AreEqual(new[] { "twice EADDRINUSE", "ready", "stale EADDRINUSE" }, Shell.End(server));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ListenerThatIsClosedAsAProgramConnects_ResetsItAtOnce()
    {
        for (int round = 0; round < 8; round++)
        {
            // Closed here, and not yet known to be there.
            using RunningProgram server = Server("s = socket.socket(socket.AF_UNIX); s.bind('run/brief'); s.listen(); say('ready'); wait('done'); s.close(); open('closed', 'w').close(); os.unlink('run/brief'); os.unlink('done')");
            string[] lines = Client(
                """
                for i in range(1000):
                    try: socket.socket(socket.AF_UNIX).connect('run/brief'); break
                    except OSError: select.select([], [], [], 0.01)
                open('done', 'w').close(); wait('closed'); os.unlink('closed')
                began = time.time(); c = socket.socket(socket.AF_UNIX)
                try: c.connect('run/brief'); c.recv(1)
                except OSError: pass
                say(time.time() - began < 5)
                """);
            CollectionAssert.AreEqual(new[] { "True" }, lines);
            _ = Shell.End(server);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Bind_WhereThePolicyOrTheHostForbidsIt_IsRefused_AndNodesOfSocketsAreMadeAsEver()
    {
        Directory.CreateDirectory(Path.Combine(Export, "run/private"));
        File.SetUnixFileMode(Path.Combine(Export, "run/private"), (UnixFileMode)0x1c0);
        string[] lines = Shell.Python(
            """
            def bind(name): s = socket.socket(socket.AF_UNIX); s.bind(name); return s
            attempt('not named', lambda: bind('other'))
            attempt('a long name', lambda: bind('run/' + 'n' * 100))
            os.mknod('node', stat.S_IFSOCK | 0o644)
            say(stat.S_ISSOCK(os.lstat('node').st_mode))
            attempt('no such directory', lambda: bind('nowhere/x.sock'))
            os.setgroups([]); os.setgid(1234); os.setuid(1234)
            attempt('private', lambda: bind('run/private/x'))
            """,
            s_mount);
        CollectionAssert.AreEqual(new[] { "not named EACCES", "a long name OK", "True", "no such directory ENOENT", "private EACCES" }, lines);
        Assert.IsFalse(File.Exists(Path.Combine(Export, "other")));
        Eventually.True(() => s_pair.Agent.Log.Contains("asked to bind the socket other of 'data', which it may not: sockets.bind", StringComparison.Ordinal), Pair.Limit, "the log's line");
    }

    [TestMethod]
    [TestCategory("root")]
    public void UsersOfTheHost_AreThemselvesOnTheDpu_ButRootIsNobody_AndTheDpusOwnConnectHere()
    {
        using RunningProgram server = Server(
            """
            import struct
            s = socket.socket(socket.AF_UNIX); s.bind('run/who'); os.chmod('run/who', 0o777); s.listen(); say('ready')
            for i in range(3):
                c, _ = s.accept()
                c.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                say(struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:])
                c.send(b'go')
                m, a, f, _ = c.recvmsg(100, 100)
                say(m, [struct.unpack('3i', x[2])[1:] for x in a]); c.close()
            """);
        const string Ask = "s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect('run/who'); s.recv(2); s.send(b'hi'); say(s.recv(1))";
        _ = Client("os.setgroups([]); os.setgid(1234); os.setuid(1234)\n" + Ask);
        _ = Client(Ask);
        long relays = Relays();
        _ = Shell.Python(Ask, s_mount);
        CollectionAssert.AreEqual(
            new[] { "ready", "(1234, 1234)", "b'hi' [(1234, 1234)]", "(65534, 65534)", "b'hi' [(65534, 65534)]", "(0, 0)", "b'hi' [(0, 0)]" }, Shell.End(server));
        Assert.IsLessThanOrEqualTo(relays, Relays(), "a program on the DPU reaches it without the link");

        static long Relays() => JsonNode.Parse(s_pair.Runtime.Ctl("socket", "list", "--json").EnsureSuccess().Output)!["sockets"]!.AsArray().Count;
    }

    [TestMethod]
    [TestCategory("root")]
    public void ProgramsNobodyHereWrote_AreReachedFromTheHost()
    {
        foreach (string type in (string[])["", ",socktype=5"])
        {
            string name = $"run/socat{type.Length}";
            using RunningProgram socat = RunningProgram.Start("socat", [$"UNIX-LISTEN:{s_mount}/{name}{type}", "EXEC:cat"]);
            Eventually.True(
                () => Shell.Run($"echo hello | socat -t5 - UNIX-CONNECT:{name}{type}", Export).Output == "hello\n", Pair.Limit, "socat: " + socat.Error);
        }

        using RunningProgram receiver = RunningProgram.Start("socat", ["-u", $"UNIX-RECV:{s_mount}/run/datagrams", "STDOUT"]);
        Eventually.True(() => File.Exists($"{Export}/run/datagrams"), Pair.Limit, "socat's socket");
        Eventually.True(() => Shell.Run("echo datagram | socat - UNIX-SENDTO:run/datagrams", Export).ExitCode == 0, Pair.Limit, "a datagram that is taken");
        Eventually.True(() => receiver.Output.Contains("datagram", StringComparison.Ordinal), Pair.Limit, "the datagram");

        using RunningProgram web = Server(
            """
            import http.server, socketserver
            class S(socketserver.UnixStreamServer):
                def get_request(self): return super().get_request()[0], ('x', 0)
            class H(http.server.BaseHTTPRequestHandler):
                def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'web ' * 1000000)
            s = S('run/web', H); say('ready'); s.serve_forever()
            """);
        Eventually.True(
            () => Shell.Run("curl -s --max-time 10 --unix-socket run/web http://x/ | wc -c", Export).Output.Trim() == "4000000", Pair.Limit, "the whole answer");

        string bus = Path.Combine(s_mount, "run/bus");
        string configuration = Path.Combine(s_pair.Folder, "bus.conf");
        File.WriteAllText(
            configuration,
            $"""
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><listen>unix:path={bus}</listen><auth>EXTERNAL</auth>
            <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy></busconfig>
            """);
        using RunningProgram daemon = RunningProgram.Start("dbus-daemon", [$"--config-file={configuration}", "--nofork", "--nopidfile"]);
        Eventually.True(() => File.Exists($"{Export}/run/bus"), Pair.Limit, "the bus");
        string ask = $"busctl --address=unix:path={Export}/run/bus call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId";
        Eventually.True(() => Shell.Run(ask, "/", uid: 1).Output.StartsWith("s \"", StringComparison.Ordinal), Pair.Limit, "an answer of the DPU's bus to a user of the host");
        Assert.Contains("REJECTED", string.Concat(Client("s = connect('run/bus'); s.sendall(b'\\0AUTH EXTERNAL 30\\r\\n'); say(s.recv(100))")), "the host's root says that it is root");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ProgramInNamespacesOfItsOwn_IsReachedFromTheHost()
    {
        using RunningProgram server = RunningProgram.Start(
            "unshare",
            [
                "--net", "--pid", "--mount", "--fork", "--kill-child", "/usr/bin/python3", "-c",
                "import socket; s = socket.socket(socket.AF_UNIX); s.bind('run/apart'); s.listen(); print('ready', flush=True); c, _ = s.accept(); c.send(b'hello'); c.recv(1)",
            ],
            directory: s_mount);
        Shell.AwaitReady(server);
        CollectionAssert.AreEqual(new[] { "b'hello'" }, Client("s = connect('run/apart'); s.settimeout(10); say(s.recv(10))"));
        Assert.IsTrue(server.WaitForExit(Pair.Limit));
    }

    [TestMethod]
    [TestCategory("root")]
    public void AHundredSockets_ThenThePlainUmount()
    {
        string target = s_pair.Mount("data", "other")["target"]!.GetValue<string>();
        s_pair.Runtime.Ctl("mount", "--cache", "coherent", "host1:data", target).EnsureSuccess();
        using RunningProgram server = Shell.StartPython(
            """
            all = []
            for i in range(100):
                s = socket.socket(socket.AF_UNIX); s.bind('run/b%d' % i); s.listen(); all.append(s)
            say('ready')
            for s in all:
                c, _ = s.accept(); c.sendall(c.recv(10)); c.recv(1); c.close(); s.close()
            os.chdir('/')
            say('closed')
            """,
            target);
        Shell.AwaitReady(server);
        string[] lines = Client(
            """
            count = 0
            for i in range(100):
                c = connect('run/b%d' % i); c.settimeout(10); c.send(b'x'); count += c.recv(10) == b'x'; c.close()
            say(count)
            """);
        CollectionAssert.AreEqual(new[] { "100" }, lines);
        CollectionAssert.AreEqual(new[] { "ready", "closed" }, Shell.End(server));
        Shell.Unmount(target);
        Pair.WaitUnmounted(target);

        // The host is told of the mount's end a moment after umount(8) has returned.
        Eventually.True(
            () => Client("attempt('run/b7', lambda: socket.socket(socket.AF_UNIX).connect('run/b7'))")[0] == "run/b7 ECONNREFUSED", Pair.Limit, "the end of the host's sockets");
    }

    // Python on the host, which can connect(name, type): what the DPU's program did an instant ago the host learns within a moment.
    private static string[] Client(string program) => Shell.Python(
        """
        def connect(name, kind=socket.SOCK_STREAM):
            for i in range(1000):
                s = socket.socket(socket.AF_UNIX, kind)
                try: s.connect(name); return s
                except ConnectionRefusedError: select.select([], [], [], 0.01)
            raise Exception('refused')

        """ + program,
        Export);

    private static RunningProgram Server(string program, Action? before = null)
    {
        before?.Invoke();
        return Shell.StartPythonServer(program, s_mount);
    }
}
