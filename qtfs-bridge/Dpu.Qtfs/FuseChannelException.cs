namespace Dpu.Qtfs;

/// <summary>The peer broke the framing of FUSE messages: the connection ends, nothing else.</summary>
public sealed class FuseChannelException : Exception
{
    /// <summary>Makes an exception that says what the peer did.</summary>
    public FuseChannelException(string message)
        : base(message)
    {
    }

    /// <summary>Makes an exception without details.</summary>
    public FuseChannelException()
    {
    }

    /// <summary>Makes an exception with its cause.</summary>
    public FuseChannelException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
