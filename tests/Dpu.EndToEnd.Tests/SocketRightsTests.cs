using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Programs that pass file descriptors through relayed sockets (SCM_RIGHTS), both ways, without a change to either.</summary>
[TestClass]
public sealed partial class SocketRightsTests
{
    // Every program here can send and receive descriptors, at their places in what is said.
    internal const string Tools =
        """
        import array, fcntl, struct
        def give(s, data, *fds):
            return s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else [])
        def take(s, size=1 << 16):
            data, beside, flags, _ = s.recvmsg(size, socket.CMSG_SPACE(4 * 253))
            fds = array.array('i')
            for level, kind, content in beside:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS): fds.frombytes(content[:len(content) - len(content) % 4])
            return data, list(fds)
        def listener(name, kind=socket.SOCK_STREAM):
            l = socket.socket(socket.AF_UNIX, kind); l.bind(name); l.listen(64); say('ready'); return l
        def connected(name, kind=socket.SOCK_STREAM):
            s = socket.socket(socket.AF_UNIX, kind); s.settimeout(20); s.connect(name); return s

        """;

    private static Pair s_pair = null!;
    private static string s_mount = "";

    private static string Export => s_pair.ExportRoot;

    [ClassInitialize]
    public static void Up(TestContext context)
    {
        s_pair = new Pair();
        JsonObject export = Pair.Export("data", s_pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock"), ["bind"] = new JsonArray("*.dpu") };
        s_pair.AgentConfiguration["exports"] = new JsonArray(export);
        s_pair.AgentConfiguration["limits"] = new JsonObject { ["connections"] = 1024 };
        s_mount = s_pair.Up();
        File.SetUnixFileMode(s_pair.Folder, (UnixFileMode)0x1ed);
    }

    [ClassCleanup]
    public static void Down() => s_pair.Dispose();

    /// <summary>The host's program, and the DPU's, which connects to it.</summary>
    private static (string[] Host, string[] Dpu) Run(string name, string host, string dpu)
    {
        using RunningProgram server = Shell.StartPythonServer(Tools + host, Export);
        string[] lines;
        using (RunningProgram client = Shell.StartPython(Tools + dpu, s_mount))
        {
            Assert.IsTrue(client.WaitForExit(Pair.Limit), $"{name}: the DPU's program hung: {client.Output}{client.Error}\nthe host's: {server.Output}{server.Error}\n{s_pair.Runtime.Log}\n{s_pair.Agent.Log}");
            Assert.AreEqual(0, client.ExitCode, client.Error + server.Error + s_pair.Runtime.Log + s_pair.Agent.Log);
            lines = client.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        }

        return ([.. Shell.End(server).Where(line => line != "ready")], lines);
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("SOCK_STREAM")]
    [DataRow("SOCK_SEQPACKET")]
    public void FilesOfTheExport_AreOpenedAgain_WithTheirOffsetAndFlags_BothWays(string type)
    {
        string name = $"files-{type}.sock";
        const string Look =
            """
            def look(fd):
                st = os.fstat(fd); flags = fcntl.fcntl(fd, fcntl.F_GETFL)
                if stat.S_ISDIR(st.st_mode): return 'directory ' + ' '.join(sorted(os.listdir(fd)))
                say('at', os.lseek(fd, 0, os.SEEK_CUR), flags & os.O_ACCMODE, bool(flags & os.O_APPEND))
                return os.read(fd, 100) if flags & os.O_ACCMODE != os.O_WRONLY else os.write(fd, b'more')

            """;
        (string[] host, string[] dpu) = Run(
            name,
            Look + $$"""
            os.makedirs('d-{{type}}/sub', exist_ok=True)
            open('d-{{type}}/f', 'w').write('0123456789'); open('d-{{type}}/log', 'w').write('old-')
            c, _ = listener('{{name}}', socket.{{type}}).accept()
            data, fds = take(c); say(data, len(fds))
            for fd in fds: say(look(fd))
            f = os.open('d-{{type}}/f', os.O_RDONLY); os.lseek(f, 5, 0)
            give(c, b'back', f, os.open('d-{{type}}/log', os.O_WRONLY | os.O_APPEND), os.open('d-{{type}}', os.O_RDONLY | os.O_DIRECTORY))
            say(c.recv(10)); say(open('d-{{type}}/log').read())
            """,
            Look + $$"""
            s = connected('{{name}}', socket.{{type}})
            f = os.open('d-{{type}}/f', os.O_RDONLY); os.lseek(f, 3, 0)
            give(s, b'there', f, os.open('d-{{type}}/log', os.O_WRONLY | os.O_APPEND), os.open('d-{{type}}', os.O_RDONLY | os.O_DIRECTORY))
            data, fds = take(s); say(data, len(fds))
            for fd in fds: say(look(fd))
            s.send(b'end')
            """);
        CollectionAssert.AreEqual(new[] { "b'there' 3", "at 3 0 False", "b'3456789'", "at 0 1 True", "4", "directory f log sub", "b'end'", "old-moremore" }, host);
        CollectionAssert.AreEqual(new[] { "b'back' 3", "at 5 0 False", "b'56789'", "at 0 1 True", "4", "directory f log sub" }, dpu);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Pipes_CarryBothWays_ToTheirEnds()
    {
        const string Play =
            """
            def play(s, first):
                if first:
                    r, w = os.pipe(); r2, w2 = os.pipe()
                    give(s, b'pipes', w, r2); os.close(w); os.close(r2)
                    os.write(w2, b'to-you'); os.close(w2)
                    got = b''
                    while True:
                        m = os.read(r, 1 << 16)
                        if not m: break
                        got += m
                    say(len(got), got[:5]); os.close(r)
                    r, w = os.pipe()
                    give(s, b'third', r); os.close(r)
                    say(s.recv(10))
                    try:
                        while True: os.write(w, b'x' * 65536)
                    except BrokenPipeError: say('EPIPE')
                else:
                    data, (w, r2) = take(s); say(data, stat.S_ISFIFO(os.fstat(w).st_mode))
                    say(os.read(r2, 100), os.read(r2, 100))
                    for i in range(50): os.write(w, b'hello' + b'.' * 9995)
                    os.close(w)
                    data, (r,) = take(s); os.close(r); s.send(b'closed')

            """;
        (string[] host, string[] dpu) = Run(
            "pipes",
            Play + """
            c, _ = listener('pipes.sock').accept()
            play(c, False); play(c, True); c.recv(10)
            """,
            Play + """
            s = connected('pipes.sock')
            play(s, True); play(s, False)
            """);
        string[] first = ["500000 b'hello'", "b'closed'", "EPIPE"];
        string[] second = ["b'pipes' True", "b'to-you' b''"];
        CollectionAssert.AreEqual((string[])[.. second, .. first], host);
        CollectionAssert.AreEqual((string[])[.. first, .. second], dpu);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SocketsOfPairs_CarryBothWays_AndPassDescriptorsThemselves()
    {
        const string Play =
            """
            def play(s, first):
                for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                    if first:
                        a, b = socket.socketpair(socket.AF_UNIX, kind); a.settimeout(20)
                        give(s, b'pair', b.fileno()); b.close()
                        a.send(b'question'); say(a.recv(6))
                        data, fds = take(a); say(data, os.read(fds[0], 100))
                        say(a.recv(10))
                    else:
                        data, fds = take(s); b = socket.socket(fileno=fds[0])
                        say(b.family.name, b.type.name, b.recv(100)); b.send(b'answer')
                        r, w = os.pipe(); os.write(w, b'nested'); give(b, b'x', r); b.close()

            """;
        (string[] host, string[] dpu) = Run(
            "pairs",
            Play + """
            c, _ = listener('pairs.sock').accept()
            play(c, False); play(c, True); c.recv(10)
            """,
            Play + """
            s = connected('pairs.sock')
            play(s, True); play(s, False)
            """);
        string[] first = ["b'answer'", "b'x' b'nested'", "b''", "b'answer'", "b'x' b'nested'", "b''"];
        string[] second = ["AF_UNIX SOCK_STREAM b'question'", "AF_UNIX SOCK_SEQPACKET b'question'"];
        CollectionAssert.AreEqual((string[])[.. second, .. first], host);
        CollectionAssert.AreEqual((string[])[.. first, .. second], dpu);
    }

    [TestMethod]
    [TestCategory("root")]
    public void InAStream_TheyComeWithTheVeryByte_TheySentWith()
    {
        // What is read byte for byte shows where each came.
        const string Send =
            """
            def send(s):
                r, w = os.pipe(); os.set_blocking(w, False)
                s.sendall(b'head'); give(s, b'A', r); s.sendall(b'tail'); give(s, b'BCD', r, w); give(s, b'E', r); s.sendall(b'z' * 200000); give(s, b'F', w); s.sendall(b'end')
            def receive(s):
                seen = []; at = 0
                while at < 200017:
                    if at == 13: at += len(s.recv(200000, socket.MSG_WAITALL)); continue
                    data, fds = take(s, 1); assert data
                    if fds: seen.append((at, data.decode(), len(fds))); [os.close(fd) for fd in fds]
                    at += 1
                say(seen)

            """;
        (string[] host, string[] dpu) = Run(
            "places",
            Send + """
            c, _ = listener('places.sock').accept()
            receive(c); send(c); c.recv(1)
            """,
            Send + """
            s = connected('places.sock')
            send(s); receive(s)
            """);
        string[] expected = ["[(4, 'A', 1), (9, 'B', 2), (12, 'E', 1), (200013, 'F', 1)]"];
        CollectionAssert.AreEqual(expected, host);
        CollectionAssert.AreEqual(expected, dpu);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Devices_AreOpenedThere_AndWhatCannotCross_IsADescriptorOfNoUse()
    {
        const string Play =
            """
            def play(s, first, path):
                if first:
                    null = os.open('/dev/null', os.O_RDWR); zero = os.open('/dev/zero', os.O_RDONLY); memory = os.memfd_create('m'); out = os.open('/etc/hostname', os.O_RDONLY)
                    fuse = os.open('/dev/fuse', os.O_RDWR); tun = os.open('/dev/net/tun', os.O_RDWR)
                    tcp = socket.socket(socket.AF_INET)
                    give(s, b'all', null, memory, zero, out, tcp.fileno(), fuse, tun)
                else:
                    data, fds = take(s); say(data, len(fds))
                    def use(fd):
                        try: return os.read(fd, 4)
                        except OSError as e: return errno.errorcode[e.errno]
                    say([use(fd) for fd in fds], os.write(fds[0], b'x'))

            """;
        (string[] host, string[] dpu) = Run(
            "devices",
            Play + """
            c, _ = listener('devices.sock').accept()
            play(c, False, ''); play(c, True, ''); say(c.recv(10))
            """,
            Play + """
            s = connected('devices.sock')
            play(s, True, ''); play(s, False, ''); s.send(b'goes on')
            """);
        string[] expected = ["b'all' 7", "[b'', 'EBADF', b'\\x00\\x00\\x00\\x00', 'EBADF', 'EBADF', 'EBADF', 'EBADF'] 1"];
        CollectionAssert.AreEqual((string[])[.. expected, "b'goes on'"], host);
        CollectionAssert.AreEqual(expected, dpu);
        foreach (string log in (string[])[s_pair.Runtime.Log, s_pair.Agent.Log])
        {
            Assert.Contains("memfd:m", log);
            Assert.Contains("/etc/hostname", log);
            Assert.Contains("it is a device (10:229), which the other machine does not have; open it there by its path", log);
            Assert.Contains("it is /dev/net/tun without an interface (TUNSETIFF); attach it to one first", log);
            Assert.Contains("only unix sockets cross", log);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void AThousandPasses_LeaveNoDescriptorInEitherDaemon()
    {
        const int Rounds = 250;
        (int Runtime, int Agent) before = default;
        for (int run = 0; run < 2; run++)
        {
            // What is made once, as threads and pools, is there after the first.
            int rounds = run == 0 ? 5 : Rounds;
            (string[] host, _) = Run(
                $"many-{run}",
                $$"""
                open('many', 'w').write('m')
                c, _ = listener('many{{run}}.sock').accept()
                for i in range({{rounds}}):
                    data, fds = take(c); assert data == b'm' and len(fds) == 4, (data, fds)
                    os.write(fds[1], b'p'); os.write(fds[2], b's')
                    for fd in fds: os.close(fd)
                    give(c, b'a')
                say('done')
                """,
                $$"""
                s = connected('many{{run}}.sock')
                for i in range({{rounds}}):
                    f = os.open('many', os.O_RDONLY); r, w = os.pipe(); a, b = socket.socketpair(); m = os.memfd_create('m')
                    give(s, b'm', f, w, b.fileno(), m)
                    os.close(f); os.close(w); b.close(); os.close(m)
                    assert os.read(r, 10) == b'p' and a.recv(10) == b's' and os.read(r, 10) == b'' and a.recv(10) == b''
                    os.close(r); a.close(); s.recv(1)
                """);
            CollectionAssert.AreEqual(new[] { "done" }, host);
            if (run == 0)
            {
                before = (Descriptors(s_pair.Runtime), Descriptors(s_pair.Agent));
            }
        }

        Eventually.True(
            () => Descriptors(s_pair.Runtime) <= before.Runtime + 4 && Descriptors(s_pair.Agent) <= before.Agent + 4,
            Pair.Limit,
            $"the descriptors of both daemons: {before} before");
    }

    // Those that passing makes; code that is loaded late has some too.
    private static int Descriptors(Daemon daemon) => Directory.GetFileSystemEntries($"/proc/{daemon.Id}/fd").Count(
        name => new FileInfo(name).LinkTarget is { } link && (link.StartsWith("pipe:", StringComparison.Ordinal) || link.StartsWith("socket:", StringComparison.Ordinal)
            || link.StartsWith("anon_inode:", StringComparison.Ordinal) || link.StartsWith("/dev/null", StringComparison.Ordinal) || link.Contains("/many", StringComparison.Ordinal)));

    [TestMethod]
    [TestCategory("root")]
    public void OnSocketsThatTheDpuHasBound_TheyCrossToo()
    {
        using RunningProgram server = Shell.StartPythonServer(
            Tools + """
            open('bound-file', 'w').write('of the export')
            c, _ = listener('bound.dpu').accept()
            data, fds = take(c); say(data, os.read(fds[0], 100), os.read(fds[1], 100))
            r, w = os.pipe(); give(c, b'here', os.open('bound-file', os.O_RDONLY), w); os.close(w); say(os.read(r, 100))
            """,
            s_mount);
        string[] lines = Shell.Python(
            Tools + """
            def connect():
                while True:
                    try: return connected('bound.dpu')
                    except ConnectionRefusedError: select.select([], [], [], 0.01)
            s = connect()
            r, w = os.pipe(); os.write(w, b'piped')
            give(s, b'there', os.open('bound-file', os.O_RDONLY), r)
            data, fds = take(s); say(data, os.read(fds[0], 100)); os.write(fds[1], b'back')
            """,
            Export);
        CollectionAssert.AreEqual(new[] { "b'here' b'of the export'" }, lines);
        CollectionAssert.AreEqual(new[] { "ready", "b'there' b'of the export' b'piped'", "b'back'" }, Shell.End(server));
    }

    [TestMethod]
    [TestCategory("root")]
    public void WhatLiesOutsideOfTheExport_OrIsRemoved_DoesNotCross()
    {
        (string[] host, string[] dpu) = Run(
            "policy",
            $$"""
            c, _ = listener('policy.sock').accept()
            open('../outside', 'w').write('secret'); os.makedirs('in', exist_ok=True); open('in/moved', 'w').write('m'); f = os.open('in/moved', os.O_RDONLY); os.rename('in/moved', '../moved')
            open('gone', 'w').write('g'); g = os.open('gone', os.O_RDONLY); os.unlink('gone')
            os.symlink('../outside', 'link')
            give(c, b'out', os.open('../outside', os.O_RDONLY), f, g, os.open('link', os.O_RDONLY))
            say(c.recv(10))
            """,
            """
            s = connected('policy.sock')
            data, fds = take(s)
            def use(fd):
                try: return os.read(fd, 100)
                except OSError as e: return errno.errorcode[e.errno]
            say(data, [use(fd) for fd in fds]); s.send(b'ok')
            """);
        CollectionAssert.AreEqual(new[] { "b'out' ['EBADF', 'EBADF', 'EBADF', 'EBADF']" }, dpu);
        CollectionAssert.AreEqual(new[] { "b'ok'" }, host);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ForgedTokens_FindNothing_AndTheOthersGoOn()
    {
        using RawLane lane = RawLane.OpenInitialized(s_pair.Endpoint, 7, session: 77);
        byte[] session = [.. RawLane.Session[..15], 77];
        Dpu.Link.LinkConnection Dial(int size, bool make, uint kind) => new Dpu.Link.LinkDialer(null, new Dpu.Link.LinkDialerOptions { Local = new Dpu.Link.LinkLocal { Name = "dpu1" } }).Dial(
            Dpu.Link.LinkEndpoint.Parse(s_pair.Endpoint),
            "host1",
            "relay",
            session,
            hello => hello.Relay = new Dpu.Proto.V1.RelayParameters
            {
                Type = Dpu.Proto.V1.UnixSocketType.Stream,
                Passed = new Dpu.Proto.V1.PassedDescriptor { MountId = 7, Token = Google.Protobuf.ByteString.CopyFrom(new byte[size]), Make = make, Kind = kind },
            });
        Assert.ThrowsExactly<Dpu.Link.LinkException>(() => Dial(15, make: false, 0), "a token of 15 bytes");
        using (Dpu.Link.LinkConnection guessed = Dial(16, make: false, 0))
        {
            Assert.AreEqual(-Dpu.Linux.errno.ENOENT, Dpu.Relay.RelayDialer.AwaitOpened(guessed));
        }

        foreach (uint kind in (uint[])[0, 1, 6, 255, uint.MaxValue])
        {
            using Dpu.Link.LinkConnection nonsense = Dial(16, make: true, kind);
            Assert.AreEqual(-Dpu.Linux.errno.EOPNOTSUPP, Dpu.Relay.RelayDialer.AwaitOpened(nonsense), $"kind {kind}");
        }

        using Dpu.Link.LinkConnection first = Dial(16, make: true, 2);
        Assert.AreEqual(0, Dpu.Relay.RelayDialer.AwaitOpened(first));
        using Dpu.Link.LinkConnection again = Dial(16, make: true, 2);
        Assert.AreEqual(-Dpu.Linux.errno.ENOBUFS, Dpu.Relay.RelayDialer.AwaitOpened(again), "a token that is used already");
    }

    [TestMethod]
    [TestCategory("root")]
    public void OverTls_AndForASquashedUser_TheyCrossAsThePolicyHasIt()
    {
        using var pair = new Pair(LinkKind.Tls);
        JsonObject export = Pair.Export("data", pair.ExportRoot, squash: "root");
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock") };
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        string mount = pair.Up();
        File.SetUnixFileMode(pair.Folder, (UnixFileMode)0x1ed);
        using RunningProgram server = Shell.StartPythonServer(
            Tools + """
            open('open', 'w').write('for all'); os.chmod('open', 0o644); open('shut', 'w').write('for root'); os.chmod('shut', 0o600)
            os.umask(0); l = listener('tls.sock'); c, _ = l.accept()
            data, fds = take(c); say(data, os.read(fds[0], 100), os.read(fds[1], 100))
            give(c, b'back', os.open('open', os.O_RDWR), os.open('open', os.O_RDONLY), os.open('shut', os.O_RDONLY))
            say(c.recv(10))
            """,
            pair.ExportRoot);
        string[] lines = Shell.Python(
            Tools + """
            r, w = os.pipe(); os.write(w, b'piped')
            s = connected('tls.sock')
            give(s, b'there', os.open('open', os.O_RDONLY), r)
            data, fds = take(s)
            def use(fd):
                try: return os.read(fd, 100)
                except OSError as e: return errno.errorcode[e.errno]
            say(data, [use(fd) for fd in fds]); s.send(b'ok')
            """,
            mount);
        CollectionAssert.AreEqual(new[] { "b'back' ['EBADF', b'for all', 'EBADF']" }, lines, "neither more access nor more files than the mount gives");
        CollectionAssert.AreEqual(new[] { "ready", "b'there' b'for all' b'piped'", "b'ok'" }, Shell.End(server));
    }
}
