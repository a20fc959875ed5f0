namespace Dpu.Runtime;

/// <summary>Events 3200-3299: the runtime as a whole.</summary>
internal static partial class Log
{
    [LoggerMessage(3200, LogLevel.Warning, "the runtime is not fully protected: {Refusal}")]
    public static partial void NotProtected(ILogger logger, string refusal);
}
