namespace Dpu.Runtime.Views;

/// <summary>Events 2360-2379: views.</summary>
internal static partial class Log
{
    [LoggerMessage(2360, LogLevel.Information, "view '{View}' was made of {File}; its first process is {Process}")]
    public static partial void ViewMade(ILogger logger, string view, int process, string file);

    [LoggerMessage(2361, LogLevel.Information, "view '{View}' goes on that an earlier runtime has made; its first process is {Process}, and {Listeners} of its daemons are listened to")]
    public static partial void ViewRestored(ILogger logger, string view, int process, int listeners);

    [LoggerMessage(2362, LogLevel.Information, "view '{View}' has ended")]
    public static partial void ViewEnded(ILogger logger, string view);

    [LoggerMessage(2363, LogLevel.Error, "dpu-run cannot connect at {Path}: {Reason}")]
    public static partial void NoViewSocket(ILogger logger, string path, string reason);

    [LoggerMessage(2364, LogLevel.Error, "stubs in view '{View}' cannot connect: {Reason}")]
    public static partial void NoStubs(ILogger logger, string view, string reason);

    [LoggerMessage(2365, LogLevel.Warning, "what is left of view '{View}' cannot be removed: {Reason}")]
    public static partial void NotCleaned(ILogger logger, string view, string reason);

    [LoggerMessage(2366, LogLevel.Information, "dpu-run (process {Process}) starts a program in view '{View}'")]
    public static partial void ViewJoined(ILogger logger, string view, int process);

    [LoggerMessage(2367, LogLevel.Warning, "viewSocket stays {Path} until the runtime is started anew: views have their state beside it")]
    public static partial void SocketStays(ILogger logger, string path);

    [LoggerMessage(2368, LogLevel.Error, "calls of a daemon in view '{View}' are not answered, and end with ENOSYS: {Reason}")]
    public static partial void NoListener(ILogger logger, string view, string reason);

    [LoggerMessage(2369, LogLevel.Debug, "{Call} of process {Process} in view '{View}' was done on host '{Host}' for process {Target}: {Result}")]
    public static partial void CallDone(ILogger logger, string call, uint process, string view, string host, int target, string result);

    [LoggerMessage(2370, LogLevel.Warning, "{Call} of process {Process} in view '{View}', for process {Target} of host '{Host}', failed: {Reason}")]
    public static partial void CallFailed(ILogger logger, string call, uint process, string view, int target, string host, string reason);

    [LoggerMessage(2371, LogLevel.Debug, "{Change} of process {Process} in view '{View}', below the mount at {Target}, was done on host '{Host}'")]
    public static partial void MountCallDone(ILogger logger, string change, uint process, string view, string target, string host);

    [LoggerMessage(2372, LogLevel.Warning, "{Change} of process {Process} in view '{View}', below the mount at {Target} of host '{Host}', ended with errno {Errno}: {Reason}")]
    public static partial void MountCallFailed(ILogger logger, string change, uint process, string view, string target, string host, int errno, string reason);
}
