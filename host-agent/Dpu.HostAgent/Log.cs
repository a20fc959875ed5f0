namespace Dpu.HostAgent;

/// <summary>Events 1300-1399: the host agent itself.</summary>
internal static partial class Log
{
    [LoggerMessage(1300, LogLevel.Information, "{What}: mounts outlive this agent")]
    public static partial void KeeperThere(ILogger logger, string what);

    [LoggerMessage(1301, LogLevel.Warning, "mounts do not outlive this agent at the moment: {Why}")]
    public static partial void KeeperGone(ILogger logger, string why);
}
