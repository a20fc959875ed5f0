namespace Dpu.Link.Tests;

/// <summary>A clock that is wrong by a chosen amount; its timestamps run on as they do.</summary>
internal sealed class ShiftedTime(TimeSpan by) : TimeProvider
{
    private TimeSpan _by = by;

    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + _by;

    public void Shift(TimeSpan by) => _by = by;
}
