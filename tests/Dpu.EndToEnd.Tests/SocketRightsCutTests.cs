using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Descriptors that programs have passed, in use while the link is cut again and again.</summary>
[TestClass]
public sealed class SocketRightsCutTests
{
    // One has the slave of a terminal, the reading end of a pipe and a counter to which it adds; the other what goes with them. Both tell the sums.
    private const string Play = SocketRightsTests.Tools +
        """
        import hashlib, json, random, threading, tty
        SECONDS = 3
        def speak(fd, seed, said):
            r = random.Random(seed); until = time.time() + SECONDS
            while time.time() < until:
                block = r.randbytes(r.choice([1, 64, 3000])); said[0] += len(block); said[1].update(block)
                while block: block = block[os.write(fd, block):]
        def add(fd, added):
            r = random.Random(2); until = time.time() + SECONDS
            while time.time() < until: k = r.randrange(1, 5); os.eventfd_write(fd, k); added[0] += k; time.sleep(0.001)
        def begun(work, *arguments):
            t = threading.Thread(target=work, args=arguments, daemon=True); t.start(); return t
        def giver(s):
            e = os.eventfd(0); m, sl = os.openpty(); tty.setraw(sl); r, w = os.pipe()
            give(s, b'all', e, m, w); os.close(m); os.close(w); s.recv(10)
            said, added, heard = [0, hashlib.sha256()], [0], hashlib.sha256()
            threads = [begun(speak, sl, 1, said), begun(add, e, added)]
            while True:
                block = os.read(r, 1 << 16)
                if not block: break
                heard.update(block)
            for t in threads: t.join()
            s.send(json.dumps([added[0], said[0]]).encode()); s.recv(10)
            say('sums', added[0], said[1].hexdigest(), heard.hexdigest())
        def taker(s):
            data, (e, m, w) = take(s); s.send(b'taken')
            said, drained, heard = [0, hashlib.sha256()], [0], bytearray()
            def drain():
                while True: drained[0] += os.eventfd_read(e)
            def listen():
                while True: heard.extend(os.read(m, 1 << 16))
            begun(drain); begun(listen); begun(speak, w, 3, said).join(); os.close(w)
            added, length = json.loads(s.recv(100)); until = time.time() + 20
            while time.time() < until and (drained[0], len(heard)) != (added, length): time.sleep(0.01)
            say('sums', drained[0], hashlib.sha256(heard).hexdigest(), said[1].hexdigest()); s.send(b'end')

        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void LinkCutAgainAndAgain_CountersTerminalsAndPipesGoOn_BothWays(LinkKind kind)
    {
        int seed = Environment.TickCount;
        using var pair = new Pair(kind);
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock") };
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        using LinkProxy proxy = LinkProxy.Up(pair, out string mount);
        using RunningProgram server = Shell.StartPythonServer(Play + "c, _ = listener('a.sock').accept(); taker(c); giver(c)", pair.ExportRoot);
        using RunningProgram client = Shell.StartPython(Play + "s = connected('a.sock'); s.settimeout(None); say('connected'); giver(s); taker(s)", mount);
        Eventually.True(() => client.Output.Contains("connected", StringComparison.Ordinal) || client.HasExited, Pair.Limit, "the connection: " + client.Error);
        proxy.CutAtRandom(seed, most: 1_000_000);
        Eventually.True(() => client.HasExited && server.HasExited, TimeSpan.FromSeconds(60), $"the ends of both (seed {seed}): {client.Error}{server.Error}");
        proxy.CutAtRandom(seed, most: 0);
        string[] near = Sums(client);
        Assert.HasCount(2, near, client.Error + server.Error);
        CollectionAssert.AreEqual(Sums(server), near, $"what one has added, typed and written the other has (seed {seed}, {proxy.Cuts} cuts)");
        Assert.IsGreaterThan(3, proxy.Cuts, "hardly any cut");
        Console.WriteLine($"seed {seed}: {proxy.Cuts} cuts");
    }

    private static string[] Sums(RunningProgram program) => [.. program.Output.Split('\n').Where(line => line.StartsWith("sums ", StringComparison.Ordinal))];
}
