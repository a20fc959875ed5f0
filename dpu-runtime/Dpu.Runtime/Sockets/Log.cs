namespace Dpu.Runtime.Sockets;

/// <summary>Events 3300-3399: connections of programs here to sockets of hosts.</summary>
internal static partial class Log
{
    [LoggerMessage(3300, LogLevel.Warning, "{Target}: a program (pid {Pid}, uid {Uid}) was not connected to a socket of host '{Host}', and its connection was broken off: {Reason}")]
    public static partial void NotConnected(ILogger logger, string target, int pid, uint uid, string host, string reason);
}
