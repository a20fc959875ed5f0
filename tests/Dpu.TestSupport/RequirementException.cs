namespace Dpu.TestSupport;

/// <summary>Something that a test needs is missing; the message says what, and what to install. Fails the test: nothing is skipped in silence.</summary>
public sealed class RequirementException : Exception
{
    /// <summary>Says what is missing and what to do.</summary>
    public RequirementException(string message)
        : base(message)
    {
    }
}
