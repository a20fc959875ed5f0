using System.Globalization;

namespace Dpu.EndToEnd.Tests;

// Load, and death at each point of a request.
public sealed partial class AgentRestartTests
{
    // As that of CutTests: each step fails when it is executed twice, and what follows it when it was not executed. A step that ends with
    // EIO may have been: the program looks, counts it, and goes on from there.
    private const string Worker =
        """
        name, end, i, unknown = os.environ['NAME'], float(os.environ['SECONDS']), 0, 0
        def once(do, done):
            global unknown
            while True:
                try:
                    return do()
                except OSError as e:
                    if e.errno != errno.EIO: raise
                    unknown += 1
                    # What is cached is believed for 1 s (staleAfter) while the host cannot tell of changes.
                    select.select([], [], [], 2)
                    if done(): return None
        here = os.path.lexists
        once(lambda: os.mkdir(name), lambda: here(name))
        os.chdir(name)
        end += time.time()
        while time.time() < end:
            i += 1
            n = 'n%d' % i
            once(lambda: os.mkdir(n), lambda: here(n))
            f = once(lambda: os.open(n + '/f', os.O_CREAT | os.O_EXCL | os.O_RDWR), lambda: here(n + '/f'))
            if f is None: f = os.open(n + '/f', os.O_RDWR)
            assert os.write(f, b'abc') == 3
            log = once(lambda: os.open('log', os.O_CREAT | os.O_RDWR | os.O_APPEND), lambda: here('log'))
            if log is None: log = os.open('log', os.O_RDWR | os.O_APPEND)
            line = b'%d\n' % i
            once(lambda: os.write(log, line), lambda: os.pread(log, 1 << 20, 0).endswith(b'\n' + line) or (i == 1 and os.fstat(log).st_size))
            os.close(log)
            once(lambda: os.link(n + '/f', n + '/l'), lambda: here(n + '/l'))
            once(lambda: os.rename(n + '/f', n + '/g'), lambda: here(n + '/g'))
            once(lambda: os.symlink('where', n + '/s'), lambda: here(n + '/s'))
            once(lambda: os.ftruncate(f, 2), lambda: os.fstat(f).st_size == 2)
            assert os.fstat(f).st_nlink == 2 and os.fstat(f).st_size == 2, (n, os.fstat(f))
            assert os.pread(f, 10, 0) == b'ab'
            assert sorted(os.listdir(n)) == ['g', 'l', 's'], (n, os.listdir(n))
            for each in 'lgs': once(lambda: os.unlink(n + '/' + each), lambda: not here(n + '/' + each))
            os.close(f)
            once(lambda: os.rmdir(n), lambda: not here(n))
        say(i, unknown)
        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void AgentKilledUnderLoad_EachOperationHappensOnceOrIsCounted(string cache)
    {
        const int Kills = 10;
        const int Seconds = 12;
        using var pair = new Pair(keeper: true);
        string mount = pair.Up(entry => entry["cache"] = cache);
        RunningProgram[] workers = [.. Enumerable.Range(0, 3).Select(number => Shell.StartPython(
            $"os.environ.update(NAME='w{number}', SECONDS='{Seconds}')\n{Worker}", mount))];
        List<string> logs = [];
        List<double> stalls = [];
        try
        {
            for (int kill = 0; kill < Kills; kill++)
            {
                long made = 0;
                Eventually.True(() => (made = Made(pair)) > 0, Pair.Limit, "work");
                Eventually.True(() => Made(pair) > made + 1 || workers.All(worker => worker.HasExited), Pair.Limit, "more work");
                long start = System.Diagnostics.Stopwatch.GetTimestamp();
                Daemon killed = pair.Agent;
                Restart(pair);
                stalls.Add(System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalMilliseconds);

                // Whole, as it has ended.
                logs.Add(killed.Log);
            }

            int[][] ends = [.. workers.Select(worker => Shell.End(worker).Single().Split(' ').Select(text => int.Parse(text, CultureInfo.InvariantCulture)).ToArray())];
            logs.Add(pair.Agent.Log);
            int unknown = string.Concat(logs).Split("may have been carried out").Length - 1;
            stalls.Sort();
            Console.WriteLine($"{string.Join(" + ", ends.Select(end => end[0]))} rounds, {unknown} unknown outcomes, agent away for {stalls[0]:0} to {stalls[^1]:0} ms");
            for (int i = 0; i < ends.Length; i++)
            {
                Assert.AreEqual("log", Shell.Check("ls", Path.Combine(pair.ExportRoot, $"w{i}")));
                Assert.AreEqual("same", Shell.Run($"seq {ends[i][0]} | diff - log | head -5; test ${{PIPESTATUS[1]}} = 0 && echo same", Path.Combine(pair.ExportRoot, $"w{i}")).Output.Trim(), "a line a round, in order");
            }

            Assert.AreEqual(ends.Sum(end => end[1]), unknown + (int)Counters(pair)["unknownOutcome"]!.GetValue<long>(), "each EIO is counted, and nothing else");
        }
        finally
        {
            Array.ForEach(workers, worker => worker.Dispose());
        }

        EndsWithoutAnything(pair, mount);
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("Received", "OK")]
    [DataRow("Started", "OK")]
    [DataRow("Numbered", "EIO")]
    [DataRow("Executed", "EIO")]
    [DataRow("Copied", "EIO")]
    [DataRow("Answered", "OK")]
    public void AgentKilledAtAPointOfARequest_ItHappensOnceOrIsUnknown(string point, string expected)
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.UpUncached();
        using RunningProgram program = Shell.StartPython(
            $$"""
            f = os.open('log', os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.write(f, b'0')
            say('open')
            wait('{{pair.ExportRoot}}/go')
            attempt('append', lambda: os.write(f, b'1'))
            attempt('more', lambda: os.write(f, b'2'))
            """,
            mount);
        Said(program, "open");
        pair.Agent.Kill();
        pair.StartAgent(new Dictionary<string, string?> { ["DPU_CRASH_AT"] = point });
        File.WriteAllText(Path.Combine(pair.ExportRoot, "go"), "");
        Eventually.True(() => pair.Agent.HasExited, Pair.Limit, "the agent's death");
        pair.StartAgent();
        CollectionAssert.AreEqual(new[] { "open", $"append {expected}", "more OK" }, Shell.End(program));
        string log = File.ReadAllText(Path.Combine(pair.ExportRoot, "log"));
        Assert.AreEqual(point is "Numbered" ? "02" : "012", log);
        Assert.AreEqual(expected == "EIO" ? 1 : 0, Status(pair)["unknownOutcomes"]?.GetValue<long>() ?? 0);
    }

    private static long Made(Pair pair) => Directory.GetFiles(pair.ExportRoot, "log", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);
}
