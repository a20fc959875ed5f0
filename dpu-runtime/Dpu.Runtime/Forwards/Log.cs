namespace Dpu.Runtime.Forwards;

/// <summary>Events 3315-3319: forwards of sockets outside of mounts.</summary>
internal static partial class Log
{
    [LoggerMessage(3315, LogLevel.Error, "the socket {Address} is not forwarded: {Reason}; a reload tries again")]
    public static partial void NotForwarded(ILogger logger, string address, string reason);

    [LoggerMessage(3316, LogLevel.Warning, "host '{Host}' does not listen on {Address}: {Reason}; it is asked again")]
    public static partial void HostDoesNotListen(ILogger logger, string host, string address, string reason);
}
