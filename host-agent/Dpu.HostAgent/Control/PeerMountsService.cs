using Dpu.Hosting.Control;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Grpc.Core;

namespace Dpu.HostAgent.Control;

/// <summary>What DPUs have mounted on this host, <c>dpu.v1.PeerMounts</c>: for DPUs on the link alone, each by the rules of its exports.</summary>
/// <param name="exports">Does it.</param>
public sealed class PeerMountsService(ExportService exports) : PeerMounts.PeerMountsBase
{
    /// <summary>Which of the agent's keepings has what must outlive it.</summary>
    public const string KeptAs = "peermounts";

    /// <inheritdoc/>
    public override Task<ChangeMountResponse> ChangeMount(ChangeMountRequest request, ServerCallContext context)
    {
        ControlPeer peer = ControlPeer.Of(context.GetHttpContext());
        if (peer.Kind != ControlPeerKind.Link)
        {
            throw new RpcException(new Status(StatusCode.PermissionDenied, "DPUs alone ask for mounts, on their link"));
        }

        // It may wait for a disk, or for the same call of before.
        return Task.Factory.StartNew(() => exports.ChangeMount(peer.Name, request), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }
}
