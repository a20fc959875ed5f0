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

    [LoggerMessage(2141, LogLevel.Information, "{Target}: host '{Host}' had lost the mount (a reboot, or an agent that restarted without a keeper) and has it again: {Nodes} names and {Files} open files go on")]
    public static partial void HostReturned(ILogger logger, string target, string host, int nodes, int files);

    [LoggerMessage(2142, LogLevel.Warning, "{Target}: of what was open on host '{Host}' {Stale} files are lost (ESTALE), and {Unlocked} had locks, which are lost (EIO until they are closed)")]
    public static partial void FilesLost(ILogger logger, string target, string host, int stale, int unlocked);

    [LoggerMessage(2140, LogLevel.Information, "{Host}:{Export} at {Target} was taken over from an earlier runtime, with {Recovered} requests that it had not ended")]
    public static partial void TakenOver(ILogger logger, string host, string export, string target, long recovered);

    [LoggerMessage(2143, LogLevel.Warning, "{Target}: dpu-teller does not run ({Problem}): this runtime tells the kernel itself what to forget, and cannot be killed in the moments in which that waits")]
    public static partial void NoTeller(ILogger logger, string target, string problem);

    [LoggerMessage(2144, LogLevel.Warning, "{Target}: a name that means something else now may mean what it did until its {Timeout} are over: {Problem}")]
    public static partial void NameNotTold(ILogger logger, string target, TimeSpan timeout, string problem);

    [LoggerMessage(2150, LogLevel.Error, "{Target}: programs cannot connect to the host's sockets, as dpu-binder does not run: {Problem}")]
    public static partial void NoBinder(ILogger logger, string target, string problem);

    [LoggerMessage(2151, LogLevel.Warning, "{Target}: a socket of the host could not be bound here (errno {Errno}); who connects to it gets ECONNREFUSED until it is looked up again")]
    public static partial void NotBound(ILogger logger, string target, int errno);

    [LoggerMessage(2153, LogLevel.Debug, "{Target}: a socket that thread {Thread} makes is reached on this machine only: it is not made by bind(2) of a program of this machine's architecture whose process the runtime sees")]
    public static partial void UnknownBinding(ILogger logger, string target, uint thread);

    [LoggerMessage(2152, LogLevel.Warning, "{Target}: a socket of the host is not served: {Problem}")]
    public static partial void NotServed(ILogger logger, string target, string problem);
}
