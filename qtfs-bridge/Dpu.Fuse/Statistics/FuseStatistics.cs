using Dpu.Fuse.Wire;

namespace Dpu.Fuse;

/// <summary>
/// What became of requests, by opcode: how many, how many failed, their bytes and how long they took. Lock-free, and
/// allocates only where a thread meets an opcode for the first time.
/// </summary>
/// <remarks>
/// Threads write in stripes of their own, so that two lanes do not pull the same cache lines from each other; a reader
/// adds the stripes up. A snapshot taken meanwhile may have a request's latency and not its bytes yet, never less than
/// one taken before.
/// </remarks>
public sealed class FuseStatistics
{
    /// <summary>Opcodes from here on, which Linux does not have yet, share the last row.</summary>
    private const int Opcodes = 64;

    private const int Stripes = 4;

    private const int Errors = 0;
    private const int RequestBytes = 1;
    private const int ReplyBytes = 2;
    private const int Ticks = 3;
    private const int MaxTicks = 4;
    private const int Buckets = 5;
    private const int RowSize = Buckets + LatencyScale.Count;

    private readonly long[]?[] _rows = new long[]?[Stripes * Opcodes];

    /// <summary>Counts one request that has ended.</summary>
    /// <param name="opcode">Its opcode, whatever a peer wrote there.</param>
    /// <param name="requestBytes">Its length, or 0 where it was never sent.</param>
    /// <param name="replyBytes">The reply's length, or 0 where there was none.</param>
    /// <param name="failed">Whether it was answered with an errno.</param>
    /// <param name="latency">How long it took.</param>
    public void Record(uint opcode, long requestBytes, long replyBytes, bool failed, TimeSpan latency)
    {
        long[] row = Row(Environment.CurrentManagedThreadId % Stripes, (int)RowOf(opcode));
        Interlocked.Increment(ref row[Buckets + LatencyScale.IndexOf(latency)]);
        Interlocked.Add(ref row[RequestBytes], requestBytes);
        Interlocked.Add(ref row[ReplyBytes], replyBytes);
        Interlocked.Add(ref row[Ticks], latency.Ticks);
        if (failed)
        {
            Interlocked.Increment(ref row[Errors]);
        }

        RaiseTo(ref row[MaxTicks], latency.Ticks);
    }

    /// <summary>The opcode under which one is counted: itself, or 63 where Linux does not have it.</summary>
    public static uint RowOf(uint opcode) => Math.Min(opcode, Opcodes - 1);

    /// <summary>Adds what another one has counted.</summary>
    public void Add(FuseStatistics other)
    {
        ArgumentNullException.ThrowIfNull(other);
        foreach (FuseOperationStatistics operation in other.Snapshot())
        {
            long[] row = Row(0, (int)operation.Opcode);
            Interlocked.Add(ref row[Errors], operation.Errors);
            Interlocked.Add(ref row[RequestBytes], operation.RequestBytes);
            Interlocked.Add(ref row[ReplyBytes], operation.ReplyBytes);
            Interlocked.Add(ref row[Ticks], operation.TotalLatency.Ticks);
            RaiseTo(ref row[MaxTicks], operation.MaxLatency.Ticks);
            for (int i = 0; i < LatencyScale.Count; i++)
            {
                Interlocked.Add(ref row[Buckets + i], operation.Buckets[i]);
            }
        }
    }

    /// <summary>What was counted so far, for each opcode that came, by opcode.</summary>
    public IReadOnlyList<FuseOperationStatistics> Snapshot()
    {
        var result = new List<FuseOperationStatistics>();
        for (int opcode = 0; opcode < Opcodes; opcode++)
        {
            long[] sum = new long[RowSize];
            bool came = false;
            for (int stripe = 0; stripe < Stripes; stripe++)
            {
                if (Volatile.Read(ref _rows[(stripe * Opcodes) + opcode]) is not { } row)
                {
                    continue;
                }

                came = true;
                for (int column = 0; column < RowSize; column++)
                {
                    long value = Volatile.Read(ref row[column]);
                    sum[column] = column == MaxTicks ? Math.Max(sum[column], value) : sum[column] + value;
                }
            }

            if (came)
            {
                result.Add(new FuseOperationStatistics(
                    (fuse_opcode)opcode,
                    sum[Errors],
                    sum[RequestBytes],
                    sum[ReplyBytes],
                    TimeSpan.FromTicks(sum[Ticks]),
                    TimeSpan.FromTicks(sum[MaxTicks]),
                    sum[Buckets..]));
            }
        }

        return result;
    }

    private static void RaiseTo(ref long most, long value)
    {
        long seen = Volatile.Read(ref most);
        while (value > seen)
        {
            long before = Interlocked.CompareExchange(ref most, value, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }

    private long[] Row(int stripe, int opcode)
    {
        ref long[]? place = ref _rows[(stripe * Opcodes) + opcode];
        return Volatile.Read(ref place) ?? Interlocked.CompareExchange(ref place, new long[RowSize], null) ?? place;
    }
}

/// <summary>What became of the requests of one opcode.</summary>
/// <param name="Opcode">The opcode; 63 stands for every one that Linux 6.18 does not have.</param>
/// <param name="Errors">How many were answered with an errno, ENOENT of a look-up included.</param>
/// <param name="RequestBytes">Bytes of their messages.</param>
/// <param name="ReplyBytes">Bytes of the replies.</param>
/// <param name="TotalLatency">How long they took altogether.</param>
/// <param name="MaxLatency">How long the slowest one took.</param>
/// <param name="Buckets">How many took how long, by <see cref="LatencyScale"/>.</param>
public sealed record FuseOperationStatistics(
    fuse_opcode Opcode,
    long Errors,
    long RequestBytes,
    long ReplyBytes,
    TimeSpan TotalLatency,
    TimeSpan MaxLatency,
    IReadOnlyList<long> Buckets)
{
    /// <summary>How many requests: the sum of <see cref="Buckets"/>, so that both always agree.</summary>
    public long Requests { get; } = Buckets.Sum();

    /// <summary>The opcode's name as in <c>linux/fuse.h</c>; <c>FUSE_OTHER</c> for one that it does not have.</summary>
    public string Name => NameOf((uint)Opcode);

    /// <summary>As <see cref="Name"/>, of any number.</summary>
    public static string NameOf(uint opcode) => Enum.GetName((fuse_opcode)opcode) ?? "FUSE_OTHER";
}
