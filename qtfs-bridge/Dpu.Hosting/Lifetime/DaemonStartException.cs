namespace Dpu.Hosting.Lifetime;

/// <summary>
/// A daemon cannot start, for a reason an operator can mend: the message says what was tried, why it failed and what
/// to do. It is logged without more ado, and the daemon exits.
/// </summary>
public sealed class DaemonStartException : Exception
{
    /// <summary>Makes one.</summary>
    public DaemonStartException(string message)
        : base(message) { }

    /// <summary>Makes one with its cause.</summary>
    public DaemonStartException(string message, Exception innerException)
        : base(message, innerException) { }

    /// <summary>Makes one without words.</summary>
    public DaemonStartException() { }
}
