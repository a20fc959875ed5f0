using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.Relay;

namespace Dpu.HostAgent.Sockets;

/// <summary>What DPUs may connect to: the sockets of their mounts that the exports' policy names.</summary>
/// <param name="exports">The mounts and their policy.</param>
public sealed class SocketTargets(ExportService exports) : IRelayTargets
{
    /// <inheritdoc/>
    public HelloReply Admit(LinkPeer peer, Hello hello) => exports.AdmitSocket(peer, hello);

    /// <inheritdoc/>
    public int Connect(LinkPeer peer, Hello hello, out RelayTarget? target)
    {
        int error = exports.ConnectSocket(peer, hello, out SafeHandle? socket, out ucred speaker, out Func<IDisposable, bool> join, out Action<IDisposable> leave);
        target = error < 0 ? null : new RelayTarget(socket!, speaker, join, leave);
        return error;
    }
}
