using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Directories and files that are large.</summary>
[TestClass]
[DoNotParallelize] // They use all of the memory and both processors.
public sealed class SizeTests
{
    private const int Million = 1_000_000;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(20);

    // The kernel of a DPU keeps as many files as its memory holds: the host must allow that many.
    [TestMethod]
    [TestCategory("soak")]
    public void MillionFilesInADirectory_AreListedAskedForAndRemoved()
    {
        using var mounts = new ThreeMounts(agent => agent["limits"] = new JsonObject { ["openNodes"] = 3 * Million });
        string onHost = Directory.CreateDirectory(Path.Combine(mounts.HostRoot, "many")).FullName;
        Measure("make on the host", () => Run($"import os\nfor i in range({Million}): os.mknod('f%07d' % i, 0o644)", onHost));
        const string list = "find . -type f -printf '%f %s %m %U %T@\\n' | LC_ALL=C sort | sha256sum";
        string expected = Sh(list, onHost);
        foreach (string cache in (string[])[ThreeMounts.None, ThreeMounts.Coherent])
        {
            string there = Path.Combine(mounts.MountOf(cache), "many");
            Measure($"list ({cache})", () => Assert.AreEqual($"{Million + 2}", Sh("ls -f | wc -l", there)));
            Measure($"list and ask for all ({cache})", () => Assert.AreEqual(expected, Sh(list, there)));
            Console.WriteLine($"agent: {mounts.Agent.ResidentKiB >> 10} MiB, runtime: {mounts.Runtime.ResidentKiB >> 10} MiB, {mounts.Nodes()} nodes");
        }

        // What the host changes among them is seen.
        Sh("rm f0500000 && echo x > f0500001 && touch new", onHost);
        string coherent = Path.Combine(mounts.MountOf(ThreeMounts.Coherent), "many");
        Assert.IsTrue(Eventually.Within(() => !File.Exists(Path.Combine(coherent, "f0500000")) && File.Exists(Path.Combine(coherent, "new")) && File.ReadAllText(Path.Combine(coherent, "f0500001")) == "x\n", TimeSpan.FromSeconds(5)), "the host's changes");

        Measure("remove through the mount", () => Sh("find . -type f -delete", coherent));
        Assert.AreEqual(0, Directory.EnumerateFiles(onHost).Count());
        Assert.IsFalse(Directory.EnumerateFileSystemEntries(Path.Combine(mounts.MountOf(ThreeMounts.None), "many")).Any());
    }

    [TestMethod]
    [TestCategory("soak")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void FileOfATerabyte_IsWrittenMappedCopiedAndTruncatedAtItsFarEnd(string cache)
    {
        using var mounts = new ThreeMounts();
        (string there, string onHost) = mounts.Place(cache, "large");
        string[] lines = Shell.Python(
            """
            T = 1 << 40
            f = os.open('f', os.O_CREAT | os.O_RDWR, 0o644)
            os.ftruncate(f, T)
            os.pwrite(f, b'far end', T - 7)
            os.pwrite(f, b'middle', T // 2)
            say(os.fstat(f).st_size == T, os.pread(f, 100, T - 7), os.pread(f, 10, T), os.fstat(f).st_blocks * 512 < 1 << 20)
            say(os.lseek(f, 0, os.SEEK_DATA) == T // 2, os.lseek(f, T // 2, os.SEEK_HOLE) - T // 2, T - os.lseek(f, T // 2 + 4096, os.SEEK_DATA), os.lseek(f, T - 7, os.SEEK_HOLE) == T)
            m = mmap.mmap(f, 8192, offset=T - 8192)
            say(m[8185:], m[0])
            m[0:6] = b'mapped'
            m.flush()
            m.close()
            say(os.pread(f, 6, T - 8192))
            g = os.open('g', os.O_CREAT | os.O_RDWR, 0o644)
            say(os.copy_file_range(f, g, 8192, T - 8192, T + 12345 * 4096))
            say(os.pread(g, 6, T + 12345 * 4096), os.fstat(g).st_size == T + 12345 * 4096 + 8192, os.lseek(g, 0, os.SEEK_DATA) == T + 12345 * 4096)
            libc = ctypes.CDLL(None, use_errno=True)
            libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
            say(libc.fallocate(f, 3, T - 8192, 4096), os.pread(f, 6, T - 8192), os.lseek(f, T // 2 + 4096, os.SEEK_DATA) == T - 4096)
            d = os.open('f', os.O_RDWR | os.O_DIRECT)
            b = mmap.mmap(-1, 4096)
            b[0:6] = b'direct'
            say(os.pwritev(d, [b], T + 4096), os.preadv(d, [b], T - 4096), b[4089:])
            os.ftruncate(f, T + 2)
            say(os.fstat(f).st_size - T, os.pread(f, 9, T - 7))
            os.ftruncate(f, T - 3)
            say(os.fstat(f).st_size - T, os.pread(f, 9, T - 7))
            os.fsync(f)
            os.fsync(g)
            """,
            there);
        string[] expected =
        [
            "True b'far end' b'' True",
            "True 4096 4096 True",
            "b'far end' 0",
            "b'mapped'",
            "8192",
            "b'mapped' True True",
            @"0 b'\x00\x00\x00\x00\x00\x00' True",
            "4096 4096 b'far end'",
            @"2 b'far end\x00\x00'",
            "-3 b'far '",
        ];
        CollectionAssert.AreEqual(expected, lines, string.Join('\n', lines));
        Assert.AreEqual($"{(1L << 40) - 3}", Sh("stat -c %s f", onHost));
        Assert.AreEqual("far ", Sh("tail -c 4 f", onHost));
        Assert.AreEqual("mapped", Sh("tail -c 8192 g | head -c 6", onHost));

        // Appended by the host at its far end.
        Sh("printf host >> f", onHost);
        Assert.IsTrue(Eventually.Within(() => Sh("tail -c 8 f", there) == "far host", TimeSpan.FromSeconds(5)), "what the host appended");
    }

    private static void Measure(string what, Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        Console.WriteLine($"{what}: {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
    }

    private static void Run(string program, string where) => ExternalProgram.Check("python3", ["-c", program], Limit, directory: where);

    private static string Sh(string program, string where) => ExternalProgram.Check("bash", ["-o", "pipefail", "-ec", program], Limit, directory: where).TrimEnd('\n');
}
