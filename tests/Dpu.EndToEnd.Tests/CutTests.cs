using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>A link that breaks at any byte: each operation happens once, and its caller has its true result.</summary>
[TestClass]
public sealed class CutTests
{
    // Each step fails when it is executed twice, and what follows it when it was not executed.
    private const string Worker =
        """
        import fcntl
        name, end, i = os.environ['NAME'], time.time() + float(os.environ['SECONDS']), 0
        os.mkdir(name)
        os.chdir(name)
        while time.time() < end:
            i += 1
            n = 'n%d' % i
            os.mkdir(n)
            f = os.open(n + '/f', os.O_CREAT | os.O_EXCL | os.O_RDWR)
            assert os.write(f, b'abc') == 3
            log = os.open('log', os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            line = b'%d\n' % i
            assert os.write(log, line) == len(line)
            os.close(log)
            os.link(n + '/f', n + '/l')
            os.rename(n + '/f', n + '/g')
            os.symlink('where', n + '/s')
            os.mknod(n + '/p', 0o600 | stat.S_IFIFO)
            os.setxattr(n + '/g', 'user.a', b'1', os.XATTR_CREATE)
            os.removexattr(n + '/g', 'user.a')
            os.ftruncate(f, 2)
            os.fsync(f)
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert os.fstat(f).st_nlink == 2 and os.fstat(f).st_size == 2, (n, os.fstat(f))
            assert os.pread(f, 10, 0) == b'ab'
            assert sorted(os.listdir(n)) == ['g', 'l', 'p', 's'], (n, os.listdir(n))
            for each in 'lgsp': os.unlink(n + '/' + each)
            os.close(f)
            os.rmdir(n)
        say(i)
        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void LinkCutAtAnyByte_EachOperationHappensOnce(string cache) => Work(cache, seconds: 7, seed: Environment.TickCount);

    [TestMethod]
    [TestCategory("soak")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void LinkCutAtAnyByteForLong_EachOperationHappensOnce(string cache) => Work(cache, StressPrograms.SoakSeconds, seed: Environment.TickCount);

    private static void Work(string cache, int seconds, int seed)
    {
        using var pair = new Pair();
        using LinkProxy proxy = LinkProxy.Up(pair, out string mount, cache);
        proxy.CutAtRandom(seed, most: 30_000);
        RunningProgram[] workers = [.. Enumerable.Range(0, 3).Select(number => Shell.StartPython(
            $"os.environ.update(NAME='w{number}', SECONDS='{seconds}')\n{Worker}", mount))];
        try
        {
            int[] counts = [.. workers.Select(worker => int.Parse(End(worker, seconds, seed), CultureInfo.InvariantCulture))];
            proxy.CutAtRandom(seed, most: 0);
            Console.WriteLine($"seed {seed}: {proxy.Cuts} cuts, {string.Join(" + ", counts)} rounds");
            for (int i = 0; i < counts.Length; i++)
            {
                Assert.AreEqual("log", Shell.Check("ls", Path.Combine(pair.ExportRoot, $"w{i}")));
                Assert.AreEqual("same", Shell.Check($"seq {counts[i]} | cmp - log && echo same", Path.Combine(pair.ExportRoot, $"w{i}")));
            }

            Assert.IsGreaterThan(seconds / 2, proxy.Cuts, "hardly any cut");
            JsonNode counters = Counters(pair);
            Assert.AreEqual(0, counters["unknownOutcome"]!.GetValue<long>());
            Assert.IsGreaterThan(0, counters["repeated"]!.GetValue<long>(), "nothing was asked again");
            Console.WriteLine($"{counters["repeated"]} asked again");

            // Nothing that was asked again has left the host a reference or a handle too many.
            Shell.Check("rm -r w0 w1 w2", mount);
            Eventually.True(() => OpenNodes(pair) < 20, Pair.Limit, "the end of references");
        }
        finally
        {
            Array.ForEach(workers, worker => worker.Dispose());
        }
    }

    private static string End(RunningProgram worker, int seconds, int seed)
    {
        Assert.IsTrue(worker.WaitForExit(TimeSpan.FromSeconds(seconds) + Pair.Limit), $"seed {seed}: a worker hangs");
        Assert.AreEqual(0, worker.ExitCode, $"seed {seed}: {worker.Error}");
        return worker.Output.Trim();
    }

    private static JsonNode Counters(Pair pair) =>
        JsonNode.Parse(pair.Runtime.Ctl("stats", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray().Single()!;

    private static long OpenNodes(Pair pair) =>
        JsonNode.Parse(pair.Agent.Ctl("status", "--json").EnsureSuccess().Output)!["sessions"]!.AsArray().Sum(session => session!["openNodes"]!.GetValue<long>());
}
