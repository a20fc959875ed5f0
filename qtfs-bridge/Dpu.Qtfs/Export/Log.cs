using Microsoft.Extensions.Logging;

namespace Dpu.Qtfs.Export;

/// <summary>Events 2000-2099: the service <c>fs</c> on the host.</summary>
internal static partial class Log
{
    [LoggerMessage(2000, LogLevel.Information, "export '{Export}' mounted by '{Peer}' (read-only: {ReadOnly})")]
    public static partial void MountOpened(ILogger logger, string export, string peer, bool readOnly);

    [LoggerMessage(2001, LogLevel.Warning, "'{Peer}' asked for '{Export}', which is not exported to it")]
    public static partial void ExportRefused(ILogger logger, string peer, string export);

    [LoggerMessage(2002, LogLevel.Error, "export '{Export}' cannot be opened at {Path}: {Reason}")]
    public static partial void ExportUnusable(ILogger logger, string export, string path, string reason);

    [LoggerMessage(2003, LogLevel.Warning, "'{Peer}' broke the protocol on a lane of '{Export}' and was cut off: {Reason}")]
    public static partial void LaneViolation(ILogger logger, string peer, string export, string reason);

    [LoggerMessage(2004, LogLevel.Debug, "a lane of '{Peer}' to '{Export}' ended: {Reason}")]
    public static partial void LaneBroken(ILogger logger, string peer, string export, string reason);

    [LoggerMessage(2005, LogLevel.Warning, "'{Peer}' stalled inside a message to '{Export}' for over {Seconds} s: {Count} lanes cut off")]
    public static partial void LaneStalled(ILogger logger, string peer, string export, int count, double seconds);

    [LoggerMessage(2006, LogLevel.Information, "the mount of '{Export}' by '{Peer}' ended: no connection for {Seconds} s")]
    public static partial void MountExpired(ILogger logger, string export, string peer, double seconds);

    [LoggerMessage(2007, LogLevel.Warning, "the mount of '{Export}' by '{Peer}' ended: policy no longer gives it")]
    public static partial void MountWithdrawn(ILogger logger, string export, string peer);

    [LoggerMessage(2008, LogLevel.Error, "export '{Export}': {Opcode} on node {Node:x} failed unexpectedly; its caller got EIO")]
    public static partial void RequestBug(ILogger logger, string export, Dpu.Fuse.Wire.fuse_opcode opcode, ulong node, Exception exception);

    [LoggerMessage(2009, LogLevel.Warning, "the kernel tells nothing of changes (fanotify_init: errno {Errno}); DPUs cache nothing of this host")]
    public static partial void NoChangeEvents(ILogger logger, int errno);

    [LoggerMessage(2010, LogLevel.Warning, "changes of files went unseen: the kernel's queue of events overflowed; DPUs forget what they cached")]
    public static partial void ChangesLost(ILogger logger);

    [LoggerMessage(2011, LogLevel.Error, "an event of the kernel was not understood; DPUs forget what they cached")]
    public static partial void ChangeBug(ILogger logger, Exception exception);

    [LoggerMessage(2012, LogLevel.Warning, "export '{Export}': some files cannot be watched for changes (fanotify_mark: errno {Errno}) and are not cached")]
    public static partial void MarkRefused(ILogger logger, string export, int errno);

    [LoggerMessage(2014, LogLevel.Error, "a change of this machine's mounts was not understood; DPUs forget what they cached")]
    public static partial void MountTableBug(ILogger logger, Exception exception);

    [LoggerMessage(2013, LogLevel.Warning, "'{Peer}' may lock no more of '{Export}': its limit of lock {What} is reached, and its programs get ENOLCK; limits.lockOwners, lockRanges and lockWaits on this host raise it")]
    public static partial void LockLimit(ILogger logger, string peer, string export, string what);
}
