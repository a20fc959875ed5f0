using System.Diagnostics;

namespace Dpu.TestSupport;

/// <summary>Runs programs to their end, each with a time limit after which its whole tree is killed. Thread-safe.</summary>
public static class ExternalProgram
{
    /// <summary>Runs a program with an empty standard input.</summary>
    /// <param name="name">A path, or a name on PATH (<see cref="Requires.Tool"/> finds it or fails the test).</param>
    /// <param name="arguments">One a word; no shell is between.</param>
    /// <param name="timeout">When to kill it and its children; the result then has <see cref="ProgramResult.TimedOut"/>.</param>
    /// <param name="input">Its standard input.</param>
    /// <param name="directory">Its working directory.</param>
    /// <param name="environment">Variables to set, or to remove where the value is null.</param>
    public static ProgramResult Run(
        string name,
        IEnumerable<string> arguments,
        TimeSpan timeout,
        string? input = null,
        string? directory = null,
        IReadOnlyDictionary<string, string?>? environment = null)
    {
        using RunningProgram program = RunningProgram.Start(name, arguments, input, directory, environment);
        long start = Stopwatch.GetTimestamp();
        bool ended = program.WaitForExit(timeout);
        if (!ended)
        {
            program.Kill();
        }

        return new ProgramResult(
            program.CommandLine,
            ended ? program.ExitCode : ProgramResult.TimeoutExitCode,
            program.Output,
            program.Error,
            TimedOut: !ended,
            Stopwatch.GetElapsedTime(start));
    }

    /// <summary>As <see cref="Run"/>, and fails unless the program exits with 0; returns its standard output.</summary>
    /// <exception cref="ProgramException">It failed or ran out of time; the message has all it wrote.</exception>
    public static string Check(
        string name,
        IEnumerable<string> arguments,
        TimeSpan timeout,
        string? input = null,
        string? directory = null,
        IReadOnlyDictionary<string, string?>? environment = null) =>
        Run(name, arguments, timeout, input, directory, environment).EnsureSuccess().Output;
}
