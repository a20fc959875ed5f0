using Dpu.Reconciler.Diff;

namespace Dpu.Reconciler.Repair;

/// <summary>How a reconciler works. Immutable.</summary>
public sealed record ReconcilerOptions
{
    /// <summary>Which of the actual flows are ours.</summary>
    public OwnerFilter Owner { get; init; }

    /// <summary>A flow that is not in hardware is a difference.</summary>
    public bool ExpectOffload { get; init; }

    /// <summary>Dumps in which a difference must be before it is repaired: 2, so that what was just changing is left alone.</summary>
    public int Confirmations { get; init; } = 2;

    /// <summary>
    /// Counters of the actual side that stand still while packets pass are differences: how late it tells them at most. Packets are those that the target
    /// itself knows of (<see cref="Targets.IPacketSignal"/>), else those that the desired side counted of the same flow. Null to leave counters alone.
    /// </summary>
    public TimeSpan? CounterDelay { get; init; }

    /// <summary>Between two dumps that confirm each other: more than the delay with which the target tells its state.</summary>
    public TimeSpan ConfirmAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A dump that was interrupted is taken again so often before the pass fails.</summary>
    public int DumpAttempts { get; init; } = 5;

    /// <summary>Nothing is repaired where more flows than this differ, and more than <see cref="MaxDifferenceShare"/> of all.</summary>
    public int MaxDifferences { get; init; } = 1000;

    /// <summary>Of all desired flows, 0 to 1: which share may differ.</summary>
    public double MaxDifferenceShare { get; init; } = 0.5;

    /// <summary>Deletes of one pass; what is beyond waits for the next one.</summary>
    public int MaxDeletes { get; init; } = int.MaxValue;

    /// <summary>Repairs although <see cref="MaxDifferences"/> speaks against it, or the desired side is empty.</summary>
    public bool Force { get; init; }

    /// <summary>Carries out plans that open a gap in forwarding, because the table is full.</summary>
    public bool AllowGap { get; init; }

    /// <summary>Changes in one batch.</summary>
    public int BatchSize { get; init; } = 1000;

    /// <summary>Changes a second on average; 0 for no bound.</summary>
    public int ChangesPerSecond { get; init; }

    /// <summary>Repairs, dumps and compares again so often in one pass: a target that fails again and again ends it.</summary>
    public int Rounds { get; init; } = 16;

    /// <summary>How often a change that finds the target full is tried.</summary>
    public int Attempts { get; init; } = 4;

    /// <summary>A flow that was repaired in more passes than this within <see cref="FlapWindow"/> is left as it is until the window is over.</summary>
    public int FlapLimit { get; init; } = 5;

    /// <summary>The time for <see cref="FlapLimit"/>.</summary>
    public TimeSpan FlapWindow { get; init; } = TimeSpan.FromMinutes(10);
}
