using Dpu.Qtfs.Mount.Fifos;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Sockets;

/// <summary>What carries the connections of a mount's sockets to their host. Thread-safe.</summary>
public interface ISocketRelays
{
    /// <summary>Serves a socket that is bound to a file of the mount: from when this returns, programs may connect to it.</summary>
    /// <param name="socket">Which.</param>
    /// <param name="bound">The bound socket, owned from now on.</param>
    /// <exception cref="IOException">It cannot be listened on.</exception>
    ISocketRelay Serve(RemoteSocket socket, SafeFileHandle bound);

    /// <summary>Gives the host's programs a socket that a program here has bound.</summary>
    IOfferedSocket Offer(OfferedHere socket);

    /// <summary>A FIFO's way to the host, which is not asked for yet.</summary>
    IAskedFifo Ask(RemoteFifo fifo);
}

/// <summary>A socket that is being served.</summary>
public interface ISocketRelay
{
    /// <summary>Nobody can connect any more; connections that there are go on.</summary>
    void StopListening();

    /// <summary>As <see cref="StopListening"/>, and the connections break off.</summary>
    void BreakOff();
}

/// <summary>A socket of a host, as a mount has found it.</summary>
/// <param name="Host">The host's name.</param>
/// <param name="Target">The mount point.</param>
/// <param name="MountId">The mount's number in the session, of the moment.</param>
/// <param name="Node">The socket's node.</param>
/// <param name="Type">SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.</param>
public sealed record RemoteSocket(string Host, string Target, Func<ulong> MountId, ulong Node, int Type)
{
    /// <summary>Its address, outside of every mount; null for the node.</summary>
    public string? Address { get; init; }
}
