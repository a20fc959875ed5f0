namespace Dpu.Runtime.Reconcile;

/// <summary>Events 4200-4249: keeping flows in step.</summary>
internal static partial class Log
{
    [LoggerMessage(4200, LogLevel.Warning, "flows of {Pair} are out of step: {Summary}")]
    public static partial void OutOfStep(ILogger logger, string pair, string summary);

    [LoggerMessage(4201, LogLevel.Information, "flows of {Pair} are in step again: {Summary}")]
    public static partial void InStep(ILogger logger, string pair, string summary);

    [LoggerMessage(4202, LogLevel.Information, "flows of {Pair} were repaired: {Added} added, {Replaced} replaced, {Deleted} deleted, {Failed} failed; {Left} differences are left")]
    public static partial void Repaired(ILogger logger, string pair, int added, int replaced, int deleted, int failed, int left);

    [LoggerMessage(4203, LogLevel.Error, "flows of {Pair} cannot be compared: {Reason}; the next pass tries again")]
    public static partial void Failed(ILogger logger, string pair, string reason);

    [LoggerMessage(4204, LogLevel.Warning, "flows of {Pair} are not repaired: {Reason}")]
    public static partial void Refused(ILogger logger, string pair, string reason);

    [LoggerMessage(4205, LogLevel.Error, "a pass over {Pair} does not end, although it was given up after {Limit}; no other begins until it does")]
    public static partial void Stuck(ILogger logger, string pair, TimeSpan limit);

    [LoggerMessage(4206, LogLevel.Error, "the history of reconciling is not kept: {Reason}")]
    public static partial void NoHistory(ILogger logger, string reason);

    [LoggerMessage(4207, LogLevel.Warning, "changes of {Side}, a side of {Pair}, are not heard of, and found by the passes of each interval only: {Reason}")]
    public static partial void NoEvents(ILogger logger, string pair, string side, string reason);
}
