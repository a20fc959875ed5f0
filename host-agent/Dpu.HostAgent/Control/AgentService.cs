using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs;
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
    ReloadCoordinator<HostAgentConfiguration> reload,
    TimeProvider time) : Agent.AgentBase
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
        status.Protected = exports.IsProtected;
        status.RestoredSessions = exports.RestoredSessions;
        status.UnknownOutcomes = (ulong)exports.UnknownOutcomes;
        status.ReplayedAnswers = (ulong)exports.ReplayedAnswers;
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
    public override Task<ListExportStatsResponse> ListExportStats(ListExportStatsRequest request, ServerCallContext context)
    {
        var now = Timestamp.FromDateTimeOffset(time.GetUtcNow());
        var response = new ListExportStatsResponse();
        response.ExportStats.AddRange(
            Paging.Page(exports.Statistics(RemotePeer(context)), StatisticsMessages.PageSize(request.PageSize), request.PageToken, out string next)
                .Select(mount => ToMessage(mount, now)));
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

    private static ExportStats ToMessage(ExportMountStatistics mount, Timestamp now)
    {
        var message = new ExportStats
        {
            Name = $"sessions/{mount.Session}/mounts/{mount.Id:x}/stats",
            Peer = mount.Peer,
            Export = mount.Export,
            Path = mount.Path,
            ReadOnly = mount.ReadOnly,
            MountTime = Timestamp.FromDateTimeOffset(mount.Started),
            SampleTime = now,
            Connections = mount.Lanes,
            OpenNodes = (ulong)mount.OpenNodes,
            OpenHandles = (ulong)mount.OpenHandles,
            Refused = (ulong)mount.Refused,
        };
        message.Operations.AddRange(StatisticsMessages.Operations(mount.Operations, mount.OpcodesInFlight));
        return message;
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
