using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>An agent that is killed or replaced, with a keeper: what its DPU has open goes on under the same mount.</summary>
[TestClass]
public sealed partial class AgentRestartTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void AgentKilled_OpenFilesGoOn(string cache)
    {
        using var pair = new Pair(keeper: true);
        string mount = pair.Up(entry => entry["cache"] = cache);
        using RunningProgram program = Shell.StartPython(
            """
            os.mkdir('d')
            os.chdir('d')
            f = os.open('f', os.O_CREAT | os.O_RDWR)
            assert os.write(f, b'first ') == 6
            a = os.open('log', os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            assert os.write(a, b'1') == 1
            u = os.open('unlinked', os.O_CREAT | os.O_RDWR)
            assert os.write(u, b'nameless') == 8
            os.unlink('unlinked')
            say('open')
            wait('../go')
            assert os.write(f, b'second') == 6
            assert os.pread(f, 20, 0) == b'first second', os.pread(f, 20, 0)
            assert os.fstat(f).st_size == 12 and os.fstat(f).st_ino == os.stat('f').st_ino
            assert os.write(a, b'2') == 1
            assert os.pread(u, 20, 0) == b'nameless'
            assert os.fstat(u).st_nlink == 0, os.fstat(u)
            os.ftruncate(u, 4)
            assert os.fstat(u).st_size == 4
            assert sorted(os.listdir('.')) == ['f', 'log'], os.listdir('.')
            for each in (f, a, u): os.close(each)
            say('done')
            """,
            mount);
        Said(program, "open");
        Restart(pair);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "go"), "");
        CollectionAssert.AreEqual(new[] { "open", "done" }, Shell.End(program));
        Assert.AreEqual("12", Shell.Check("cat log", Path.Combine(pair.ExportRoot, "d")));
        Assert.AreEqual(0, Counters(pair)["unknownOutcome"]!.GetValue<long>());
        EndsWithoutAnything(pair, mount);
    }

    private static void Said(RunningProgram program, string word) =>
        Eventually.True(() => program.Output.Contains(word, StringComparison.Ordinal) || program.HasExited, Pair.Limit, $"'{word}'; {program.Error}");

    // As kill -9 and Restart=always do. The stall is what a caller on the DPU sees, but for the time that systemd waits.
    private static void Restart(Pair pair)
    {
        pair.Agent.Kill();
        pair.StartAgent();
    }

    private static JsonNode Counters(Pair pair)
    {
        string stats = pair.Runtime.Ctl("stats", "--json").EnsureSuccess().Output;
        JsonArray mounts = JsonNode.Parse(stats)!["mounts"]!.AsArray();
        Assert.HasCount(1, mounts, $"{stats}\n{pair.Runtime.Log}");
        return mounts[0]!;
    }

    private static JsonNode Status(Pair pair) => JsonNode.Parse(pair.Agent.Ctl("status", "--json").EnsureSuccess().Output)!;

    private static string[] Held(Pair pair, string of = "agent/")
    {
        using var client = new Dpu.Keeper.KeeperClient(pair.Keeper!.Socket);
        return [.. client.List(of).Select(entry => entry.Name)];
    }

    // After the mount the keeper has nothing of it.
    private static void EndsWithoutAnything(Pair pair, string mount)
    {
        Assert.IsNotEmpty(Held(pair));
        Shell.Unmount(mount);
        string[] left = [];
        bool ended = Eventually.Within(() => (left = Held(pair)).Length == 0, Pair.Limit);
        Assert.IsTrue(ended, $"the keeper still holds {string.Join(' ', left)}\n{pair.Runtime.Log}\n{pair.Agent.Log}\n{pair.Runtime.Ctl("hosts").Output}");
    }
}
