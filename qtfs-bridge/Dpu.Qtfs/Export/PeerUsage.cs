using Dpu.Fuse;

namespace Dpu.Qtfs.Export;

/// <summary>What one peer uses at the moment, against its limits. Thread-safe.</summary>
internal sealed class PeerUsage
{
    private readonly Lock _lock = new();
    private TokenBucket _requests;
    private TokenBucket _bytes;

    public PeerUsage(string name, ExportLimits limits)
    {
        Name = name;
        Limits = limits;
        Nodes = new ResourceBudget(limits.OpenNodes);
        Handles = new ResourceBudget(limits.OpenHandles);
        _requests = new TokenBucket(limits.RequestsPerSecond);
        _bytes = new TokenBucket(limits.BytesPerSecond);
    }

    public string Name { get; }

    public ExportLimits Limits { get; private set; }

    public ResourceBudget Nodes { get; }

    public ResourceBudget Handles { get; }

    /// <summary>Takes new limits; what is in use beyond them stays in use.</summary>
    public void Change(ExportLimits limits)
    {
        lock (_lock)
        {
            if (limits == Limits)
            {
                return;
            }

            Limits = limits;
            Nodes.Limit = limits.OpenNodes;
            Handles.Limit = limits.OpenHandles;
            Volatile.Write(ref _requests, new TokenBucket(limits.RequestsPerSecond));
            Volatile.Write(ref _bytes, new TokenBucket(limits.BytesPerSecond));
        }
    }

    /// <summary>How long a request of <paramref name="bytes"/> must wait before it is executed.</summary>
    /// <param name="bytes">Request and last reply, in bytes.</param>
    /// <param name="now">A monotonic time in ticks of 100 ns.</param>
    public TimeSpan Charge(long bytes, long now)
    {
        TimeSpan byRequests = Volatile.Read(ref _requests).Take(1, now);
        TimeSpan byBytes = Volatile.Read(ref _bytes).Take(bytes, now);
        return byRequests > byBytes ? byRequests : byBytes;
    }
}
