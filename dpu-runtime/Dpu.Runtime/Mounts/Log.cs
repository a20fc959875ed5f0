namespace Dpu.Runtime.Mounts;

/// <summary>Events 3100-3199: the list of mounts.</summary>
internal static partial class Log
{
    public const int MountFailedId = 3100;
    public const int MountStateId = 3101;
    public const int MountTakenOverId = 3102;
    public const int MountLostId = 3103;

    [LoggerMessage(MountFailedId, LogLevel.Error, "{Target}: {Reason}")]
    public static partial void MountFailed(ILogger logger, string target, string reason);

    [LoggerMessage(MountLostId, LogLevel.Warning, "{Target}: an earlier runtime's mount cannot be taken over: {Reason}")]
    public static partial void MountLost(ILogger logger, string target, string reason);

    [LoggerMessage(3104, LogLevel.Information, "{Target} is left with dpu-keeper, for the next runtime")]
    public static partial void MountLeft(ILogger logger, string target);
}
