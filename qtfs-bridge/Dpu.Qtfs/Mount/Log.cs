using Microsoft.Extensions.Logging;

namespace Dpu.Qtfs.Mount;

/// <summary>Events 2100-2199: remote mounts on the DPU.</summary>
internal static partial class Log
{
    [LoggerMessage(2100, LogLevel.Information, "{Host}:{Export} mounted at {Target} (read-only: {ReadOnly}, lanes: {Lanes})")]
    public static partial void Mounted(ILogger logger, string host, string export, string target, bool readOnly, int lanes);

    [LoggerMessage(2101, LogLevel.Information, "{Target} unmounted")]
    public static partial void Unmounted(ILogger logger, string target);

    [LoggerMessage(2102, LogLevel.Warning, "{Target}: the outcome of a FUSE request is unknown (opcode {Opcode}, node {Node:x}): the link broke after it was sent; its caller got EIO")]
    public static partial void OutcomeUnknown(ILogger logger, string target, uint opcode, ulong node);

    [LoggerMessage(2103, LogLevel.Error, "{Target}: host '{Host}' broke the protocol and the connection was closed: {Reason}")]
    public static partial void HostViolated(ILogger logger, string target, string host, string reason);

    [LoggerMessage(2104, LogLevel.Debug, "{Target}: a lane ended: {Reason}")]
    public static partial void LaneBroke(ILogger logger, string target, string reason);

    [LoggerMessage(2105, LogLevel.Warning, "{Target}: host '{Host}' gives no lane: {Reason}")]
    public static partial void DialFailed(ILogger logger, string target, string host, string reason);

    [LoggerMessage(2106, LogLevel.Error, "{Target}: the kernel refused a reply: errno {Errno}")]
    public static partial void ReplyRefused(ILogger logger, string target, int errno);

    [LoggerMessage(2107, LogLevel.Critical, "{Target}: a thread of the mount ended unexpectedly; the mount is aborted so that nobody hangs on it")]
    public static partial void LaneCrashed(ILogger logger, string target, Exception exception);

    [LoggerMessage(2108, LogLevel.Warning, "the threads that serve mounts are not fully protected from memory reclaim: {Refusal}")]
    public static partial void ThreadsNotProtected(ILogger logger, string refusal);

    [LoggerMessage(2109, LogLevel.Warning, "{Target}: the transport is /dev/fuse, not io_uring: {Reason}")]
    public static partial void NoRings(ILogger logger, string target, string reason);

    [LoggerMessage(2130, LogLevel.Warning, "{Target}: host '{Host}' does not tell of changes to this export; nothing is cached")]
    public static partial void NotCoherent(ILogger logger, string target, string host);

    [LoggerMessage(2120, LogLevel.Warning, "{Target}: {Opcode} of node {Node:x} for thread {Caller} took {Seconds:0.000} s at host '{Host}'")]
    public static partial void SlowRequest(ILogger logger, string target, string opcode, ulong node, uint caller, double seconds, string host);

    [LoggerMessage(2121, LogLevel.Warning, "{Target}: {Opcode} of node {Node:x} for thread {Caller} has waited for host '{Host}' for {Seconds:0.000} s and waits on")]
    public static partial void SlowRequestPending(ILogger logger, string target, string opcode, ulong node, uint caller, double seconds, string host);
}
