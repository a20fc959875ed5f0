using Dpu.Hosting.Machine;

namespace Dpu.HostAgent.Processes;

/// <summary>Events 2299-2329 and 2335-2339: processes that DPUs have run.</summary>
internal static partial class Log
{
    [LoggerMessage(2300, LogLevel.Information, "'{Peer}' runs {Path} as process {Process}, uid {Uid}: {Command}")]
    public static partial void ProcessStarted(ILogger logger, string peer, string path, int process, uint uid, string command);

    [LoggerMessage(2301, LogLevel.Warning, "'{Peer}' asked for {Program} (uid {Uid}), which it may not run: {Missing}")]
    public static partial void ProcessRefused(ILogger logger, string peer, string program, uint? uid, string missing);

    [LoggerMessage(2302, LogLevel.Warning, "'{Peer}' asked for {Path}, which did not run: {Reason}")]
    public static partial void ProcessNotRun(ILogger logger, string peer, string path, string reason);

    [LoggerMessage(2303, LogLevel.Information, "process {Process} has ended, {How}: {Command}")]
    public static partial void ProcessEnded(ILogger logger, int process, string command, string how);

    [LoggerMessage(2304, LogLevel.Warning, "'{Peer}' does not keep to the protocol of process {Process}: {What}; it is to connect again")]
    public static partial void ProcessViolation(ILogger logger, string peer, int process, string what);

    [LoggerMessage(2305, LogLevel.Warning, "signal {Signal} could not be sent to process {Process}: {Reason}")]
    public static partial void SignalFailed(ILogger logger, int signal, int process, string reason);

    [LoggerMessage(2306, LogLevel.Warning, "process {Process} gets SIGTERM, as {Why}: {Command}")]
    public static partial void Terminating(ILogger logger, int process, string command, string why);

    [LoggerMessage(2307, LogLevel.Error, "process {Process} has ended, and how is not known: the keeper that was its parent has died before it. Its DPU is told exit code 255: {Command}")]
    public static partial void StatusLost(ILogger logger, int process, string command);

    [LoggerMessage(2308, LogLevel.Warning, "process {Process} has ended long ago, and '{Peer}' never came for its status: {Command}")]
    public static partial void StatusDropped(ILogger logger, int process, string command, string peer);

    [LoggerMessage(2309, LogLevel.Information, "{Count} processes of an earlier life of this agent go on")]
    public static partial void ProcessesRestored(ILogger logger, int count);

    [LoggerMessage(2310, LogLevel.Error, "process {Process} cannot go on with its DPU, as the keeper has lost its streams; it is killed: {Command}")]
    public static partial void StreamsLost(ILogger logger, int process, string command);

    [LoggerMessage(2311, LogLevel.Warning, "process {Process} has no cgroup, so that what it leaves behind cannot be killed with it: {Reason}")]
    public static partial void NoCgroup(ILogger logger, int process, string reason);

    [LoggerMessage(2312, LogLevel.Information, "process {Process} has {Place} alone, and {Group} keeps it there")]
    public static partial void Bound(ILogger logger, int process, Placement place, string group);

    [LoggerMessage(2313, LogLevel.Warning, "process {Process} begins with {Place} alone, and nothing keeps it there: it may ask for others. {Reason}")]
    public static partial void NotHeld(ILogger logger, int process, Placement place, string reason);

    [LoggerMessage(2314, LogLevel.Error, "a start of '{Peer}' failed with an exception that should not happen, and its connection is ended")]
    public static partial void ServingFailed(ILogger logger, Exception e, string peer);

    [LoggerMessage(2335, LogLevel.Information, "process {Process}, which process {Parent} has left running, goes on as a daemon; '{Peer}' has process {StandIn} stand for it")]
    public static partial void Daemonised(ILogger logger, int process, int parent, string peer, int standIn);

    [LoggerMessage(2336, LogLevel.Warning, "process {Parent} has left process {Process} running, and nobody on '{Peer}' stands for it: {Reason}. It can only be ended here")]
    public static partial void NoStandIn(ILogger logger, int parent, int process, string peer, string reason);

    [LoggerMessage(2337, LogLevel.Information, "the pid file of process {Process}, {File}, says {Number} from now on, by which its DPU finds it")]
    public static partial void PidFileWritten(ILogger logger, int process, string file, int number);

    [LoggerMessage(2299, LogLevel.Warning, "process {Process}: its descriptor {Number} fails ({Reason}), and what was on its way through it is lost")]
    public static partial void StreamFailed(ILogger logger, int process, int number, string reason);

    [LoggerMessage(2320, LogLevel.Information, "processes live in {What} of systemd")]
    public static partial void ScopesThere(ILogger logger, string what);

    [LoggerMessage(2321, LogLevel.Warning, "systemd makes no scopes for processes, so they get cgroups of this agent's own; it is asked again in a while: {Reason}")]
    public static partial void ScopesGone(ILogger logger, string reason);

    [LoggerMessage(2322, LogLevel.Warning, "process {Process} gets a cgroup of this agent's own and no scope: {Reason}")]
    public static partial void NoScope(ILogger logger, int process, string reason);

    [LoggerMessage(2323, LogLevel.Warning, "systemd could not kill what is in {Group}, so the agent has killed it itself, as far as it could, with process {Process}: {Reason}")]
    public static partial void ScopeNotKilled(ILogger logger, string group, int process, string reason);

    [LoggerMessage(2330, LogLevel.Debug, "{Call} was done for process {Process}, as '{Peer}' asked")]
    public static partial void CallDone(ILogger logger, string call, int process, string peer);

    [LoggerMessage(2331, LogLevel.Warning, "{Call} for process {Process}, as '{Peer}' asked, failed: {Reason}")]
    public static partial void CallFailed(ILogger logger, string call, int process, string peer, string reason);
}
