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

    [LoggerMessage(2006, LogLevel.Information, "the mount of '{Export}' by '{Peer}' ended: no connection for {Seconds} s; {Locks} owners' locks and {Files} open files were let go")]
    public static partial void MountExpired(ILogger logger, string export, string peer, double seconds, long locks, long files);

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

    [LoggerMessage(2015, LogLevel.Information, "the mount of '{Export}' by '{Peer}' goes on: {Files} open files, {Locks} owners' locks; {Lost} open files were lost")]
    public static partial void MountRestored(ILogger logger, string export, string peer, long files, long locks, int lost);

    [LoggerMessage(2016, LogLevel.Warning, "what the keeper has of the mount of '{Export}' by '{Peer}' is let go: {Reason}")]
    public static partial void MountNotRestored(ILogger logger, string export, string peer, string reason);

    [LoggerMessage(2017, LogLevel.Warning, "{Opcode} of '{Peer}' on node {Node:x} of '{Export}' was answered with EIO: the agent was killed when it was under way, and it may have been carried out")]
    public static partial void OutcomeUnknown(ILogger logger, string export, string peer, Dpu.Fuse.Wire.fuse_opcode opcode, ulong node);

    [LoggerMessage(2019, LogLevel.Information, "'{Peer}' has returned to its mount of '{Export}' as it was at an earlier life of this host: {Files} open files go on, {Lost} are lost")]
    public static partial void MountReturned(ILogger logger, string export, string peer, long files, long lost);

    [LoggerMessage(2020, LogLevel.Information, "'{Peer}' was rebooted: the mount of '{Export}' of its earlier boot ended; {Locks} owners' locks and {Files} open files were let go")]
    public static partial void PeerRebooted(ILogger logger, string export, string peer, long locks, long files);

    [LoggerMessage(2018, LogLevel.Warning, "the keeper did not take all open files and locks (errno {Errno}; 28: it is full, see dpu-keeper --entries): those do not outlive the agent")]
    public static partial void KeeperRefused(ILogger logger, int errno);

    [LoggerMessage(2023, LogLevel.Warning, "'{Peer}' looked up the socket {Path} of '{Export}', which it may not connect to: its programs get ECONNREFUSED; sockets.connect of the export gives it")]
    public static partial void SocketNotGiven(ILogger logger, string peer, string path, string export);

    [LoggerMessage(2024, LogLevel.Warning, "'{Peer}' asked to bind the socket {Path} of '{Export}', which it may not: {Reason}; its program gets EACCES")]
    public static partial void BindRefused(ILogger logger, string peer, string path, string export, string reason);

    [LoggerMessage(2025, LogLevel.Debug, "a program of '{Peer}' has bound the socket {Path} of '{Export}'")]
    public static partial void SocketBound(ILogger logger, string peer, string path, string export);

    [LoggerMessage(2026, LogLevel.Warning, "the socket {Path} of '{Export}', which a program of '{Peer}' has bound, was closed: its DPU has not served it for {Seconds} s")]
    public static partial void SocketDeserted(ILogger logger, string peer, string path, string export, double seconds);

    [LoggerMessage(2021, LogLevel.Warning, "'{Peer}' asked to connect to the socket {Path} of '{Export}', which it may not: {Reason}")]
    public static partial void SocketRefused(ILogger logger, string peer, string path, string export, string reason);

    [LoggerMessage(2022, LogLevel.Debug, "a program of '{Peer}' (uid {Uid}, pid {Pid}) was not connected to a socket of '{Export}': errno {Errno}")]
    public static partial void SocketFailed(ILogger logger, string peer, uint uid, int pid, string export, int errno);

    [LoggerMessage(2040, LogLevel.Warning, "'{Peer}' looked up the FIFO {Path} of '{Export}', which may not be relayed: each side's programs reach their own side only; fifos of the export gives it")]
    public static partial void FifoNotGiven(ILogger logger, string peer, string path, string export);

    [LoggerMessage(2041, LogLevel.Warning, "'{Peer}' asked for the FIFO {Path} of '{Export}', which may not be relayed: {Reason}")]
    public static partial void FifoRefused(ILogger logger, string peer, string path, string export, string reason);

    [LoggerMessage(2042, LogLevel.Warning, "the FIFO {Path} of '{Export}' is open for reading and writing both here and on '{Peer}': nothing crosses until \"direction\" of its rule in fifos says which way")]
    public static partial void FifoDirectionUnknown(ILogger logger, string path, string export, string peer);

    [LoggerMessage(2052, LogLevel.Information, "'{Peer}' (process {Process}) had {What} mounted at {Path} of '{Export}', by the rule of \"mounts\" for \"{Match}\"")]
    public static partial void MountMade(ILogger logger, string peer, uint process, string what, string path, string export, string match);

    [LoggerMessage(2053, LogLevel.Information, "'{Peer}' (process {Process}) had unmounted what was at {Path} of '{Export}' (lazily: {Lazy})")]
    public static partial void MountUnmade(ILogger logger, string peer, uint process, string path, string export, bool lazy);

    [LoggerMessage(2054, LogLevel.Information, "'{Peer}' (process {Process}) had changed what is mounted at {Path} of '{Export}': {How}")]
    public static partial void MountChanged(ILogger logger, string peer, uint process, string path, string export, string how);

    [LoggerMessage(2055, LogLevel.Warning, "'{Peer}' (process {Process}) may not have this done: {Change} at {Path} of '{Export}': {Reason}")]
    public static partial void MountRefused(ILogger logger, string peer, uint process, Dpu.Proto.V1.MountChange change, string path, string export, string reason);

    [LoggerMessage(2056, LogLevel.Information, "'{Peer}' (process {Process}) asked in vain: {Change} at {Path} of '{Export}': errno {Errno}; {Reason}")]
    public static partial void MountFailed(ILogger logger, string peer, uint process, Dpu.Proto.V1.MountChange change, string path, string export, int errno, string reason);

    [LoggerMessage(2057, LogLevel.Information, "{Count} mounts that were made for DPUs are there from an earlier life of the agent; {Restored} changes were under way when it ended, and had been made")]
    public static partial void MountsRestored(ILogger logger, int count, int restored);

    [LoggerMessage(2058, LogLevel.Error, "{Change} below '{Export}' failed unexpectedly; its caller got EIO")]
    public static partial void MountBug(ILogger logger, Dpu.Proto.V1.MountChange change, string export, Exception exception);
}
