using Dpu.Reconciler.Diff;

namespace Dpu.Reconciler.Repair;

/// <summary>What a pass changed.</summary>
/// <param name="Added">Flows that were put in.</param>
/// <param name="Replaced">Flows that were changed in their place.</param>
/// <param name="Deleted">Flows that were taken out.</param>
/// <param name="Failed">Changes that the target refused, or that it said were done and were not.</param>
public readonly record struct RepairCounts(int Added, int Replaced, int Deleted, int Failed)
{
    /// <summary>Both together.</summary>
    public static RepairCounts operator +(RepairCounts left, RepairCounts right) =>
        new(left.Added + right.Added, left.Replaced + right.Replaced, left.Deleted + right.Deleted, left.Failed + right.Failed);

    /// <summary>Both together.</summary>
    public static RepairCounts Add(RepairCounts left, RepairCounts right) => left + right;
}

/// <summary>What a pass found and did. Immutable.</summary>
public sealed record PassReport
{
    /// <summary>When it ended.</summary>
    public required DateTimeOffset Time { get; init; }

    /// <summary>How long it took.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>What the sides are called.</summary>
    public required (string Desired, string Actual) Names { get; init; }

    /// <summary>The differences, as far as they were confirmed.</summary>
    public required DiffResult Found { get; init; }

    /// <summary>What was to be done about them.</summary>
    public required RepairPlan Plan { get; init; }

    /// <summary>Why nothing was done although it was asked for; null where it was done, or not asked for.</summary>
    public string? Refused { get; init; }

    /// <summary>Whether a repair was asked for.</summary>
    public bool Applied { get; init; }

    /// <summary>What was changed.</summary>
    public RepairCounts Counts { get; init; }

    /// <summary>Rounds of repairing and looking; 1 where all went as planned.</summary>
    public int Rounds { get; init; }

    /// <summary>What a last look found; what was found at first where nothing was repaired.</summary>
    public required DiffResult Remaining { get; init; }

    /// <summary>Flows that fit into the actual side; null where there is no bound.</summary>
    public int? Capacity { get; init; }

    /// <summary>Whether nothing is left that anybody must do something about.</summary>
    public bool InStep => Remaining.Problems == 0;
}
