namespace Dpu.Flows.Text;

/// <summary>Text is no flow, or one that cannot be kept as it is; the message says what and why.</summary>
public sealed class FlowTextException : FormatException
{
    /// <summary>Without a reason.</summary>
    public FlowTextException()
    {
    }

    /// <summary>With a reason.</summary>
    public FlowTextException(string message)
        : base(message)
    {
    }

    /// <summary>With a reason and a cause.</summary>
    public FlowTextException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
