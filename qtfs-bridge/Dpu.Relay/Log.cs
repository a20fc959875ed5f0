using Microsoft.Extensions.Logging;

namespace Dpu.Relay;

/// <summary>Events 2200-2299: relays of sockets, at both ends.</summary>
internal static partial class Log
{
    [LoggerMessage(2200, LogLevel.Debug, "relay {Id} of {Path} with '{Peer}' ended (broken off: {Broken}; {Sent} bytes sent, {Received} received)")]
    public static partial void RelayEnded(ILogger logger, long id, string path, string peer, bool broken, long sent, long received);

    [LoggerMessage(2201, LogLevel.Warning, "{Count} file descriptors that a program passed on {Path} did not cross the link to '{Peer}': descriptors cannot be passed on this connection, or there was no room for them (raise LimitNOFILE= of the service); the data beside them did")]
    public static partial void DescriptorsDropped(ILogger logger, string path, string peer, int count);

    [LoggerMessage(2202, LogLevel.Warning, "a connection of {Path} with '{Peer}' was broken off: a program sent a message of more than {Limit} bytes, the most that cross")]
    public static partial void MessageTooLong(ILogger logger, string path, string peer, int limit);

    [LoggerMessage(2203, LogLevel.Error, "relaying failed unexpectedly; the connection at fault was ended")]
    public static partial void LoopBug(ILogger logger, Exception exception);

    [LoggerMessage(2204, LogLevel.Warning, "'{Peer}' broke the protocol of relays and was cut off: {Reason}")]
    public static partial void Violation(ILogger logger, string peer, string reason);

    [LoggerMessage(2205, LogLevel.Debug, "relay {Id} of {Path} with '{Peer}' goes on with another connection of the link")]
    public static partial void RelayResumed(ILogger logger, long id, string path, string peer);

    [LoggerMessage(2250, LogLevel.Warning, "a counter of eventfd(2) that crosses the link was let go: programs have added more than {Limit} to it in all, which cannot be told")]
    public static partial void CounterTooLarge(ILogger logger, ulong limit);

    [LoggerMessage(2251, LogLevel.Warning, "a counter of eventfd(2) that crosses the link was let go, and drained: a program has filled it, so that adding to it hung for a second")]
    public static partial void CounterFull(ILogger logger);

    [LoggerMessage(2252, LogLevel.Warning, "counters of eventfd(2) that cross the link stay until their mount or link ends: process {Process} does not let itself be looked at, and may have any of them. Give the service CAP_SYS_PTRACE, or see what protects that process")]
    public static partial void CounterHoldersUnknown(ILogger logger, int process);

    [LoggerMessage(2210, LogLevel.Warning, "a program passed {Link} on {Path}, which cannot cross the link to '{Peer}': {Reason}. In its place the other program gets a descriptor with which every call fails (EBADF)")]
    public static partial void DescriptorRefused(ILogger logger, string link, string path, string peer, string reason);

    [LoggerMessage(2211, LogLevel.Warning, "a descriptor ({Kind}) that was passed on {Path} by a program of '{Peer}' could not be made here: {Reason}. In its place the program here gets a descriptor with which every call fails (EBADF)")]
    public static partial void DescriptorNotMade(ILogger logger, Descriptors.DescriptorKind kind, string path, string peer, string reason);
}
