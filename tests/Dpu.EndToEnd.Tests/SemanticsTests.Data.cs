using System.Globalization;

namespace Dpu.EndToEnd.Tests;

// Content and space.
public sealed partial class SemanticsTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow("append", DisplayName = "O_APPEND, F_SETFL, RWF_APPEND, and pages of a mapping beside them")]
    [DataRow("append-two", DisplayName = "O_APPEND by two writers of one mount")]
    [DataRow("map", DisplayName = "shared mappings")]
    [DataRow("sync", DisplayName = "fsync(2) and its relatives")]
    public void Content_WrittenInEveryWay_IsAsOnTheHost(string name) => Compare(name);

    [TestMethod]
    [TestCategory("root")]
    [DataRow("sparse", DisplayName = "holes, SEEK_DATA, SEEK_HOLE")]
    [DataRow("truncation", DisplayName = "truncate(2), and offsets that no file has")]
    [DataRow("allocation", DisplayName = "fallocate(2) in the modes that FUSE passes on")]
    [DataRow("copies", DisplayName = "copy_file_range(2)")]
    [DataRow("clones", DisplayName = "FICLONE and FICLONERANGE, where the host's file system has none")]
    public void Space_TakenAndGivenBack_IsAsOnTheHost(string name) => Compare(name);

    [TestMethod]
    [TestCategory("root")]
    public void CollapseAndInsertRange_ThroughMount_AreRefusedAndChangeNothing()
    {
        string onHost = Directory.CreateDirectory(Path.Combine(s_pair.ExportRoot, "allocation-shift")).FullName;

        string[] seen = Run("allocation-shift", Path.Combine(MountFolder(Trusting), "allocation-shift")).Split('\n');

        Assert.EndsWith(": EOPNOTSUPP", seen[0]);
        Assert.EndsWith(": EOPNOTSUPP", seen[1]);
        Assert.Contains("size 16384 ", seen[2]);
        Assert.AreEqual(string.Concat("abcd".Select(letter => new string(letter, 4096))), File.ReadAllText(Path.Combine(onHost, "f")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Append_FromTheHostAndThroughTheMountAtOnce_LosesNothing()
    {
        string onHost = Directory.CreateDirectory(Path.Combine(s_pair.ExportRoot, "both-append")).FullName;
        string there = Path.Combine(MountFolder(Trusting), "both-append");

        using (RunningProgram host = RunningProgram.Start(s_program, ["append-first", onHost]))
        using (RunningProgram dpu = RunningProgram.Start(s_program, ["append-second", there]))
        {
            foreach (RunningProgram writer in new[] { host, dpu })
            {
                Assert.IsTrue(writer.WaitForExit(Pair.Limit), "a writer hung");
                Assert.AreEqual(0, writer.ExitCode, writer.Output + writer.Error);
            }
        }

        const string all = "1 wrote 600 lines\n2 wrote 600 lines\nbad 0, out of order 0\n";
        Assert.AreEqual(all, Run("append-counted", onHost), "on the host");
        Assert.AreEqual(all, Run("append-counted", there), "through the mount");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Sync_OfFileMappingAndDirectory_ReachesTheHostsDisk()
    {
        string onHost = Directory.CreateDirectory(Path.Combine(s_pair.ExportRoot, "sync-proof")).FullName;
        string log = Path.Combine(s_pair.Folder, "strace.log");
        using (RunningProgram strace = RunningProgram.Start(
            "strace",
            ["-f", "-y", "-e", "trace=fsync,fdatasync,pwritev2", "-o", log, "-p", s_pair.Agent.Id.ToString(CultureInfo.InvariantCulture)]))
        {
            Eventually.True(() => strace.Error.Contains(" attached", StringComparison.Ordinal) || strace.HasExited, Pair.Limit, "strace to attach");
            Assert.IsFalse(strace.HasExited, strace.Error);
            Run("sync-proof", Path.Combine(MountFolder(Trusting), "sync-proof"));
            ExternalProgram.Check("kill", ["-INT", strace.Id.ToString(CultureInfo.InvariantCulture)], Pair.Limit);
            Assert.IsTrue(strace.WaitForExit(Pair.Limit), "strace did not end");
        }

        string[] calls = [.. File.ReadLines(log).Where(line => line.Contains($"<{onHost}", StringComparison.Ordinal)).Select(line => line[(line.IndexOf(' ') + 1)..].TrimStart())];
        string[] kinds = [.. calls.Select(line => line[..line.IndexOf('(')] + (line.Contains("/f>", StringComparison.Ordinal) ? " file" : " directory"))];
        string text = string.Join('\n', calls);

        // msync(2) is fdatasync(2) of the file; the last write waits for the disk by itself (Linux 6.18 asks once more).
        CollectionAssert.AreEqual(new[] { "fsync file", "fdatasync file", "fdatasync file", "fsync directory", "pwritev2 file" }, kinds[..5], text);
        Assert.IsTrue(calls[..4].All(line => line.EndsWith("= 0", StringComparison.Ordinal)), text);
        Assert.Contains("RWF_DSYNC) = 1", calls[4]);
    }
}
