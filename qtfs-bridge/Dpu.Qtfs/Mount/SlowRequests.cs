using System.Diagnostics;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Microsoft.Extensions.Logging;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// Tells the log of requests that took long, and, once each, of those that are still waiting. The log bounds how many
/// lines of an event it takes. <see cref="Ended"/> is called by lanes, <see cref="Look"/> by the guard's thread alone.
/// </summary>
/// <param name="options">Whose requests.</param>
/// <param name="limit">From when on they are slow.</param>
/// <param name="logger">The log.</param>
internal sealed class SlowRequests(RemoteMountOptions options, SlowRequestLimit limit, ILogger logger)
{
    // Numbers never come twice on a connection of the kernel, so old ones only take space.
    private const int MaxTold = 1024;

    private readonly HashSet<ulong> _told = [];

    /// <summary>A request has ended.</summary>
    public void Ended(in RequestUnderWay request, TimeSpan latency)
    {
        if (IsSlow(request.Opcode, latency))
        {
            Log.SlowRequest(logger, options.Target, FuseOperationStatistics.NameOf(request.Opcode), request.Node, request.Caller, latency.TotalSeconds, options.Host);
        }
    }

    /// <summary>Tells of the requests that have waited for too long and were not told of yet.</summary>
    /// <param name="pending">All that wait.</param>
    /// <param name="now">The timestamp of <see cref="Stopwatch"/>.</param>
    public void Look(IReadOnlyList<RequestUnderWay> pending, long now)
    {
        foreach (RequestUnderWay request in pending)
        {
            TimeSpan waited = Stopwatch.GetElapsedTime(request.ReadAt, now);
            if (IsSlow(request.Opcode, waited) && _told.Add(request.Unique))
            {
                Log.SlowRequestPending(logger, options.Target, FuseOperationStatistics.NameOf(request.Opcode), request.Node, request.Caller, waited.TotalSeconds, options.Host);
            }
        }

        if (_told.Count > MaxTold)
        {
            _told.IntersectWith(pending.Select(request => request.Unique));
        }
    }

    // Who waits for a lock waits for another process, for as long as that one likes.
    private bool IsSlow(uint opcode, TimeSpan latency) =>
        limit.Value is { Ticks: > 0 } most && latency >= most && opcode != (uint)fuse_opcode.FUSE_SETLKW;
}
