using System.Threading.Channels;
using Grpc.Core;
using Grpc.Health.V1;
using static Grpc.Health.V1.HealthCheckResponse.Types;

namespace Grpc.HealthCheck;

/// <summary>The standard health service (grpc/health/v1): Check, and Watch with every change. Thread-safe.</summary>
/// <remarks>The empty name is the whole server. Register one object as a singleton and map it.</remarks>
public sealed class HealthServiceImpl : Grpc.Health.V1.Health.HealthBase
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, ServingStatus> statuses = [];
    private readonly Dictionary<string, HashSet<Channel<ServingStatus>>> watchers = [];

    /// <summary>How many Watch calls are under way.</summary>
    public int WatcherCount
    {
        get
        {
            lock (gate)
            {
                return watchers.Values.Sum(set => set.Count);
            }
        }
    }

    /// <summary>Sets a service's status and tells those who watch it.</summary>
    /// <param name="service">The full name, e.g. <c>dpu.v1.Runtime</c>; empty for the whole server.</param>
    /// <param name="status">The status.</param>
    public void SetStatus(string service, ServingStatus status)
    {
        ArgumentNullException.ThrowIfNull(service);
        lock (gate)
        {
            statuses[service] = status;
            Tell(service, status);
        }
    }

    /// <summary>Forgets a service: Check answers NOT_FOUND, Watch SERVICE_UNKNOWN.</summary>
    public void ClearStatus(string service)
    {
        ArgumentNullException.ThrowIfNull(service);
        lock (gate)
        {
            if (statuses.Remove(service))
            {
                Tell(service, ServingStatus.ServiceUnknown);
            }
        }
    }

    /// <summary>Forgets all services.</summary>
    public void ClearAll()
    {
        lock (gate)
        {
            foreach (string service in statuses.Keys.ToList())
            {
                statuses.Remove(service);
                Tell(service, ServingStatus.ServiceUnknown);
            }
        }
    }

    /// <inheritdoc/>
    public override Task<HealthCheckResponse> Check(HealthCheckRequest request, ServerCallContext context)
    {
        ArgumentNullException.ThrowIfNull(request);
        lock (gate)
        {
            return statuses.TryGetValue(request.Service, out ServingStatus status)
                ? Task.FromResult(new HealthCheckResponse { Status = status })
                : throw new RpcException(new Status(StatusCode.NotFound, $"The health of '{request.Service}' is not known."));
        }
    }

    /// <inheritdoc/>
    public override async Task Watch(HealthCheckRequest request, IServerStreamWriter<HealthCheckResponse> responseStream, ServerCallContext context)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(responseStream);
        ArgumentNullException.ThrowIfNull(context);

        // Room for one: a watcher that reads slowly learns the present status, not its history.
        var changes = Channel.CreateBounded<ServingStatus>(new BoundedChannelOptions(1)
        {
            FullMode = BoundedChannelFullMode.DropOldest,
            SingleReader = true,
        });
        Add(request.Service, changes);
        try
        {
            ServingStatus? last = null;
            await foreach (ServingStatus status in changes.Reader.ReadAllAsync(context.CancellationToken).ConfigureAwait(false))
            {
                if (status != last)
                {
                    await responseStream.WriteAsync(new HealthCheckResponse { Status = status }, context.CancellationToken).ConfigureAwait(false);
                    last = status;
                }
            }
        }
        finally
        {
            Remove(request.Service, changes);
        }
    }

    private void Add(string service, Channel<ServingStatus> changes)
    {
        lock (gate)
        {
            if (!watchers.TryGetValue(service, out HashSet<Channel<ServingStatus>>? set))
            {
                watchers[service] = set = [];
            }

            set.Add(changes);
            changes.Writer.TryWrite(statuses.GetValueOrDefault(service, ServingStatus.ServiceUnknown));
        }
    }

    private void Remove(string service, Channel<ServingStatus> changes)
    {
        lock (gate)
        {
            if (watchers.TryGetValue(service, out HashSet<Channel<ServingStatus>>? set) && set.Remove(changes) && set.Count == 0)
            {
                // A client may watch any name: none is kept longer than its watchers.
                watchers.Remove(service);
            }
        }
    }

    private void Tell(string service, ServingStatus status)
    {
        if (watchers.TryGetValue(service, out HashSet<Channel<ServingStatus>>? set))
        {
            foreach (Channel<ServingStatus> changes in set)
            {
                changes.Writer.TryWrite(status);
            }
        }
    }
}
