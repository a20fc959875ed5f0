using System.Globalization;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Short programs of a shell or of Python, as a user of the DPU or of the host runs them.</summary>
internal static class Shell
{
    /// <summary>Runs a shell program to its end, whatever its exit code.</summary>
    /// <param name="program">The text, for bash.</param>
    /// <param name="where">Its working directory.</param>
    /// <param name="uid">As whom; that user's group of the same number, and no others.</param>
    public static ProgramResult Run(string program, string where, int uid = 0)
    {
        string id = uid.ToString(CultureInfo.InvariantCulture);
        ProgramResult result = uid == 0
            ? ExternalProgram.Run("bash", ["-c", program], Pair.Limit, directory: where)
            : ExternalProgram.Run("setpriv", ["--reuid", id, "--regid", id, "--clear-groups", "bash", "-c", program], Pair.Limit, directory: where);
        Assert.IsFalse(result.TimedOut, $"'{program}' hung; its output: {result.Output}{result.Error}");
        return result;
    }

    /// <summary>Runs a shell program that must succeed; its output without the last line's end.</summary>
    public static string Check(string program, string where, int uid = 0) => Run(program, where, uid).EnsureSuccess().Output.TrimEnd('\n');

    /// <summary>
    /// Starts a Python program that can call <c>say(…)</c>, <c>attempt(name, function)</c> (says the name and OK or the
    /// errno's name) and <c>wait(path)</c> (until the path exists).
    /// </summary>
    public static RunningProgram StartPython(string program, string where) => RunningProgram.Start(
        "/usr/bin/python3",
        [
            "-c",
            """
            import ctypes, errno, mmap, os, select, socket, stat, sys, time
            def say(*words): print(' '.join(map(str, words)) + '\n', end='', flush=True)
            def attempt(name, function):
                try:
                    function(); say(name, 'OK')
                except OSError as e:
                    say(name, errno.errorcode.get(e.errno, e.errno))
            def wait(path):
                while not os.path.exists(path): select.select([], [], [], 0.01)

            """ + program,
        ],
        directory: where);

    /// <summary>Runs such a program to its end; its lines.</summary>
    public static string[] Python(string program, string where)
    {
        using RunningProgram running = StartPython(program, where);
        return End(running);
    }

    /// <summary>Starts a Python program, and returns when it has said "ready".</summary>
    public static RunningProgram StartPythonServer(string program, string where)
    {
        RunningProgram server = StartPython(program, where);
        AwaitReady(server);
        return server;
    }

    /// <summary>Waits until a program has said "ready".</summary>
    public static void AwaitReady(RunningProgram server)
    {
        Eventually.True(() => server.Output.Contains("ready", StringComparison.Ordinal) || server.HasExited, Pair.Limit, "a server");
        Assert.IsFalse(server.HasExited, server.Error);
    }

    /// <summary>Waits for the end of a program that must succeed; its lines.</summary>
    public static string[] End(RunningProgram running)
    {
        Assert.IsTrue(running.WaitForExit(Pair.Limit), $"the program hung; its output: {running.Output}{running.Error}");
        Assert.AreEqual(0, running.ExitCode, running.Error);
        return running.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>Unmounts, and waits until no mount namespace of this machine has that mount: those that other tests have made got copies of all mounts, which hold them.</summary>
    public static void Unmount(string mount)
    {
        _ = Check($"umount {mount}", "/");
        Eventually.True(() => !Directory.GetDirectories("/proc").Any(process => IsMountedFor(process, mount)), TimeSpan.FromMinutes(3), $"the end of copies of {mount}");
    }

    private static bool IsMountedFor(string process, string mount)
    {
        try
        {
            return int.TryParse(Path.GetFileName(process), out _) && File.ReadLines($"{process}/mountinfo").Any(line => line.Contains(mount, StringComparison.Ordinal));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it has just ended, or does not let itself be looked at.
            return false;
        }
    }
}
