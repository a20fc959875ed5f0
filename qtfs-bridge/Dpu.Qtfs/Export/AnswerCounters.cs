namespace Dpu.Qtfs.Export;

/// <summary>Counts numbered requests that came again and were not executed. Thread-safe.</summary>
internal sealed class AnswerCounters
{
    private long _replayed;
    private long _unknown;

    /// <summary>How many had the answer of their first execution.</summary>
    public long Replayed => Interlocked.Read(ref _replayed);

    /// <summary>How many ended with EIO, as an earlier life of the agent may have executed them.</summary>
    public long Unknown => Interlocked.Read(ref _unknown);

    public void CountReplayed() => Interlocked.Increment(ref _replayed);

    public void CountUnknown() => Interlocked.Increment(ref _unknown);
}
