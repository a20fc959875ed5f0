namespace Dpu.Fuse;

/// <summary>A time in the two fields of a FUSE reply.</summary>
internal readonly struct FuseTimeout
{
    public FuseTimeout(TimeSpan time)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(time, TimeSpan.Zero);
        Seconds = (ulong)(time.Ticks / TimeSpan.TicksPerSecond);
        Nanoseconds = (uint)(time.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick);
    }

    public ulong Seconds { get; }

    public uint Nanoseconds { get; }
}
