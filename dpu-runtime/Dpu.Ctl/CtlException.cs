namespace Dpu.Ctl;

/// <summary>A command ends without success: what to say on standard error, and the exit code.</summary>
public sealed class CtlException : Exception
{
    /// <summary>Makes one.</summary>
    /// <param name="exitCode">One of <see cref="Dpu.Hosting.ExitCodes"/>.</param>
    /// <param name="message">What was tried, why it failed and what to do.</param>
    /// <param name="inner">The cause.</param>
    public CtlException(int exitCode, string message, Exception? inner = null)
        : base(message, inner) => ExitCode = exitCode;

    /// <summary>Makes one without words.</summary>
    public CtlException()
        : this(Hosting.ExitCodes.Failure, "failed") { }

    /// <summary>Makes one of a message.</summary>
    public CtlException(string message)
        : this(Hosting.ExitCodes.Failure, message) { }

    /// <summary>Makes one of a message and a cause.</summary>
    public CtlException(string message, Exception innerException)
        : this(Hosting.ExitCodes.Failure, message, innerException) { }

    /// <summary>The exit code.</summary>
    public int ExitCode { get; }
}
