using Microsoft.Extensions.Logging;

namespace Dpu.Rpc.Server;

/// <summary>What the server logs; ids 1900 to 1919. Errors are the server's own, information is for whoever debugs a client.</summary>
internal static partial class Log
{
    [LoggerMessage(1900, LogLevel.Error, "The handler of {Method} failed with an exception; the client was told UNKNOWN.", EventName = "RpcHandlerFailed")]
    public static partial void HandlerFailed(ILogger logger, string method, Exception exception);

    [LoggerMessage(1901, LogLevel.Debug, "The call {Method} ended with {StatusCode}: {Detail}", EventName = "RpcCallRefused")]
    public static partial void CallRefused(ILogger logger, string method, Grpc.Core.StatusCode statusCode, string detail);

    [LoggerMessage(1902, LogLevel.Debug, "The client of {Method} went away or cancelled.", EventName = "RpcCallAborted")]
    public static partial void CallAborted(ILogger logger, string method, Exception? exception);

    [LoggerMessage(1903, LogLevel.Debug, "The deadline of {Method} passed after {Seconds} s.", EventName = "RpcDeadlineExceeded")]
    public static partial void DeadlineExceeded(ILogger logger, string method, double seconds);

    [LoggerMessage(1904, LogLevel.Warning, "The handler of {Method} returned no response; the client was told UNKNOWN.", EventName = "RpcHandlerReturnedNull")]
    public static partial void HandlerReturnedNull(ILogger logger, string method);
}
