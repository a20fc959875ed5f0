using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Sockets;

namespace Dpu.Qtfs.Mount;

/// <summary>What a mount needs of the link to its host. Thread-safe.</summary>
public interface IHostConnector
{
    /// <summary>The host's name.</summary>
    string HostName { get; }

    /// <summary>Whether the link is up, as far as its keep-alive knows.</summary>
    bool IsUp { get; }

    /// <summary>Rises whenever the link has gone down: a connection made under another value is not to be trusted.</summary>
    long Epoch { get; }

    /// <summary>How long the link has been down; zero while it is up.</summary>
    TimeSpan DownFor { get; }

    /// <summary>Waits until <see cref="IsUp"/>; false where <paramref name="limit"/> passed first.</summary>
    bool WaitUp(TimeSpan limit);

    /// <summary>What carries connections of sockets; null where nothing does.</summary>
    ISocketRelays? Sockets => null;

    /// <summary>Opens a lane; blocks for the time of a handshake at most.</summary>
    /// <exception cref="LinkException">The host is not reachable or refused.</exception>
    LinkConnection DialLane(FsParameters parameters, CancellationToken stopping);
}
