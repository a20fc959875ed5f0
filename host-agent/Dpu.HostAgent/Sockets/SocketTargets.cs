using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.Relay;

namespace Dpu.HostAgent.Sockets;

/// <summary>What DPUs may connect to, the sockets of their mounts that the exports' policy names, and those that they have bound.</summary>
/// <param name="exports">The mounts and their policy.</param>
public sealed class SocketTargets(ExportService exports) : IRelayTargets
{
    /// <inheritdoc/>
    public HelloReply Admit(LinkPeer peer, Hello hello) => exports.AdmitSocket(peer, hello);

    /// <inheritdoc/>
    public int Connect(LinkConnection connection, out RelayTarget? target)
    {
        int error = exports.ConnectSocket(connection, out ServedSocket? socket);
        target = socket is null ? null : new RelayTarget(socket.Socket, socket.Speaker, socket.Join, socket.Leave) { Visitor = socket.Visitor };
        return error;
    }
}
