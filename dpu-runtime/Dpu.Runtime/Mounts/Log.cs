namespace Dpu.Runtime.Mounts;

/// <summary>Events 3100-3199: the list of mounts.</summary>
internal static partial class Log
{
    public const int MountFailedId = 3100;
    public const int MountStateId = 3101;

    [LoggerMessage(MountFailedId, LogLevel.Error, "{Target}: {Reason}")]
    public static partial void MountFailed(ILogger logger, string target, string reason);
}
