using System.Globalization;
using Dpu.TestSupport;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>
/// Pid and mount namespaces with an init of their own, which takes in who loses its parent: another machine's numbers, or those of a view.
/// <see cref="Dispose"/> ends all that is in them.
/// </summary>
public sealed class PidNamespace : IDisposable
{
    /// <summary>What enters one, with <see cref="Arguments"/>, and has the program as its only child.</summary>
    public const string Enter = "nsenter";

    private readonly RunningProgram _program;
    private readonly string _init;

    /// <summary>Makes one.</summary>
    /// <param name="most">Its <c>pid_max</c>; the machine's own, where kernels have one for all (before 6.14), stays as it is.</param>
    public PidNamespace(int most = 0)
    {
        string before = File.ReadAllText(MostFile);
        _program = RunningProgram.Start(
            "unshare",
            [
                "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
                "python3", "-c", "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nprint('started', flush=True)\nwhile True: signal.pause()",
            ]);
        _program.WaitForLine(line => line == "started", Pair.Limit);
        _init = ChildOf(_program.Id).ToString(CultureInfo.InvariantCulture);
        if (most > 0)
        {
            _ = Run($"echo {most} > {MostFile}");
            if (File.ReadAllText(MostFile) != before)
            {
                File.WriteAllText(MostFile, before);
                Dispose();
                Assert.Inconclusive("this kernel has one pid_max for all namespaces");
            }
        }
    }

    /// <summary>Before the program and its own.</summary>
    public IReadOnlyList<string> Arguments => ["--target", _init, "--mount", "--pid", "--wdns=/"];

    private static string MostFile => "/proc/sys/kernel/pid_max";

    /// <summary>The number, here, of the only child of a process.</summary>
    public static int ChildOf(int process)
    {
        int child = 0;
        Eventually.True(
            () => int.TryParse(File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/task/{process}/children")).Trim(), out child), Pair.Limit, "the start of a program");
        return child;
    }

    /// <summary>A shell program in which <c>as N PROGRAM</c> begins one with that number, and waits for it.</summary>
    public static string As(string program) =>
        $$"""
        as() { echo $(($1 - 1)) > /proc/sys/kernel/ns_last_pid; shift; "$@" & wait $!; }
        {{program}}
        """;

    /// <summary>Runs a shell program there that must succeed; its output without the last line's end.</summary>
    public string Run(string program, IReadOnlyDictionary<string, string?>? environment = null)
    {
        ProgramResult result = ExternalProgram.Run(Enter, [.. Arguments, "bash", "-uc", program], Pair.Limit, environment: environment);
        Assert.IsFalse(result.TimedOut, $"'{program}' hung; its output: {result.Output}{result.Error}");
        return result.EnsureSuccess().Output.TrimEnd('\n');
    }

    /// <summary>Starts a program there.</summary>
    public RunningProgram Start(string program, params string[] arguments) => RunningProgram.Start(Enter, [.. Arguments, program, .. arguments]);

    public void Dispose() => _program.Dispose();
}
