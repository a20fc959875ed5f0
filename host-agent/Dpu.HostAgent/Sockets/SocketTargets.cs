using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.Relay;

namespace Dpu.HostAgent.Sockets;

/// <summary>What DPUs may connect to, the sockets of their mounts that the exports' policy names, and those that they have bound.</summary>
/// <param name="exports">The mounts and their policy.</param>
/// <param name="forwards">What is outside of exports.</param>
public sealed class SocketTargets(ExportService exports, HostForwards forwards) : IRelayTargets
{
    /// <inheritdoc/>
    public HelloReply Admit(LinkPeer peer, Hello hello) => IsForward(hello) ? forwards.Admit(peer, hello.Relay) : exports.AdmitSocket(peer, hello);

    /// <inheritdoc/>
    public int Connect(LinkConnection connection, out RelayTarget? target)
    {
        ArgumentNullException.ThrowIfNull(connection);
        if (IsForward(connection.Hello))
        {
            return forwards.Connect(connection, out target);
        }

        int error = exports.ConnectSocket(connection, out ServedSocket? socket);
        target = socket is null ? null : new RelayTarget(socket.Socket, socket.Speaker, socket.Join, socket.Leave) { Visitor = socket.Visitor };
        return error;
    }

    private static bool IsForward(Hello hello) => hello.Relay.TargetCase is RelayParameters.TargetOneofCase.Address or RelayParameters.TargetOneofCase.Listener;
}
