using System.Globalization;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Three programs that change a mount, each in its folder, in steps that fail where an earlier one was executed twice or not at all.</summary>
internal sealed class OnceWorkers : IDisposable
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

    private readonly RunningProgram[] _programs;
    private readonly int _seconds;

    private readonly TimeSpan _patience;

    /// <summary>Starts them.</summary>
    /// <param name="mount">Where.</param>
    /// <param name="seconds">For how long.</param>
    /// <param name="patience">How much longer they may take to end; null is as long as a daemon may.</param>
    public OnceWorkers(string mount, int seconds, TimeSpan? patience = null)
    {
        _seconds = seconds;
        _patience = patience ?? Pair.Limit;
        _programs = [.. Enumerable.Range(0, 3).Select(number => Shell.StartPython($"os.environ.update(NAME='w{number}', SECONDS='{seconds}')\n{Worker}", mount))];
    }

    /// <summary>Whether all have ended.</summary>
    public bool HaveEnded => Array.TrueForAll(_programs, program => program.HasExited);

    /// <summary>Lets them work for a while.</summary>
    public void Work(TimeSpan time) => _ = _programs[0].WaitForExit(time);

    /// <summary>Waits for their end and looks at what they have left on the host; how many rounds each has made, in words.</summary>
    public string Check(string exportRoot, int seed, Action? then = null)
    {
        int[] counts = [.. _programs.Select(program => int.Parse(End(program, seed), CultureInfo.InvariantCulture))];
        then?.Invoke();
        for (int i = 0; i < counts.Length; i++)
        {
            Assert.AreEqual("log", Shell.Check("ls", Path.Combine(exportRoot, $"w{i}")));
            Assert.AreEqual("same", Shell.Check($"seq {counts[i]} | cmp - log && echo same", Path.Combine(exportRoot, $"w{i}")));
        }

        return string.Join(" + ", counts);
    }

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(_programs, program => program.Dispose());

    private string End(RunningProgram program, int seed)
    {
        Assert.IsTrue(program.WaitForExit(TimeSpan.FromSeconds(_seconds) + _patience), $"seed {seed}: a worker hangs");
        Assert.AreEqual(0, program.ExitCode, $"seed {seed}: {program.Error}");
        return program.Output.Trim();
    }
}
