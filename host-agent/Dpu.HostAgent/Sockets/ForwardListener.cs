using System.Runtime.InteropServices;
using Dpu.Link.Sockets;
using Dpu.Linux;
using Dpu.Relay.Addresses;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Sockets;

/// <summary>Where this machine listens for a peer outside of exports. Thread-safe.</summary>
internal sealed class ForwardListener : IDisposable
{
    private const int Backlog = 4096;

    private readonly BoundAddress _bound;
    private readonly VisitedSocket _visited;

    private ForwardListener(BoundAddress bound, int type, TimeProvider time) => (_bound, _visited) = (bound, new VisitedSocket(bound.Socket, type, time));

    /// <inheritdoc cref="VisitedSocket.Deserted"/>
    public TimeSpan Deserted => _visited.Deserted;

    public static int TryMake(string address, int type, uint mode, uint uid, uint gid, TimeProvider time, out ForwardListener? listener)
    {
        listener = null;
        int error = BoundAddress.TryBind(address, type, mode, uid, gid, out BoundAddress? bound);
        if (bound is null)
        {
            return error;
        }

        if ((error = LibC.SetNonBlocking(bound.Socket)) < 0
            || (type != sys_socket.SOCK_DGRAM && (error = sys_socket.listen(bound.Socket, Backlog) < 0 ? -Marshal.GetLastPInvokeError() : 0) < 0))
        {
            bound.Dispose();
            return error;
        }

        listener = new ForwardListener(bound, type, time);
        return 0;
    }

    /// <summary>Waits for a program (<see cref="VisitedSocket.Accept"/>); 0 or a negated errno, EPIPE where it has ended.</summary>
    public int Accept(SafeHandle peer, out SafeFileHandle? accepted) => _visited.Accept(peer, out accepted) is not -errno.ECONNREFUSED and int result ? result : -errno.EPIPE;

    /// <inheritdoc cref="VisitedSocket.TryJoin"/>
    public bool TryJoin(IDisposable relay) => _visited.TryJoin(relay);

    /// <inheritdoc cref="VisitedSocket.Leave"/>
    public void Leave(IDisposable relay) => _visited.Leave(relay);

    /// <summary>Closes it, and removes its file. Connections that were taken go on.</summary>
    public void Dispose()
    {
        if (_visited.End())
        {
            _bound.Dispose();
        }
    }
}
