using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>FIFOs of a mount when a daemon is killed or the mount goes.</summary>
[TestClass]
public sealed class FifoEndTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow("runtime", true)]
    [DataRow("runtime", false)]
    [DataRow("agent", true)]
    [DataRow("agent", false)]
    [DataRow("umount", true)]
    public void DaemonKilledOrMountGone_BothSeeTheEnd_AndTheNextOpenersAreJoined(string what, bool toDpu)
    {
        using var pair = new Pair(keeper: true);
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["fifos"] = new JsonArray(new JsonObject { ["match"] = "fifo" });
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        string mount = pair.Up(changeRuntime: runtime => runtime["hosts"]![0]!["resumeWithin"] = "1s");
        (string reading, string writing) = toDpu ? (mount, pair.ExportRoot) : (pair.ExportRoot, mount);
        _ = Shell.Check("mkfifo fifo", pair.ExportRoot);
        using RunningProgram reader = Shell.StartPython(FifoPrograms.Reader, reading);
        using RunningProgram writer = Shell.StartPython(FifoPrograms.Writer, writing);
        Eventually.True(() => reader.Output.Contains("hello", StringComparison.Ordinal) || reader.HasExited, Pair.Limit, "the data: " + reader.Error);
        switch (what)
        {
            case "runtime":
                pair.Runtime.Kill();
                break;
            case "agent":
                pair.Agent.Kill();
                break;
            default:
                // The programs have it open.
                _ = Shell.Check($"umount -l {mount}", "/");
                break;
        }

        CollectionAssert.AreEqual(new[] { "ready", "b'hello'", "b''" }, Shell.End(reader));
        CollectionAssert.AreEqual(new[] { "ready", "True", "write EPIPE" }, Shell.End(writer));
        if (what == "umount")
        {
            return;
        }

        if (what == "runtime")
        {
            pair.RestartRuntime();
        }
        else
        {
            pair.RestartAgent();
        }

        using RunningProgram again = Shell.StartPython("f = os.open('fifo', os.O_RDONLY); say(os.read(f, 10))", reading);
        _ = Shell.Check("echo again > fifo", writing);
        CollectionAssert.AreEqual(new[] { "b'again\\n'" }, Shell.End(again), $"{pair.Runtime.Log}\n{pair.Agent.Log}");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Closed_LeavesThePlainUmount()
    {
        using var pair = new Pair();
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["fifos"] = new JsonArray(new JsonObject { ["match"] = "fifo" });
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        string mount = pair.Up();
        _ = Shell.Check("mkfifo fifo", pair.ExportRoot);
        using RunningProgram reader = RunningProgram.Start("bash", ["-c", "exec cat < fifo"], directory: pair.ExportRoot);
        _ = Shell.Check("echo hello > fifo", mount);
        CollectionAssert.AreEqual(new[] { "hello" }, Shell.End(reader));
        Shell.Unmount(mount);
        Pair.WaitUnmounted(mount);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SilentHost_WhoLooksForHoldersOfAFifo_WaitsForNobody()
    {
        using var pair = new Pair();
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["fifos"] = new JsonArray(new JsonObject { ["match"] = "fifo" });
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        string mount = pair.UpUncached();
        _ = Shell.Check("mkfifo fifo", pair.ExportRoot);
        using RunningProgram holder = Shell.StartPythonServer(
            $"held = os.open('held', os.O_CREAT | os.O_RDWR); f = os.open('fifo', os.O_RDONLY | os.O_NONBLOCK); say('ready'); wait('{pair.Folder}/go'); os.close(f); say('closed'); wait('{pair.Folder}/end')", mount);
        Eventually.True(() => Watches(pair) == 1, Pair.Limit, "the watch");
        pair.Agent.Signal("STOP");
        try
        {
            // It looks at all that the program has open, also what only the host could tell of.
            File.WriteAllText($"{pair.Folder}/go", "");
            Eventually.True(() => holder.Output.Contains("closed", StringComparison.Ordinal), Pair.Limit, "the end of the reader");
            Eventually.True(() => Watches(pair) == 0, Pair.Limit, "the end of the watch");
        }
        finally
        {
            pair.Agent.Signal("CONT");
            File.WriteAllText($"{pair.Folder}/end", "");
        }

        _ = Shell.End(holder);
    }

    private static int Watches(Pair pair) => Directory.GetDirectories($"/proc/{pair.Runtime.Id}/task").Count(task => File.ReadAllText(task + "/comm").TrimEnd() == "fifo watch");
}
