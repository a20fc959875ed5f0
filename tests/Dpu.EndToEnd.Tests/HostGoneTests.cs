using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>A host that is gone for good: whoever waits for it is told, or killed, when the mount says, and the mount goes.</summary>
[TestClass]
public sealed class HostGoneTests
{
    // What there is to be blocked in, of a mount on which nothing was read.
    private static readonly string[] s_calls =
    [
        "read", "os.pread(f, 100, 48 << 20)",
        "open", "os.open('other', os.O_RDONLY)",
        "lookup", "os.stat('never-seen')",
        "write", "os.pwrite(f, b'x', 0)",
        "fsync", "os.fsync(f)",
        "list", "os.listdir('.')",
    ];

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void HostGone_CallersAreToldInTime_OrKilled_AndTheMountsGo(string cache)
    {
        using var pair = new Pair();
        Shell.Check("truncate -s 64M f; echo other > other; echo cached > cached; touch lock", pair.ExportRoot);
        JsonObject second = pair.Mount("data", "patient");
        second["cache"] = cache;
        string patient = second["target"]!.GetValue<string>();
        string mount = pair.Up(
            entry =>
            {
                entry["cache"] = cache;
                entry["giveUpAfter"] = "1s";
                entry["staleAfter"] = "3s";
            },
            runtime => runtime["mounts"]!.AsArray().Add(second));
        Pair.WaitMounted(patient);
        using var holder = new Locker(Path.Combine(mount, "lock"));
        using var told = new Locker(Path.Combine(mount, "lock"));
        using var killed = new Locker(Path.Combine(patient, "lock"));
        Assert.AreEqual("0", holder.Ask("set 0 posix w 0 0"));
        foreach (Locker waiter in new[] { told, killed })
        {
            waiter.Tell("wait 0 posix w 0 0");
            waiter.AssertWaits();
        }

        string go = Path.Combine(pair.Folder, "go");
        using RunningProgram impatient = Shell.StartPython(
            $$"""
            import threading
            f = os.open('f', os.O_RDWR)
            c = os.open('cached', os.O_RDONLY)
            assert os.pread(c, 10, 0) == b'cached\n'
            say('ready')
            wait('{{go}}')
            gone, results = time.monotonic(), {}
            def call(name, function):
                try:
                    function(); code = 'OK'
                except OSError as e:
                    code = errno.errorcode[e.errno]
                results[name] = code if time.monotonic() - gone < 12 else 'late'
            threads = [threading.Thread(target=call, args=each) for each in [{{string.Join(", ", s_calls.Chunk(2).Select(call => $"('{call[0]}', lambda: {call[1]})"))}}]]
            for each in threads: each.start()
            served = 0
            while time.monotonic() - gone < 12:
                try:
                    assert os.pread(c, 10, 0) == b'cached\n'
                    served = time.monotonic() - gone
                except OSError as e:
                    say('cached', errno.errorcode[e.errno], served)
                    break
                select.select([], [], [], 0.02)
            for each in threads: each.join()
            for name in sorted(results): say(name, results[name])
            """,
            mount);
        // On a coherent mount the kernel waits for a page that is being read before it forgets it and before it unmounts, whoever was killed.
        RunningProgram[] waiting = [.. s_calls.Chunk(2).Where(call => cache == ThreeMounts.None || call[0] != "read").Select(call => Shell.StartPython($"f = os.open('f', os.O_RDWR)\nsay('ready')\nwait('{go}')\n{call[1]}", patient))];
        try
        {
            foreach (RunningProgram program in waiting.Append(impatient))
            {
                program.WaitForLine(line => line == "ready", Pair.Limit);
            }

            pair.Agent.Kill();
            File.WriteAllText(go, "");
            string[] said = Shell.End(impatient);
            string[] cached = said.Single(line => line.StartsWith("cached ", StringComparison.Ordinal)).Split(' ');
            double served = double.Parse(cached[2], CultureInfo.InvariantCulture);
            Assert.AreEqual("EIO", cached[1]);
            CollectionAssert.AreEqual(
                s_calls.Chunk(2).Select(call => call[0]).Order().Select(name => name + " EIO").ToArray(),
                said.Where(line => line != "ready" && !line.StartsWith("cached ", StringComparison.Ordinal)).ToArray(),
                string.Join('\n', said));
            Assert.AreEqual("EIO", told.Answer(), "who waits for a lock");
            if (cache == ThreeMounts.Coherent)
            {
                // From the moment in which the connection broke; the kernel is told a moment later.
                Assert.IsTrue(served is > 2 and < 6, $"what is cached was served for {served} s, and staleAfter is 3 s");
            }

            // Those of the patient mount wait on, and end when they are killed.
            Assert.IsTrue(waiting.All(program => !program.HasExited) && killed.IsWaiting, "the host is gone and cannot have answered");
            long kill = System.Diagnostics.Stopwatch.GetTimestamp();
            foreach (RunningProgram program in waiting)
            {
                program.Kill();
            }

            killed.Kill();
            Assert.IsTrue(waiting.All(program => program.WaitForExit(Pair.Limit)), "a killed caller still waits");
            Assert.IsLessThan(TimeSpan.FromSeconds(10), System.Diagnostics.Stopwatch.GetElapsedTime(kill));
        }
        finally
        {
            Array.ForEach(waiting, program => program.Dispose());
        }

        // umount(8) looks at what it unmounts, and so waits for giveUpAfter; dpuctl does not.
        pair.Runtime.Ctl("umount", patient).EnsureSuccess();
        Pair.WaitUnmounted(patient);
        Assert.Contains("busy", Shell.Run($"umount {mount}", "/").Error, "its lockers have files open");
        if (cache == ThreeMounts.None)
        {
            Shell.Check($"umount -l {mount}", "/");
        }
        else
        {
            holder.Kill();
            told.Kill();
            Shell.Check($"umount {mount}", "/");
        }

        Pair.WaitUnmounted(mount);
    }
}
