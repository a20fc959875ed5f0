using Grpc.Core;

namespace Dpu.Runtime.Views;

/// <summary>A view could not be made, joined or ended.</summary>
public sealed class ViewException : Exception
{
    /// <summary>Says what failed.</summary>
    /// <param name="code">What kind of failure, as the control interface tells it. Unavailable: it may work later without anybody's doing.</param>
    /// <param name="message">What was tried, why it failed, what to do.</param>
    /// <param name="cause">The cause, if there is one.</param>
    public ViewException(StatusCode code, string message, Exception? cause = null)
        : base(message, cause) => Code = code;

    /// <summary>Makes an exception without details.</summary>
    public ViewException()
        : this(StatusCode.Internal, "a view failed")
    {
    }

    /// <summary>Makes an exception of kind Internal.</summary>
    public ViewException(string message)
        : this(StatusCode.Internal, message)
    {
    }

    /// <summary>Makes an exception of kind Internal, with its cause.</summary>
    public ViewException(string message, Exception innerException)
        : this(StatusCode.Internal, message, innerException)
    {
    }

    /// <summary>What kind of failure.</summary>
    public StatusCode Code { get; }
}
