using System.Globalization;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// A granted lock does not overtake the news of what its earlier holders did: programs on the host and on two cached mounts
/// that take turns by a lock see all that the others did, to other files and names too.
/// </summary>
[TestClass]
public sealed class OrderingTests
{
    private const string RaiseNumber =
        """
        import fcntl
        f = os.open('n', os.O_RDWR)
        end = time.monotonic() + 2
        n = 0
        while time.monotonic() < end:
            fcntl.{0}(f, fcntl.LOCK_EX)
            os.pwrite(f, b'%020d' % (int(os.pread(f, 100, 0)) + 1), 0)
            fcntl.{0}(f, fcntl.LOCK_UN)
            n += 1
            select.select([], [], [], random.random() * 0.0005)
        say(n)
        """;

    private const string ReplaceNumber =
        """
        import fcntl
        lock = os.open('lock', os.O_RDWR)
        end = time.monotonic() + 2
        n = 0
        while time.monotonic() < end:
            fcntl.{0}(lock, fcntl.LOCK_EX)
            with open('n') as f: v = int(f.read())
            with open('n.new', 'w') as f: f.write('%d' % (v + 1))
            os.rename('n.new', 'n')
            fcntl.{0}(lock, fcntl.LOCK_UN)
            n += 1
            select.select([], [], [], random.random() * 0.0005)
        say(n)
        """;

    // The file grows with each turn, and is closed after the lock was given back.
    private const string AppendLine =
        """
        import fcntl
        end = time.monotonic() + 2
        n = 0
        while time.monotonic() < end:
            with open('n', 'r+b', buffering=0) as f:
                fcntl.{0}(f, fcntl.LOCK_EX)
                v = len(f.readall().split())
                f.write(b'%d\n' % (v + 1))
                fcntl.{0}(f, fcntl.LOCK_UN)
            n += 1
            select.select([], [], [], random.random() * 0.0005)
        say(n)
        """;

    [TestMethod]
    [TestCategory("root")]
    public void NumberRaisedUnderALock_OnTheHostAndThroughTwoMounts_LosesNothing() =>
        TakeTurns(RaiseNumber, "0", content => long.Parse(content, CultureInfo.InvariantCulture));

    [TestMethod]
    [TestCategory("root")]
    public void NumberReplacedByRename_UnderALockOfAnotherFile_LosesNothing() =>
        TakeTurns(ReplaceNumber, "0", content => long.Parse(content, CultureInfo.InvariantCulture));

    [TestMethod]
    [TestCategory("root")]
    public void LinesAppendedUnderALock_ByProgramsThatOpenAndClose_AreAllThereInOrder() =>
        TakeTurns(AppendLine, "", content =>
        {
            string[] lines = content.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            CollectionAssert.AreEqual(Enumerable.Range(1, lines.Length).Select(i => $"{i}").ToArray(), lines);
            return lines.Length;
        });

    private static void TakeTurns(string program, string start, Func<string, long> count)
    {
        using var mounts = new ThreeMounts();
        foreach (string how in (string[])["lockf", "flock"])
        {
            (string there, string onHost) = mounts.Place(ThreeMounts.Coherent, how);
            File.WriteAllText(Path.Combine(onHost, "lock"), "");
            File.WriteAllText(Path.Combine(onHost, "n"), start);
            string second = Path.Combine(mounts.SecondMount, Path.GetFileName(onHost));
            Eventually.True(() => File.Exists(Path.Combine(second, "n")) && File.Exists(Path.Combine(there, "n")), Pair.Limit, "the file");
            RunningProgram[] all = [.. new[] { onHost, there, second }.Select(where => Shell.StartPython("import random\n" + program.Replace("{0}", how, StringComparison.Ordinal), where))];
            try
            {
                long[] turns = [.. all.Select(one => long.Parse(Shell.End(one).Single(), CultureInfo.InvariantCulture))];
                Console.WriteLine($"{how}: turns {string.Join(" + ", turns)}");
                Assert.AreEqual(turns.Sum(), count(File.ReadAllText(Path.Combine(onHost, "n"))), how);
            }
            finally
            {
                Array.ForEach(all, one => one.Dispose());
            }
        }
    }
}
