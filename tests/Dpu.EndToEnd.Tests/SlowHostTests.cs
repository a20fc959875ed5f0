using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// An export with a network file system below it (sshfs) whose server does not answer any more: who asks for something else
/// is not held up, and who waits can be killed.
/// </summary>
[TestClass]
[DoNotParallelize] // Times are compared with limits of seconds.
public sealed class SlowHostTests
{
    private const int Readers = 64;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void ManySlowReads_LeaveOtherRequestsFast_AndEachCanBeKilled(LinkKind link)
    {
        using var pair = new Pair(link);
        string remote = Directory.CreateDirectory(Path.Combine(pair.Folder, "remote")).FullName;
        string hung = Directory.CreateDirectory(Path.Combine(pair.ExportRoot, "hung")).FullName;
        for (int i = 0; i < Readers; i++)
        {
            File.WriteAllText(Path.Combine(remote, $"f{i}"), "content");
        }

        File.WriteAllText(Path.Combine(pair.ExportRoot, "near"), "x");
        using var server = new Sshfs(pair.Folder, remote, hung);
        string mount = pair.UpUncached();
        Assert.AreEqual("content", File.ReadAllText(Path.Combine(mount, "hung/f0")));

        RunningProgram[] readers;
        server.Signal("STOP");
        try
        {
            readers = [.. Enumerable.Range(0, Readers).Select(i => RunningProgram.Start("cat", [Path.Combine(mount, $"hung/f{i}")]))];
            Eventually.True(() => InFlight(pair) >= Readers, Pair.Limit, $"{Readers} reads that wait");

            // The first may have to wait until a lane has been made for it.
            Shell.Check("stat near", mount);
            long started = Stopwatch.GetTimestamp();
            Shell.Check("for i in $(seq 20); do stat near > /dev/null || exit 1; done; mkdir made; rmdir made; cat near", mount);
            Assert.IsLessThan(TimeSpan.FromSeconds(5), Stopwatch.GetElapsedTime(started), "others while reads wait");

            foreach (RunningProgram reader in readers.Take(Readers / 2))
            {
                ExternalProgram.Check("kill", ["-KILL", reader.Id.ToString(CultureInfo.InvariantCulture)], Pair.Limit);
            }

            foreach (RunningProgram reader in readers.Take(Readers / 2))
            {
                Assert.IsTrue(reader.WaitForExit(Pair.Limit), "a killed reader still waits");
            }
        }
        finally
        {
            server.Signal("CONT");
        }

        foreach (RunningProgram reader in readers.Skip(Readers / 2))
        {
            Assert.IsTrue(reader.WaitForExit(Pair.Limit), "a reader still waits");
            Assert.AreEqual("content\n", reader.Output);
        }

        Array.ForEach(readers, reader => reader.Dispose());

        // What came for relief goes again: there are two lanes, and connections for control, waits and notifications.
        Eventually.True(() => Connections(pair) <= 5, Pair.Limit, "the end of the lanes that were made");
        pair.Runtime.Ctl("umount", mount).EnsureSuccess();
    }

    private static int InFlight(Pair pair) =>
        JsonNode.Parse(pair.Runtime.Ctl("mounts", "--json").EnsureSuccess().Output)!["mounts"]![0]!["counters"]!["inFlight"]!.GetValue<int>();

    private static int Connections(Pair pair) =>
        JsonNode.Parse(pair.Agent.Ctl("status", "--json").EnsureSuccess().Output)!["sessions"]![0]!["connections"]!.GetValue<int>();
}
