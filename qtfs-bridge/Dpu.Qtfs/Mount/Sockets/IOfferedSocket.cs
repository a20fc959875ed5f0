using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Sockets;

/// <summary>A socket that a program here has bound, for the host's programs. Thread-safe.</summary>
public interface IOfferedSocket
{
    /// <summary>Its program listens: the host's programs may connect.</summary>
    void Listen();

    /// <summary>It is closed: who connects on the host is refused. Connections that there are go on.</summary>
    void End();

    /// <summary>As <see cref="End"/>, and the connections break off; the host need not be told.</summary>
    void BreakOff();
}

/// <summary>What a program here has bound.</summary>
/// <param name="Host">The host's name.</param>
/// <param name="Target">The mount point.</param>
/// <param name="MountId">The mount's number in the session, of the moment.</param>
/// <param name="Node">The socket's node.</param>
/// <param name="Type">SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.</param>
/// <param name="Uid">The program's user.</param>
/// <param name="Gid">Its group.</param>
/// <param name="Pid">Its process.</param>
/// <param name="Connect">Connects to it.</param>
public sealed record OfferedHere(string Host, string Target, Func<ulong> MountId, ulong Node, int Type, uint Uid, uint Gid, int Pid, ConnectVisitor Connect)
{
    /// <summary>Where the host is to listen, outside of every mount; null for a socket of the mount.</summary>
    public Dpu.Proto.V1.HostListener? Listener { get; init; }

    /// <summary>Told why the host does not listen there at the moment; empty where it does.</summary>
    public Action<string>? Told { get; init; }
}

/// <summary>Connects to a socket of this machine for a program of the host. Waits for a short time at most.</summary>
/// <param name="uid">The user that its program shall see.</param>
/// <param name="gid">The group.</param>
/// <param name="connected">The connection.</param>
/// <returns>0 or a negated errno; EAGAIN where the queue is full.</returns>
public delegate int ConnectVisitor(uint uid, uint gid, out SafeFileHandle? connected);
