namespace Dpu.EndToEnd.Tests;

// Listening sockets that programs pass: the other program accepts who connects where they listen.
public sealed partial class SocketRightsTests
{
    private const string Listening =
        """
        def original(name, kind=socket.SOCK_STREAM):
            l = socket.socket(socket.AF_UNIX, kind); l.bind(name); l.listen(64); return l
        def copy(s):
            data, (fd,) = take(s); l = socket.socket(fileno=fd); l.settimeout(20); return l
        def user(c): return struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:]
        def until_refused(name, kind=socket.SOCK_STREAM):
            for i in range(2000):
                try: connected(name, kind).close()
                except ConnectionRefusedError: return 'refused'
                select.select([], [], [], 0.01)

        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow("SOCK_STREAM")]
    [DataRow("SOCK_SEQPACKET")]
    public void ListeningSocket_AcceptsAtTheOtherEnd_WhoConnectsToIt_UntilItIsClosedThere_BothWays(string type)
    {
        string play = Listening + $$"""
            def play(s, first):
                name = '\0passed-{{type}}-' + str(first and 1) + str(os.getpid()); kind = socket.{{type}}
                if first:
                    l = original(name, kind); give(s, b'l', l.fileno()); l.close()
                    for i in range(3):
                        c = connected(name, kind); c.send(b'question'); say(c.recv(100)); c.shutdown(socket.SHUT_WR); say(c.recv(100)); c.close()
                    s.send(b'served'); s.recv(10); say(until_refused(name, kind))
                else:
                    l = copy(s); say(l.family.name, l.type.name, l.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                    for i in range(3):
                        c, _ = l.accept(); say(c.recv(100)); c.send(b'answer'); say(c.recv(10)); c.close()
                    s.recv(10); l.close(); s.send(b'closed')

            """;
        (string[] host, string[] dpu) = Run(
            $"listeners of {type}",
            play + $$"""
            c, _ = listener('listen-{{type}}.sock').accept()
            play(c, False); play(c, True); c.recv(10)
            """,
            play + $$"""
            s = connected('listen-{{type}}.sock')
            play(s, True); play(s, False)
            """);
        string[] first = ["b'answer'", "b''", "b'answer'", "b''", "b'answer'", "b''", "refused"];
        string[] second = [$"AF_UNIX {type} 1", "b'question'", "b''", "b'question'", "b''", "b'question'", "b''"];
        CollectionAssert.AreEqual((string[])[.. second, .. first], host);
        CollectionAssert.AreEqual((string[])[.. first, .. second], dpu);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ListeningSocket_ThatIsNotAccepted_HasItsClientsWait_AndItsOwnerMayAcceptThemToo()
    {
        const string Play = Listening +
            """
            def play(s, first):
                name = '\0queued-' + str(os.getpid())
                if first:
                    l = original(name); l.settimeout(20); give(s, b'l', l.fileno())
                    clients = [connected(name) for i in range(40)]
                    for i, c in enumerate(clients): c.sendall(b'%02d' % i)
                    s.send(b'all'); s.recv(10)
                    said = [c.recv(10) for c in clients[:10]]; say(said == [b'got'] * 10)
                    # Those that are on their way already are the copy's, wherever they are; the others this one gets.
                    mine, _ = l.accept(); say(mine.recv(2) > b'09'); s.send(b'on')
                else:
                    l = copy(s); s.recv(10); say(select.select([l], [], [], 20)[0] == [l]); l.setblocking(False)
                    seen = []
                    while len(seen) < 10:
                        select.select([l], [], [], 20)
                        try: c, _ = l.accept()
                        except BlockingIOError: continue
                        c.setblocking(True); seen.append((int(c.recv(2)), c)); c.send(b'got')
                    say([i for i, _ in seen]); s.send(b'done'); s.recv(10)

            """;
        (string[] host, string[] dpu) = Run(
            "queues",
            Play + """
            c, _ = listener('queued.sock').accept()
            play(c, False); play(c, True)
            """,
            Play + """
            s = connected('queued.sock')
            play(s, True); play(s, False)
            """);
        string[] first = ["True", "True"];
        string[] second = ["True", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"];
        CollectionAssert.AreEqual((string[])[.. second, .. first], host);
        CollectionAssert.AreEqual((string[])[.. first, .. second], dpu);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ListeningSocket_SaysWhoHasConnected_AndIsReachedByNobodyElse_AndItsConnectionsPassDescriptors()
    {
        const string Play = Listening +
            """
            def play(s, first):
                name = '\0users-' + str(os.getpid())
                if first:
                    l = original(name); give(s, b'l', l.fileno()); l.close()
                    for uid in (0, 4321):
                        if os.fork() == 0:
                            os.setgid(uid); os.setuid(uid); c = connected(name)
                            r, w = os.pipe(); os.write(w, b'piped'); give(c, b'x', r); c.recv(10); os._exit(0)
                        os.wait()
                    s.send(b'over')
                else:
                    l = copy(s); own = l.getsockname(); say(own[:10], os.path.exists(own))
                    for i in range(2):
                        c, _ = l.accept(); who = user(c); data, fds = take(c); say(who, data, os.read(fds[0], 10)); c.send(b'done')
                    s.recv(10)

            """;
        (string[] host, string[] dpu) = Run(
            "users",
            Play + """
            c, _ = listener('users.sock').accept()
            play(c, False); play(c, True)
            """,
            Play + """
            s = connected('users.sock')
            play(s, True); play(s, False)
            """);
        CollectionAssert.AreEqual(new[] { "/run/.dpu- False", "(0, 0) b'x' b'piped'", "(4321, 4321) b'x' b'piped'" }, host);
        CollectionAssert.AreEqual(new[] { "/run/.dpu- False", "(65534, 65534) b'x' b'piped'", "(4321, 4321) b'x' b'piped'" }, dpu);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ListeningSockets_LeaveNoDescriptorInEitherDaemon()
    {
        // Both ways, and each counts a moment longer than it lives: below what a session may have.
        const int Rounds = 12;
        (int Runtime, int Agent) before = default;
        for (int run = 0; run < 2; run++)
        {
            int rounds = run == 0 ? 2 : Rounds;
            string play = Listening + $$"""
                def play(s, first):
                    for i in range({{rounds}}):
                        if first:
                            name = f'\0left-{i}-{os.getpid()}'; l = original(name); give(s, b'l', l.fileno()); l.close()
                            c = connected(name); c.send(b'x'); c.recv(1); c.close(); s.send(b'n'); s.recv(1)
                        else:
                            l = copy(s); c, _ = l.accept(); c.recv(1); c.send(b'y'); c.recv(1); c.close(); l.close(); s.recv(1); s.send(b'm')
                    say('done')

                """;
            (string[] host, string[] dpu) = Run(
                $"left-{run}",
                play + $"""
                c, _ = listener('left{run}.sock').accept()
                play(c, False); play(c, True)
                """,
                play + $"""
                s = connected('left{run}.sock')
                play(s, True); play(s, False)
                """);
            CollectionAssert.AreEqual(new[] { "done", "done" }, host);
            CollectionAssert.AreEqual(new[] { "done", "done" }, dpu);
            if (run == 0)
            {
                Eventually.True(() => Settled() is var now && (before = now) == Settled(), Pair.Limit, "the first sockets' ends");
            }
        }

        Eventually.True(
            () => Descriptors(s_pair.Runtime) <= before.Runtime + 4 && Descriptors(s_pair.Agent) <= before.Agent + 4,
            Pair.Limit,
            $"the descriptors of both daemons: {before} before");
        static (int, int) Settled() => (Descriptors(s_pair.Runtime), Descriptors(s_pair.Agent));
    }
}
