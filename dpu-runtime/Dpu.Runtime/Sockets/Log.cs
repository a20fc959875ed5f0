namespace Dpu.Runtime.Sockets;

/// <summary>Events 3300-3399: connections of programs here to sockets of hosts, and of theirs to sockets here.</summary>
internal static partial class Log
{
    [LoggerMessage(3300, LogLevel.Warning, "{Target}: a program (pid {Pid}, uid {Uid}) was not connected to a socket of host '{Host}', and its connection was broken off: {Reason}")]
    public static partial void NotConnected(ILogger logger, string target, int pid, uint uid, string host, string reason);

    [LoggerMessage(3301, LogLevel.Warning, "{Target}: a program of host '{Host}' was not connected to a socket that process {Pid} has bound, and its connection was broken off: errno {Errno}")]
    public static partial void NotAccepted(ILogger logger, string target, int pid, string host, int errno);

    [LoggerMessage(3302, LogLevel.Warning, "{Target}: programs of host '{Host}' cannot reach a socket that process {Pid} has bound any more, until it binds it again: {Reason}")]
    public static partial void OfferLost(ILogger logger, string target, int pid, string host, string reason);

    [LoggerMessage(3310, LogLevel.Warning, "{Target}: a FIFO that process {Pid} has open is not relayed to host '{Host}': {Reason}")]
    public static partial void FifoRefused(ILogger logger, string target, int pid, string host, string reason);
}
