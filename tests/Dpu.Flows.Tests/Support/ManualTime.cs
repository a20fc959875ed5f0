namespace Dpu.Flows.Tests.Support;

/// <summary>A clock that only tests move.</summary>
internal sealed class ManualTime : TimeProvider
{
    private long _now = 1;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Volatile.Read(ref _now);

    internal void Advance(TimeSpan time) => Interlocked.Add(ref _now, time.Ticks);
}
