namespace Dpu.Qtfs.Mount;

/// <summary>From when on a request is slow enough for the log; may change while mounts stand. Thread-safe.</summary>
public sealed class SlowRequestLimit
{
    private long _ticks;

    /// <summary>Requests that take at least this long are logged; zero for none.</summary>
    public TimeSpan Value
    {
        get => TimeSpan.FromTicks(Volatile.Read(ref _ticks));
        set => Volatile.Write(ref _ticks, value.Ticks);
    }
}
