namespace Dpu.Runtime.Processes;

/// <summary>Events 2340-2359 and 2380-2389: processes of hosts that programs here stand for.</summary>
internal static partial class Log
{
    [LoggerMessage(2340, LogLevel.Information, "process {Process} of host '{Host}' runs for stub {Stub}, uid {Uid}: {Command}")]
    public static partial void ProcessStarted(ILogger logger, string host, int process, int stub, uint uid, string command);

    [LoggerMessage(2341, LogLevel.Warning, "stub {Stub} (uid {Uid}) cannot have {Program} run on host '{Host}': {Reason}")]
    public static partial void ProcessRefused(ILogger logger, int stub, uint uid, string program, string host, string reason);

    [LoggerMessage(2342, LogLevel.Information, "process {Process} of host '{Host}' has ended, {How}: {Command}")]
    public static partial void ProcessEnded(ILogger logger, int process, string host, string command, string how);

    [LoggerMessage(2343, LogLevel.Information, "descriptor {Number} ({What}) stays with the stub of a process of host '{Host}': {Reason}")]
    public static partial void DescriptorStays(ILogger logger, int number, string what, string host, string reason);

    [LoggerMessage(2344, LogLevel.Warning, "host '{Host}' does not keep to the protocol of process {Process}: {What}; it is asked again")]
    public static partial void Violation(ILogger logger, string host, int process, string what);

    [LoggerMessage(2345, LogLevel.Error, "host '{Host}' knows nothing of process {Process} any more, and its stub ends with 255: {Command}")]
    public static partial void ProcessLost(ILogger logger, string host, int process, string command);

    [LoggerMessage(2346, LogLevel.Warning, "stub {Stub} has gone, and process {Process} of host '{Host}' is killed as it would be: {Command}")]
    public static partial void StubGone(ILogger logger, int stub, int process, string host, string command);

    [LoggerMessage(2347, LogLevel.Information, "{Count} processes of hosts go on that an earlier runtime had")]
    public static partial void ProcessesRestored(ILogger logger, int count);

    [LoggerMessage(2348, LogLevel.Error, "stubs cannot connect at {Path}: {Reason}")]
    public static partial void NoStubSocket(ILogger logger, string path, string reason);

    [LoggerMessage(2349, LogLevel.Warning, "process {Process} of host '{Host}': what went last through descriptor {Numbers}, a file that knows no splice(2), may be there twice or be lost: the runtime was killed meanwhile")]
    public static partial void MayBeDoubled(ILogger logger, int process, string host, string numbers);

    [LoggerMessage(2350, LogLevel.Error, "process {Process} of host '{Host}' cannot go on, as the keeper has lost its streams: {Command}")]
    public static partial void StreamsLost(ILogger logger, int process, string host, string command);

    [LoggerMessage(2380, LogLevel.Information, "process {StandIn} stands for process {Process} of host '{Host}', which goes on as a daemon of process {Parent}: {Command}")]
    public static partial void StandsIn(ILogger logger, int standIn, int process, string host, int parent, string command);

    [LoggerMessage(2381, LogLevel.Warning, "nobody stands for process {Process} of host '{Host}', which process {Parent} has left running: its stub has gone, or could not fork: {Command}")]
    public static partial void NoStandIn(ILogger logger, int process, string host, int parent, string command);

    [LoggerMessage(2382, LogLevel.Information, "the view of stub {Stub} has ended, and process {Process} of host '{Host}' goes on without both: {Command}")]
    public static partial void ViewGone(ILogger logger, int stub, int process, string host, string command);

    [LoggerMessage(2383, LogLevel.Warning, "process {Process} of host '{Host}' is taken up, of which nothing here knew, as after a reboot of this DPU: it goes on without a stub, and what it writes is dropped: {Command}")]
    public static partial void TakenUp(ILogger logger, int process, string host, string command);

    [LoggerMessage(2351, LogLevel.Warning, "process {Process} of host '{Host}': its descriptor {Number} goes to a file here that fails ({Reason}): what it wrote last is lost, and it gets EPIPE; or, where it reads, an end")]
    public static partial void StreamFailed(ILogger logger, int process, string host, int number, string reason);
}
