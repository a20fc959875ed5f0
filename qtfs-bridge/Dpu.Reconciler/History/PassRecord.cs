using Dpu.Reconciler.Repair;

namespace Dpu.Reconciler.History;

/// <summary>What the history keeps of a pass. Immutable.</summary>
/// <param name="Id">Its number, which only grows.</param>
/// <param name="Time">When it ended.</param>
/// <param name="Duration">How long it took.</param>
/// <param name="Desired">What the desired side is called.</param>
/// <param name="Actual">What the actual side is called.</param>
public sealed record PassRecord(long Id, DateTimeOffset Time, TimeSpan Duration, string Desired, string Actual)
{
    /// <summary>Flows of the desired side.</summary>
    public long DesiredFlows { get; init; }

    /// <summary>Flows of the actual side.</summary>
    public long ActualFlows { get; init; }

    /// <summary>Flows that agreed.</summary>
    public long Agree { get; init; }

    /// <summary>Differences that were found, without foreign flows.</summary>
    public long Found { get; init; }

    /// <summary>Those that were left.</summary>
    public long Remaining { get; init; }

    /// <summary>Whether a repair was asked for.</summary>
    public bool Applied { get; init; }

    /// <summary>Why nothing was repaired although it was asked for; null where it was, or was not asked for.</summary>
    public string? Refused { get; init; }

    /// <summary>What was changed.</summary>
    public RepairCounts Counts { get; init; }

    /// <summary>Why the pass failed; null where it did not.</summary>
    public string? Error { get; init; }

    /// <summary>How many were found and left of each category, by its word; categories without any are left out.</summary>
    public IReadOnlyDictionary<string, (long Found, long Remaining)> Categories { get; init; } = new Dictionary<string, (long, long)>();
}

/// <summary>A difference that a pass found, as text.</summary>
/// <param name="Word">Its category, as reports write it.</param>
/// <param name="Desired">The flow that should be, in OVS' syntax; null for none.</param>
/// <param name="Actual">The flow that was; null for none.</param>
/// <param name="Reason">More; empty where the category says it all.</param>
public sealed record StoredDifference(string Word, string? Desired, string? Actual, string Reason);

/// <summary>The history cannot be read or written; the message says what was tried, why it failed and what to do.</summary>
public sealed class HistoryException : IOException
{
    /// <summary>Without a reason.</summary>
    public HistoryException()
    {
    }

    /// <summary>With a reason.</summary>
    public HistoryException(string message)
        : base(message)
    {
    }

    /// <summary>With a reason and a cause.</summary>
    public HistoryException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
