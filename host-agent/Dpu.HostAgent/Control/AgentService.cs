using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;

namespace Dpu.HostAgent.Control;

/// <summary>
/// The agent's control interface, <c>dpu.v1.Agent</c>. A DPU sees its own sessions and exports and can change nothing;
/// root on the host sees all.
/// </summary>
public sealed class AgentService(
    DaemonStatusSource daemon,
    ExportService exports,
    LinkListener listener,
    ReloadCoordinator<HostAgentConfiguration> reload) : Agent.AgentBase
{
    /// <inheritdoc/>
    public override Task<AgentStatus> GetAgentStatus(GetAgentStatusRequest request, ServerCallContext context)
    {
        string? peer = RemotePeer(context);
        var status = new AgentStatus { Daemon = daemon.Get() };
        if (peer is null)
        {
            status.Listening.AddRange(listener.Bound.Select(endpoint => endpoint.ToString()));
        }
        else
        {
            // Where the host keeps its configuration is not a DPU's business.
            status.Daemon.ConfigurationFile = "";
        }

        status.Sessions.AddRange(exports.Sessions(peer).Select(ToMessage));
        return Task.FromResult(status);
    }

    /// <inheritdoc/>
    public override Task<ListExportsResponse> ListExports(ListExportsRequest request, ServerCallContext context)
    {
        string? peer = RemotePeer(context);
        ExportDefinition[] visible = [.. exports.Exports.Where(export => peer is null || export.Peers.Contains(peer)).OrderBy(export => export.Name, StringComparer.Ordinal)];
        var response = new ListExportsResponse();
        foreach (ExportDefinition export in Paging.Page(visible, request.PageSize, request.PageToken, out string next))
        {
            var message = new Export { Name = "exports/" + export.Name, Path = export.Path, ReadOnly = export.ReadOnly };
            message.Peers.AddRange(peer is null ? export.Peers.Order(StringComparer.Ordinal) : [peer]);
            response.Exports.Add(message);
            response.NextPageToken = next;
        }

        return Task.FromResult(response);
    }

    /// <inheritdoc/>
    public override Task<ListSessionsResponse> ListSessions(ListSessionsRequest request, ServerCallContext context)
    {
        var response = new ListSessionsResponse();
        response.Sessions.AddRange(
            Paging.Page(exports.Sessions(RemotePeer(context)), request.PageSize, request.PageToken, out string next).Select(ToMessage));
        response.NextPageToken = next;
        return Task.FromResult(response);
    }

    /// <inheritdoc/>
    public override Task<ReloadAgentResponse> ReloadAgent(ReloadAgentRequest request, ServerCallContext context)
    {
        if (RemotePeer(context) is { } peer)
        {
            throw new RpcException(new Grpc.Core.Status(StatusCode.PermissionDenied, $"'{peer}' may not reload the agent; only root on the host may"));
        }

        try
        {
            ReloadOutcome outcome = reload.Reload();
            var response = new ReloadAgentResponse();
            response.Applied.AddRange(outcome.Applied);
            response.NeedsRestart.AddRange(outcome.NeedsRestart);
            return Task.FromResult(response);
        }
        catch (ConfigurationException e)
        {
            throw new RpcException(new Grpc.Core.Status(StatusCode.FailedPrecondition, e.Message));
        }
    }

    private static Session ToMessage(ExportSessionSnapshot session) => new()
    {
        Name = "sessions/" + session.Id,
        Peer = session.Peer,
        StartTime = Timestamp.FromDateTimeOffset(session.Started),
        Connections = session.Connections,
        Mounts = session.Mounts,
        OpenNodes = (ulong)session.OpenNodes,
        OpenHandles = (ulong)session.OpenHandles,
        Requests = (ulong)session.Requests,
        Refused = (ulong)session.Refused,
    };

    /// <summary>The name of the DPU that asks; null for root on this host.</summary>
    private static string? RemotePeer(ServerCallContext context)
    {
        ControlPeer peer = ControlPeer.Of(context.GetHttpContext());
        return peer.Kind == ControlPeerKind.Local ? null : peer.Name;
    }
}
