using Dpu.Fuse;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// What a mount has done: the operations since this runtime serves it, the rest since it was made. Written by many threads without a
/// lock, read at any time.
/// </summary>
public sealed unsafe class MountCounters
{
    // The places are those of KeptState.LayoutVersion.
    private enum Count
    {
        UnknownOutcome,
        Repeated,
        Interrupted,
        TakenOver,
        Recovered,
        Returns,
        Reopened,
        StaleFiles,
        LostLocks,
        All,
    }

    private readonly long[] _own = GC.AllocateArray<long>((int)Count.All, pinned: true);
    private readonly long* _counts;

    /// <summary>This process's own.</summary>
    public MountCounters()
    {
        fixed (long* own = _own)
        {
            // Pinned, and as long as this is.
            _counts = own;
        }
    }

    /// <summary>In memory that outlives the process.</summary>
    internal MountCounters(Handover.KeptState state) => _counts = state.Counters;

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
    public long UnknownOutcome => Read(Count.UnknownOutcome);

    /// <summary>Requests sent again after the link broke.</summary>
    public long Repeated => Read(Count.Repeated);

    /// <summary>Requests ended with EINTR before the host answered.</summary>
    public long Interrupted => Read(Count.Interrupted);

    /// <summary>How often a runtime took the mount over from one that had ended.</summary>
    public long TakenOver => Read(Count.TakenOver);

    /// <summary>Requests that a runtime had begun and another one has ended.</summary>
    public long Recovered => Read(Count.Recovered);

    /// <summary>How often the host had lost the mount, by a reboot or with its agent, and was told what the kernel has of it.</summary>
    public long Returns => Read(Count.Returns);

    /// <summary>Open files that went on then, opened again by their names.</summary>
    public long Reopened => Read(Count.Reopened);

    /// <summary>Open files that were lost then: they answer ESTALE.</summary>
    public long StaleFiles => Read(Count.StaleFiles);

    /// <summary>Open files that were locked then: they answer EIO, as their locks are lost.</summary>
    public long LostLocks => Read(Count.LostLocks);

    internal void CountReturn(in Held.ReturnOutcome outcome)
    {
        Add(Count.Returns);
        Add(Count.Reopened, outcome.Files);
        Add(Count.StaleFiles, outcome.Stale);
        Add(Count.LostLocks, outcome.Unlocked);
    }

    internal void CountUnknownOutcome() => Add(Count.UnknownOutcome);

    internal void CountRepeated() => Add(Count.Repeated);

    internal void CountInterrupted() => Add(Count.Interrupted);

    internal void CountTakenOver() => Add(Count.TakenOver);

    internal void CountRecovered() => Add(Count.Recovered);

    private long Read(Count count) => Interlocked.Read(ref _counts[(int)count]);

    private void Add(Count count, long more = 1) => Interlocked.Add(ref _counts[(int)count], more);
}

/// <summary>A mount's sums over all opcodes.</summary>
/// <param name="Requests">Requests that have ended, whatever became of them.</param>
/// <param name="Errors">Requests answered with an error, ENOENT and the like included.</param>
/// <param name="BytesSent">Bytes of FUSE messages sent to the host; what is repeated counts once.</param>
/// <param name="BytesReceived">Bytes of FUSE messages received from the host.</param>
public readonly record struct MountTotals(long Requests, long Errors, long BytesSent, long BytesReceived);
