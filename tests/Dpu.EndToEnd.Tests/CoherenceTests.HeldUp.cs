namespace Dpu.EndToEnd.Tests;

// When all is forgotten, or the kernel cannot be told at once.
public sealed partial class CoherenceTests
{
    [TestMethod]
    [TestCategory("root")]
    public void EverythingForgotten_WhatIsMountedBelowStays_AndWhoIsInADirectory()
    {
        using var pair = new Pair();
        Shell.Check("mkdir -p d/below; echo content > d/f", pair.ExportRoot);
        string mount = Up(pair);
        Prime(Path.Combine(mount, "d/f"), Path.Combine(mount, "d/absent"));
        Shell.Check("mount -t tmpfs none d/below; echo in memory > d/below/x", mount);
        try
        {
            using RunningProgram inside = Shell.StartPython(
                $"""
                say('in', os.getcwd())
                while not os.path.exists('{pair.Folder}/go'): time.sleep(0.02)
                say('still in', os.getcwd(), sorted(os.listdir('.')))
                """,
                Path.Combine(mount, "d"));
            inside.WaitForLine(line => line.StartsWith("in ", StringComparison.Ordinal), Pair.Limit);
            OverflowEvents(pair, "d", "echo unseen > d/g");
            Eventually.True(() => IsCaching(pair, mount), Pair.Limit, "the cache again");

            Assert.AreEqual("content\nin memory", Shell.Check("cat d/f d/below/x; rm -f d/n[0-9]*", mount));
            File.WriteAllText(Path.Combine(pair.Folder, "go"), "");
            Assert.AreEqual($"still in {Path.Combine(mount, "d")} ['below', 'f', 'g']", Shell.End(inside).Last());
        }
        finally
        {
            Shell.Run("umount d/below", mount);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void FileSystemOfTheHostThatHangs_LeavesTheCachesOfOtherFilesRight()
    {
        using var pair = new Pair();
        Shell.Check("mkdir -p d area/hung ../remote; echo content > d/f; echo first > area/known", pair.ExportRoot);
        string mount = Up(pair);
        string file = Path.Combine(mount, "d/f");
        Prime(file, Path.Combine(mount, "d/absent"));
        Assert.AreEqual("first", File.ReadAllText(Path.Combine(mount, "area/known")).Trim());
        using var server = new Sshfs(pair.Folder, Path.Combine(pair.Folder, "remote"), Path.Combine(pair.ExportRoot, "area/hung"));
        server.Signal("STOP");
        try
        {
            // Whoever looks for the name for the first time has the directory locked, for which the kernel waits when it is told of names there.
            // By then the host's kernel must ask the server again what its directory is.
            Shell.Check("sleep 1.5", "/");
            using RunningProgram looks = RunningProgram.Start("stat", [Path.Combine(mount, "area/hung")]);
            Eventually.True(() => Counter(pair, mount, "inFlight") > 0, Pair.Limit, "a look-up that waits");

            // Not with File, which locks what it reads.
            Shell.Check("echo replaced > new; mv new known; mkdir other", Path.Combine(pair.ExportRoot, "area"));
            for (int i = 0; i < 20; i++)
            {
                Shell.Check($"echo change {i} > d/f", pair.ExportRoot);
                Assert.IsTrue(Eventually.Within(() => Shell.Check($"cat {file}", "/") == $"change {i}", TimeSpan.FromSeconds(5)), $"change {i} is unseen while another directory is held up");
            }

            Assert.IsFalse(looks.HasExited, "the look-up was to wait");
            server.Signal("CONT");
            Assert.IsTrue(looks.WaitForExit(Pair.Limit), "the look-up still waits");
        }
        finally
        {
            server.Signal("CONT");
        }

        Eventually.True(() => Shell.Run("cat known; ls -d other", Path.Combine(mount, "area")).Output == "replaced\nother\n", Pair.Limit, "what was told late");
    }

    [TestMethod]
    [TestCategory("root")]
    public void LockBesideNewsThatTakeTheirTime_IsGrantedWhenTheKernelKnows()
    {
        using var pair = new Pair();
        Shell.Check("mkdir d; echo first > d/f; echo > lock", pair.ExportRoot);
        string mount = Up(pair);
        string file = Path.Combine(mount, "d/f");
        Prime(file, Path.Combine(mount, "d/absent"));

        // The first change makes the process that tells the kernel.
        Shell.Check("echo second > d/f", pair.ExportRoot);
        Eventually.True(() => Shell.Check($"cat {file}", "/") == "second", Pair.Limit, "a change");
        string[] tellers = Shell.Check($"pgrep -P {pair.Runtime.Id} -x dpu-teller", "/").Split('\n');
        using var dpu = new Locker(Path.Combine(mount, "lock"));
        Shell.Check($"kill -STOP {string.Join(' ', tellers)}", "/");
        try
        {
            Shell.Check("echo third > d/f", pair.ExportRoot);
            dpu.Tell("wait 0 posix w 0 0");
            Shell.Check("sleep 0.5", "/");
            Assert.IsTrue(dpu.IsWaiting, "granted before the kernel knew");
        }
        finally
        {
            Shell.Check($"kill -CONT {string.Join(' ', tellers)}", "/");
        }

        Assert.AreEqual("0", dpu.Answer());
        Assert.AreEqual("third", Shell.Check($"cat {file}", "/"));
    }
}
