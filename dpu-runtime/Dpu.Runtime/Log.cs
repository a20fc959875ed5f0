namespace Dpu.Runtime;

/// <summary>Events 3200-3299: the runtime as a whole.</summary>
internal static partial class Log
{
    [LoggerMessage(3200, LogLevel.Warning, "the runtime is not fully protected: {Refusal}")]
    public static partial void NotProtected(ILogger logger, string refusal);

    public const int KeeperThereId = 3201;
    public const int KeeperGoneId = 3202;

    [LoggerMessage(KeeperThereId, LogLevel.Information, "{What}")]
    public static partial void KeeperThere(ILogger logger, string what);

    [LoggerMessage(KeeperGoneId, LogLevel.Warning, "{What}")]
    public static partial void KeeperGone(ILogger logger, string what);
}
