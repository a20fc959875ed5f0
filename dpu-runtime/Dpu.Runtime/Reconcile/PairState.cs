using Dpu.Hosting.Configuration;

namespace Dpu.Runtime.Reconcile;

/// <summary>What came of the passes of a pair so far. Immutable; a new one takes its place with each pass.</summary>
/// <param name="Configuration">The pair.</param>
/// <param name="Since">A point of the clock: when it began to be watched.</param>
public sealed record PairState(ReconcilePairConfiguration Configuration, long Since)
{
    /// <summary>A pass is under way.</summary>
    public bool Running { get; init; }

    /// <summary>Passes that ended.</summary>
    public ulong Passes { get; init; }

    /// <summary>Those of them that failed.</summary>
    public ulong Failures { get; init; }

    /// <summary>A point of the clock: when the last pass that did not fail ended; null where none has.</summary>
    public long? LastGood { get; init; }

    /// <summary>When the last pass ended; null where none has.</summary>
    public DateTimeOffset? Last { get; init; }

    /// <summary>How long it took.</summary>
    public TimeSpan Duration { get; init; }

    /// <summary>Why it failed or did not repair; null where neither is so.</summary>
    public string? Problem { get; init; }

    /// <summary>Differences that the last pass that did not fail found, without foreign flows.</summary>
    public int Found { get; init; }

    /// <summary>Those that are left.</summary>
    public int Remaining { get; init; }

    /// <summary>What is left, by the categories' words; all of them.</summary>
    public IReadOnlyList<(string Word, int Count)> Categories { get; init; } = [];

    /// <summary>Changes of all passes, by what they did.</summary>
    public (ulong Added, ulong Replaced, ulong Deleted, ulong Failed) Changes { get; init; }
}
