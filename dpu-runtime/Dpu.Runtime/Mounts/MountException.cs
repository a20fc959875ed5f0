using Grpc.Core;

namespace Dpu.Runtime.Mounts;

/// <summary>A mount could not be made or removed.</summary>
public sealed class MountException : Exception
{
    /// <summary>Says what failed.</summary>
    /// <param name="code">What kind of failure, as the control interface tells it.</param>
    /// <param name="message">What was tried, why it failed, what to do.</param>
    /// <param name="cause">The cause, if there is one.</param>
    public MountException(StatusCode code, string message, Exception? cause = null)
        : base(message, cause) => Code = code;

    /// <summary>Makes an exception without details.</summary>
    public MountException()
        : this(StatusCode.Internal, "a mount failed")
    {
    }

    /// <summary>Makes an exception of kind Internal.</summary>
    public MountException(string message)
        : this(StatusCode.Internal, message)
    {
    }

    /// <summary>Makes an exception of kind Internal, with its cause.</summary>
    public MountException(string message, Exception innerException)
        : this(StatusCode.Internal, message, innerException)
    {
    }

    /// <summary>What kind of failure.</summary>
    public StatusCode Code { get; }
}
