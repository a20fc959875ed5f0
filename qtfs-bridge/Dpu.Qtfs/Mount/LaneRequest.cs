using System.Diagnostics;
using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// The request that a lane has at the moment, for figures and for the log of slow ones. Written by the lane's thread
/// alone, read by any.
/// </summary>
/// <remarks>
/// Readers take no lock: 1. the lane writes what the request is, then when it was read; 2. at its end it writes 0 there;
/// 3. a reader takes the time, then the rest, then the time again: where both are the same, and not 0, the rest belongs
/// to it, for no two requests of a lane are read at the same nanosecond.
/// </remarks>
internal sealed class LaneRequest(MountCounters counters, SlowRequests slow)
{
    private long _readAt;
    private ulong _unique;
    private ulong _node;
    private uint _opcode;
    private uint _caller;

    // Of the lane's thread alone.
    private int _requestBytes;
    private int _replyBytes;
    private bool _failed;

    /// <summary>A request was read from /dev/fuse.</summary>
    /// <param name="header">Its header.</param>
    /// <param name="readAt">The timestamp of <see cref="Stopwatch"/> at that time; 0 for now.</param>
    public unsafe void Begin(fuse_in_header* header, long readAt)
    {
        // SAFETY: the lane has read a whole message into its own buffer; every value is read once.
        _unique = header->unique;
        _node = header->nodeid;
        _opcode = header->opcode;
        _caller = header->pid;
        (_requestBytes, _replyBytes, _failed) = (0, 0, false);
        Volatile.Write(ref _readAt, readAt == 0 ? Stopwatch.GetTimestamp() : readAt);
    }

    /// <summary>What becomes of it; where it is said again, after a repetition, the last counts.</summary>
    public void Outcome(int requestBytes, int replyBytes, bool failed) =>
        (_requestBytes, _replyBytes, _failed) = (requestBytes, replyBytes, failed);

    /// <summary>Its reply was written, or there is none: counts it once.</summary>
    public void End()
    {
        var ended = new RequestUnderWay(_unique, _opcode, _node, _caller, _readAt);
        Volatile.Write(ref _readAt, 0);
        TimeSpan latency = Stopwatch.GetElapsedTime(ended.ReadAt);
        counters.Operations.Record(ended.Opcode, _requestBytes, _replyBytes, _failed, latency);
        slow.Ended(ended, latency);
    }

    /// <summary>The request, where there is one.</summary>
    public bool TryRead(out RequestUnderWay pending)
    {
        long readAt = Volatile.Read(ref _readAt);
        pending = new RequestUnderWay(Volatile.Read(ref _unique), Volatile.Read(ref _opcode), Volatile.Read(ref _node), Volatile.Read(ref _caller), readAt);
        return readAt != 0 && Volatile.Read(ref _readAt) == readAt;
    }
}

/// <summary>A request that waits for its answer.</summary>
/// <param name="Unique">The kernel's number of it.</param>
/// <param name="Opcode">What it asks for.</param>
/// <param name="Node">The node that it asks about.</param>
/// <param name="Caller">The thread that waits, in this process's pid namespace; 0 where it is in another, or the kernel itself asks.</param>
/// <param name="ReadAt">When it was read from /dev/fuse, as a timestamp of <see cref="Stopwatch"/>.</param>
internal readonly record struct RequestUnderWay(ulong Unique, uint Opcode, ulong Node, uint Caller, long ReadAt);
