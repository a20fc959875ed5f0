using Dpu.Fuse;

namespace Dpu.Qtfs.Mount;

/// <summary>What a mount has done since it was made. Written by many threads without a lock, read at any time.</summary>
public sealed class MountCounters
{
    private long _unknownOutcome;
    private long _repeated;
    private long _interrupted;

    /// <summary>Requests that have ended, by opcode, whatever became of them. FUSE_INTERRUPT is none: it tells of one.</summary>
    public FuseStatistics Operations { get; } = new();

    /// <summary>The sums of <see cref="Operations"/>.</summary>
    public MountTotals Totals
    {
        get
        {
            MountTotals totals = default;
            foreach (FuseOperationStatistics operation in Operations.Snapshot())
            {
                totals = new MountTotals(
                    totals.Requests + operation.Requests,
                    totals.Errors + operation.Errors,
                    totals.BytesSent + operation.RequestBytes,
                    totals.BytesReceived + operation.ReplyBytes);
            }

            return totals;
        }
    }

    /// <summary>Requests ended with EIO because the link broke after they were sent and repeating them was not safe.</summary>
    public long UnknownOutcome => Interlocked.Read(ref _unknownOutcome);

    /// <summary>Requests sent again after the link broke.</summary>
    public long Repeated => Interlocked.Read(ref _repeated);

    /// <summary>Requests ended with EINTR before the host answered.</summary>
    public long Interrupted => Interlocked.Read(ref _interrupted);

    internal void CountUnknownOutcome() => Interlocked.Increment(ref _unknownOutcome);

    internal void CountRepeated() => Interlocked.Increment(ref _repeated);

    internal void CountInterrupted() => Interlocked.Increment(ref _interrupted);
}

/// <summary>A mount's sums over all opcodes.</summary>
/// <param name="Requests">Requests that have ended, whatever became of them.</param>
/// <param name="Errors">Requests answered with an error, ENOENT and the like included.</param>
/// <param name="BytesSent">Bytes of FUSE messages sent to the host; what is repeated counts once.</param>
/// <param name="BytesReceived">Bytes of FUSE messages received from the host.</param>
public readonly record struct MountTotals(long Requests, long Errors, long BytesSent, long BytesReceived);
