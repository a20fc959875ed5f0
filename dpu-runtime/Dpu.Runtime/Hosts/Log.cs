namespace Dpu.Runtime.Hosts;

/// <summary>Events 3000-3099: links to hosts.</summary>
internal static partial class Log
{
    public const int LinkUpId = 3000;
    public const int LinkDownId = 3001;

    [LoggerMessage(LinkUpId, LogLevel.Information, "host '{Host}' is up at {Endpoint}: agent {Version}, round trip {RoundTripMs} ms")]
    public static partial void LinkUp(ILogger logger, string host, string endpoint, string version, double roundTripMs);

    [LoggerMessage(LinkDownId, LogLevel.Warning, "host '{Host}' is down: {Reason}")]
    public static partial void LinkDown(ILogger logger, string host, string reason);

    [LoggerMessage(3002, LogLevel.Error, "the link to host '{Host}' failed unexpectedly; it is dialled again")]
    public static partial void LinkFailed(ILogger logger, string host, Exception exception);
}
