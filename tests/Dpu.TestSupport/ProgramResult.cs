namespace Dpu.TestSupport;

/// <summary>How a program ended and what it wrote. Immutable.</summary>
/// <param name="CommandLine">What was run, for messages.</param>
/// <param name="ExitCode">Its exit code; 128 + N where signal N killed it; <see cref="TimeoutExitCode"/> where time ran out.</param>
/// <param name="Output">Its standard output.</param>
/// <param name="Error">Its standard error.</param>
/// <param name="TimedOut">Whether it was killed at its limit.</param>
/// <param name="Elapsed">How long it ran.</param>
public sealed record ProgramResult(string CommandLine, int ExitCode, string Output, string Error, bool TimedOut, TimeSpan Elapsed)
{
    /// <summary>As timeout(1) exits.</summary>
    public const int TimeoutExitCode = 124;

    /// <summary>Returns itself.</summary>
    /// <exception cref="ProgramException">The exit code is not 0.</exception>
    public ProgramResult EnsureSuccess()
    {
        if (ExitCode != 0)
        {
            string how = TimedOut ? $"was killed after {Elapsed.TotalSeconds:0.#} s" : $"exited with {ExitCode}";
            throw new ProgramException($"'{CommandLine}' {how}.\n--- standard output:\n{Output}\n--- standard error:\n{Error}");
        }

        return this;
    }
}

/// <summary>A program failed; the message has its command line and all it wrote.</summary>
public sealed class ProgramException : Exception
{
    /// <summary>Says how it failed.</summary>
    public ProgramException(string message)
        : base(message)
    {
    }
}
