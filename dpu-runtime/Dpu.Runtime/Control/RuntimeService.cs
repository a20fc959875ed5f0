using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.Proto.V1;
using Dpu.Qtfs;
using Dpu.Runtime.Events;
using Dpu.Runtime.Forwards;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;
using Dpu.Runtime.Processes;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;

namespace Dpu.Runtime.Control;

/// <summary>The runtime's control interface, <c>dpu.v1.Runtime</c>.</summary>
public sealed class RuntimeService(
    DaemonStatusSource daemon,
    Microsoft.Extensions.Hosting.IHostApplicationLifetime lifetime,
    HostLinks hosts,
    MountManager mounts,
    Dpu.Relay.RelayHub relays,
    ForwardTable forwards,
    ProcessTable processes,
    EventHub events,
    ReloadCoordinator<RuntimeConfiguration> reload) : Dpu.Proto.V1.Runtime.RuntimeBase
{
    /// <inheritdoc/>
    public override Task<RuntimeStatus> GetRuntimeStatus(GetRuntimeStatusRequest request, ServerCallContext context)
    {
        var status = new RuntimeStatus { Daemon = daemon.Get() };
        status.Hosts.AddRange(hosts.All.Select(ToMessage));
        status.Mounts.AddRange(mounts.All);
        status.Keeper = mounts.Keeper;
        return Task.FromResult(status);
    }

    /// <inheritdoc/>
    public override Task<ListHostsResponse> ListHosts(ListHostsRequest request, ServerCallContext context)
    {
        var response = new ListHostsResponse();
        response.Hosts.AddRange(Paging.Page(hosts.All, request.PageSize, request.PageToken, out string next).Select(ToMessage));
        response.NextPageToken = next;
        return Task.FromResult(response);
    }

    /// <inheritdoc/>
    public override Task<Host> GetHost(GetHostRequest request, ServerCallContext context)
    {
        HostLink? host = hosts.Find(request.Name.StartsWith("hosts/", StringComparison.Ordinal) ? request.Name["hosts/".Length..] : request.Name);
        return host is null
            ? throw Refuse(StatusCode.NotFound, $"no host '{request.Name}' is configured; 'dpuctl host list' lists them")
            : Task.FromResult(ToMessage(host));
    }

    /// <inheritdoc/>
    public override Task<ListMountsResponse> ListMounts(ListMountsRequest request, ServerCallContext context)
    {
        var response = new ListMountsResponse();
        response.Mounts.AddRange(Paging.Page(mounts.All, request.PageSize, request.PageToken, out string next));
        response.NextPageToken = next;
        return Task.FromResult(response);
    }

    /// <inheritdoc/>
    public override Task<Mount> GetMount(GetMountRequest request, ServerCallContext context) =>
        Task.FromResult(mounts.All.FirstOrDefault(mount => mount.Name == request.Name)
            ?? throw Refuse(StatusCode.NotFound, $"no mount '{request.Name}'; 'dpuctl mounts' lists them"));

    /// <inheritdoc/>
    public override Task<ListSocketRelaysResponse> ListSocketRelays(ListSocketRelaysRequest request, ServerCallContext context)
    {
        var response = new ListSocketRelaysResponse();
        response.SocketRelays.AddRange(Paging.Page(relays.Relays, request.PageSize, request.PageToken, out string next).Select(relay => new SocketRelay
        {
            Name = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"socketRelays/{relay.Id}"),
            Host = "hosts/" + relay.Info.Peer,
            Path = relay.Info.Path,
            Direction = relay.Info.Fifo switch { Dpu.Relay.FifoFlow.ToHost => "toHost", Dpu.Relay.FifoFlow.ToDpu => "toDpu", _ => "" },
            Type = relay.Info.Fifo != Dpu.Relay.FifoFlow.None ? "fifo" : relay.Info.Kind switch { Dpu.Relay.SocketKind.Datagram => "datagram", Dpu.Relay.SocketKind.SeqPacket => "seqpacket", _ => "stream" },
            Pid = relay.Info.Pid,
            Uid = relay.Info.Uid,
            Gid = relay.Info.Gid,
            StartTime = Timestamp.FromDateTimeOffset(relay.Started),
            SentBytes = (ulong)relay.Sent,
            ReceivedBytes = (ulong)relay.Received,
            Away = relay.Away,
        }));
        response.NextPageToken = next;
        return Task.FromResult(response);
    }

    /// <inheritdoc/>
    public override Task<ListForwardsResponse> ListForwards(ListForwardsRequest request, ServerCallContext context)
    {
        var response = new ListForwardsResponse();
        response.Forwards.AddRange(Paging.Page(forwards.All, request.PageSize, request.PageToken, out string next));
        response.NextPageToken = next;
        return Task.FromResult(response);
    }

    /// <inheritdoc/>
    public override Task<Dpu.Proto.V1.Forward> CreateForward(CreateForwardRequest request, ServerCallContext context)
    {
        Dpu.Proto.V1.Forward wanted = request.Forward ?? throw Refuse(StatusCode.InvalidArgument, "forward is missing");
        return OnOwnThread(() => forwards.Create(wanted));
    }

    /// <inheritdoc/>
    public override Task<Empty> DeleteForward(DeleteForwardRequest request, ServerCallContext context) => OnOwnThread(() =>
    {
        forwards.Delete(request.Name, request.Address);
        return new Empty();
    });

    /// <inheritdoc/>
    public override Task<ListProcessesResponse> ListProcesses(ListProcessesRequest request, ServerCallContext context)
    {
        var response = new ListProcessesResponse();
        response.Processes.AddRange(Paging.Page(processes.All, request.PageSize, request.PageToken, out string next).Select(process => process.ToMessage()));
        response.NextPageToken = next;
        return Task.FromResult(response);
    }

    /// <inheritdoc/>
    public override Task<HostProcess> GetProcess(GetProcessRequest request, ServerCallContext context) =>
        Task.FromResult(ProcessOf(request.Name).ToWholeMessage());

    /// <inheritdoc/>
    public override Task<Empty> KillProcess(KillProcessRequest request, ServerCallContext context)
    {
        if (request.Signal is < 0 or > Dpu.Relay.Processes.ProcessSignal.Most)
        {
            throw Refuse(StatusCode.InvalidArgument, $"{request.Signal} is no signal: 1 to {Dpu.Relay.Processes.ProcessSignal.Most}, or 0 to end the process as its policy says");
        }

        return processes.Kill(ProcessOf(request.Name).Id, request.Signal)
            ? Task.FromResult(new Empty())
            : throw Refuse(StatusCode.FailedPrecondition, $"process '{request.Name}' has ended");
    }

    /// <inheritdoc/>
    public override Task<ListMountStatsResponse> ListMountStats(ListMountStatsRequest request, ServerCallContext context)
    {
        var response = new ListMountStatsResponse();
        response.MountStats.AddRange(Paging.Page(mounts.Stats, StatisticsMessages.PageSize(request.PageSize), request.PageToken, out string next));
        response.NextPageToken = next;
        return Task.FromResult(response);
    }

    /// <inheritdoc/>
    public override Task<MountStats> GetMountStats(GetMountStatsRequest request, ServerCallContext context) =>
        Task.FromResult(mounts.Stats.FirstOrDefault(stats => stats.Name == request.Name)
            ?? throw Refuse(StatusCode.NotFound, $"no '{request.Name}'; a name is 'mounts/ID/stats', and 'dpuctl mounts --json' lists the ids"));

    /// <inheritdoc/>
    public override Task<Mount> CreateMount(CreateMountRequest request, ServerCallContext context)
    {
        Mount wanted = request.Mount ?? throw Refuse(StatusCode.InvalidArgument, "mount is missing");
        return OnOwnThread(() => mounts.Create(MountRequest.Check(wanted)));
    }

    /// <inheritdoc/>
    public override Task<Empty> DeleteMount(DeleteMountRequest request, ServerCallContext context)
    {
        bool byTarget = request.Name is "" or "mounts/-";
        if (byTarget && request.Target.Length == 0)
        {
            throw Refuse(StatusCode.InvalidArgument, "name a mount: name 'mounts/ID', or 'mounts/-' with its target");
        }

        string target = MountRequest.Normalize(request.Target);
        return OnOwnThread(() =>
        {
            mounts.Delete(
                mount => byTarget ? mount.Target == target : mount.Name == request.Name,
                request.Lazy,
                request.Recursive,
                byTarget ? $"at {target}" : $"named {request.Name}");
            return new Empty();
        });
    }

    /// <inheritdoc/>
    public override async Task WatchEvents(WatchEventsRequest request, IServerStreamWriter<Event> responseStream, ServerCallContext context)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, lifetime.ApplicationStopping);
        try
        {
            await WatchAsync(responseStream, ending.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested)
        {
            // Expected: without a status of ours the watcher would take the stop for a broken connection.
            throw new RpcException(new Status(StatusCode.Unavailable, "the runtime is stopping"));
        }
    }

    /// <inheritdoc/>
    public override Task<ReloadRuntimeResponse> ReloadRuntime(ReloadRuntimeRequest request, ServerCallContext context) => OnOwnThread(() =>
    {
        ReloadOutcome outcome = reload.Reload();
        var response = new ReloadRuntimeResponse();
        response.Applied.AddRange(outcome.Applied);
        response.NeedsRestart.AddRange(outcome.NeedsRestart);
        return response;
    });

    private Processes.ProcessInfo ProcessOf(string name)
    {
        const string Prefix = "processes/";
        return name.StartsWith(Prefix, StringComparison.Ordinal) && Guid.TryParseExact(name[Prefix.Length..], "N", out Guid id)
            && processes.All.FirstOrDefault(process => process.Id == id) is { } found
            ? found
            : throw Refuse(StatusCode.NotFound, $"no process '{name}'; 'dpuctl ps --all' lists them");
    }

    private async Task WatchAsync(IServerStreamWriter<Event> stream, CancellationToken ending)
    {
        // Watching begins before the present state is taken, so that no change falls between both.
        using EventHub.Subscription subscription = events.Watch();
        foreach (HostLink host in hosts.All)
        {
            await stream.WriteAsync(new Event { Severity = Severity.Info, Code = "HostState", Message = $"host '{host.HostName}' is {host.State.State}", Host = host.ToMessage() }, ending).ConfigureAwait(false);
        }

        foreach (Mount mount in mounts.All)
        {
            await stream.WriteAsync(new Event { Severity = Severity.Info, Code = "MountState", Message = $"{mount.Target} is {mount.State}", Mount = mount }, ending).ConfigureAwait(false);
        }

        await foreach (Event happened in subscription.Events.ReadAllAsync(ending).ConfigureAwait(false))
        {
            await stream.WriteAsync(happened, ending).ConfigureAwait(false);
        }
    }

    // Mounting dials and handshakes, unmounting writes back: both block, and must not block the thread pool.
    private static async Task<T> OnOwnThread<T>(Func<T> work)
    {
        try
        {
            return await Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
        }
        catch (MountException e)
        {
            throw Refuse(e.Code, e.Message);
        }
        catch (ConfigurationException e)
        {
            throw Refuse(StatusCode.FailedPrecondition, e.Message);
        }
    }

    private Host ToMessage(HostLink link)
    {
        Host message = link.ToMessage();
        foreach (Mount mount in mounts.All.Where(mount => mount.Host == link.HostName && mount.Counters is not null))
        {
            message.Repeats += mount.Counters.Repeats;
            message.UnknownOutcome += mount.Counters.UnknownOutcome;
            message.Recovered += mount.Counters.Recovered;
            message.TakenOver += mount.Counters.TakenOver;
            message.HostReturns += mount.Counters.HostReturns;
            message.Reopened += mount.Counters.Reopened;
            message.StaleFiles += mount.Counters.StaleFiles;
            message.LostLocks += mount.Counters.LostLocks;
        }

        return message;
    }

    private static RpcException Refuse(StatusCode code, string message) => new(new Grpc.Core.Status(code, message));
}
