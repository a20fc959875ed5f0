namespace Dpu.HostAgent;

/// <summary>Events 1300-1399: the host agent itself; 2045-2049: sockets outside of exports; 2260-2269: what programs pass.</summary>
internal static partial class Log
{
    [LoggerMessage(1300, LogLevel.Information, "{What}: mounts outlive this agent")]
    public static partial void KeeperThere(ILogger logger, string what);

    [LoggerMessage(1301, LogLevel.Warning, "mounts do not outlive this agent at the moment: {Why}")]
    public static partial void KeeperGone(ILogger logger, string why);

    [LoggerMessage(2045, LogLevel.Warning, "'{Peer}' asked for the socket {Address}, which it may not reach: \"{Key}\" of a rule in \"sockets\" gives it")]
    public static partial void AddressRefused(ILogger logger, string peer, string address, string key);

    [LoggerMessage(2260, LogLevel.Warning, "a {Kind} that a program here has passed to '{Peer}' cannot be relayed: {Reason}. The program there gets a descriptor with which every call fails (EBADF)")]
    public static partial void NotAttached(ILogger logger, string kind, string peer, string reason);

    [LoggerMessage(2046, LogLevel.Debug, "a connection of '{Peer}' with the socket {Address} (uid {Uid}) was not made: errno {Errno}")]
    public static partial void AddressFailed(ILogger logger, string peer, string address, uint uid, int errno);
}
