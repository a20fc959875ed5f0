using Dpu.Proto.V1;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;

namespace Dpu.Ctl.Tests;

/// <summary>A runtime that mounts nothing and answers as one would.</summary>
internal sealed class FakeRuntime : Runtime.RuntimeBase
{
    public CreateMountRequest? Created { get; private set; }

    public DeleteMountRequest? Deleted { get; private set; }

    public List<Mount> Mounts { get; } = [];

    /// <summary>A host whose every word is hostile.</summary>
    public Host Host { get; } = new()
    {
        Name = "hosts/host1",
        Endpoint = "tcp://192.0.2.1:7443",
        State = LinkState.Up,
        StateTime = Timestamp.FromDateTimeOffset(TimeProvider.System.GetUtcNow().AddHours(-3)),
        LastError = "evil \u001b[31m\u202etext",
        RoundTrip = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(1.5)),
        Agent = new DaemonStatus { Program = "dpu-host-agent", Version = "0.1.0" },
    };

    public override Task<RuntimeStatus> GetRuntimeStatus(GetRuntimeStatusRequest request, ServerCallContext context)
    {
        var status = new RuntimeStatus
        {
            Daemon = new DaemonStatus
            {
                Program = "dpu-runtime",
                Version = "9.9.9",
                Name = "dpu1",
                Pid = 42,
                Notices = { new Notice { Severity = Severity.Warning, Code = "certificate-expires", Message = "The certificate expires in 3 days." } },
            },
        };
        status.Hosts.Add(Host);
        status.Mounts.Add(Mounts);
        return Task.FromResult(status);
    }

    // Two pages, so that the client must go on.
    public override Task<ListMountsResponse> ListMounts(ListMountsRequest request, ServerCallContext context)
    {
        int from = request.PageToken.Length == 0 ? 0 : int.Parse(request.PageToken, System.Globalization.CultureInfo.InvariantCulture);
        var response = new ListMountsResponse();
        response.Mounts.Add(Mounts.Skip(from).Take(1));
        response.NextPageToken = from + 1 < Mounts.Count ? (from + 1).ToString(System.Globalization.CultureInfo.InvariantCulture) : string.Empty;
        return Task.FromResult(response);
    }

    public override Task<ListHostsResponse> ListHosts(ListHostsRequest request, ServerCallContext context) =>
        Task.FromResult(new ListHostsResponse { Hosts = { Host } });

    public override Task<Host> GetHost(GetHostRequest request, ServerCallContext context) => request.Name == Host.Name
        ? Task.FromResult(Host)
        : throw new RpcException(new Status(StatusCode.NotFound, $"there is no {request.Name}"));

    public override Task<Mount> CreateMount(CreateMountRequest request, ServerCallContext context)
    {
        Created = request;
        if (request.Mount.Host != "host1")
        {
            throw new RpcException(new Status(StatusCode.NotFound, $"there is no host {request.Mount.Host}"));
        }

        if (Mounts.Any(m => m.Target == request.Mount.Target))
        {
            throw new RpcException(new Status(StatusCode.AlreadyExists, $"{request.Mount.Target} is mounted already"));
        }

        Mount mount = request.Mount.Clone();
        mount.Name = "mounts/1";
        mount.State = MountState.Mounted;
        mount.Counters = new MountCounters { Requests = 7, BytesReceived = 3 << 20 };
        Mounts.Add(mount);
        return Task.FromResult(mount);
    }

    public override Task<Empty> DeleteMount(DeleteMountRequest request, ServerCallContext context)
    {
        Deleted = request;
        return Mounts.RemoveAll(m => m.Target == request.Target) > 0
            ? Task.FromResult(new Empty())
            : throw new RpcException(new Status(StatusCode.NotFound, $"nothing of ours is mounted on {request.Target}"));
    }

    public override async Task WatchEvents(WatchEventsRequest request, IServerStreamWriter<Event> responseStream, ServerCallContext context)
    {
        await responseStream.WriteAsync(new Event { Id = 2101, Code = "HostUp", Severity = Severity.Info, Message = "host1 is up", Host = Host });
        await responseStream.WriteAsync(new Event { Id = 2102, Code = "HostDown", Severity = Severity.Error, Message = "down", Host = Host });
        await Task.Delay(Timeout.InfiniteTimeSpan, context.CancellationToken);
    }

    /// <summary>Never answers, for time limits.</summary>
    public override async Task<ReloadRuntimeResponse> ReloadRuntime(ReloadRuntimeRequest request, ServerCallContext context)
    {
        await Task.Delay(Timeout.InfiniteTimeSpan, context.CancellationToken);
        return new ReloadRuntimeResponse();
    }
}
