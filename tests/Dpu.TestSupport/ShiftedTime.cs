namespace Dpu.TestSupport;

/// <summary>A clock that is wrong by a chosen amount; its timestamps run on as they do.</summary>
/// <param name="by">How far it is ahead; behind where negative.</param>
public sealed class ShiftedTime(TimeSpan by) : TimeProvider
{
    private TimeSpan _by = by;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + _by;

    /// <summary>Makes it wrong by another amount.</summary>
    public void Shift(TimeSpan by) => _by = by;
}
