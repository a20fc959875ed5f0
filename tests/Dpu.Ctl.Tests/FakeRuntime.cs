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

    /// <summary>Figures of one mount; each read finds as many requests more, a second later.</summary>
    public int StatsReads { get; private set; }

    /// <summary>Whether it is of a version that does not know figures yet.</summary>
    public bool IsOld { get; set; }

    public override Task<ListMountStatsResponse> ListMountStats(ListMountStatsRequest request, ServerCallContext context)
    {
        if (IsOld)
        {
            throw new RpcException(new Status(StatusCode.Unimplemented, "unknown"));
        }

        // Two pages, the second a mount that waits.
        if (request.PageToken.Length > 0)
        {
            return Task.FromResult(new ListMountStatsResponse
            {
                MountStats = { new MountStats { Name = "mounts/2/stats", Host = "host2", Export = "e", Target = "/mnt/waiting", State = MountState.Waiting, HostState = LinkState.Down, SampleTime = Timestamp.FromDateTime(DateTime.UnixEpoch) } },
            });
        }

        ulong reads = (ulong)++StatsReads;
        var started = DateTimeOffset.UnixEpoch;
        OperationStats Of(string operation, ulong requests, ulong errors, ulong nanoseconds) => new()
        {
            Operation = operation,
            Requests = requests * reads,
            Errors = errors * reads,
            RequestBytes = requests * reads * 100,
            ReplyBytes = requests * reads * 4096,
            TotalLatency = Duration.FromTimeSpan(TimeSpan.FromTicks((long)(requests * reads * nanoseconds / 100))),
            MaxLatency = Duration.FromTimeSpan(TimeSpan.FromTicks((long)nanoseconds * 2 / 100)),
            LatencyBuckets = { new LatencyBucket { OverNs = 0, UpToNs = 2 * nanoseconds, Count = requests * reads } },
        };
        var stats = new MountStats
        {
            Name = "mounts/1/stats",
            Host = "host1",
            Export = "evil\u001b[31m",
            Target = "/mnt/x",
            State = MountState.Mounted,
            HostState = LinkState.Up,
            MountTime = Timestamp.FromDateTimeOffset(started),
            SampleTime = Timestamp.FromDateTimeOffset(started.AddSeconds(9 + reads)),
            Counters = new MountCounters { Repeats = 3, Interrupts = 2, UnknownOutcome = 1 },
            Operations = { Of("FUSE_LOOKUP", 10, 4, 50_000), Of("FUSE_READ", 30, 0, 1_000_000) },
        };
        stats.Operations[1].InFlight = 1;
        return Task.FromResult(new ListMountStatsResponse { MountStats = { stats }, NextPageToken = "2" });
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
