using Dpu.Flows.Table;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Diff;

/// <summary>Whose flows are ours, by the cookie: flows of others are foreign. Immutable.</summary>
/// <param name="Cookie">What our cookies have in the bits of the mask.</param>
/// <param name="Mask">The bits that say whose a flow is; 0 where all are ours.</param>
public readonly record struct OwnerFilter(ulong Cookie, ulong Mask)
{
    /// <summary>All flows are ours.</summary>
    public static OwnerFilter Everyone => default;

    /// <summary>Whether a flow is ours.</summary>
    public bool Owns(ulong cookie) => ((cookie ^ Cookie) & Mask) == 0;
}

/// <summary>How two sets are compared. Immutable.</summary>
public sealed record DiffOptions
{
    /// <summary>Which of the actual flows are ours.</summary>
    public OwnerFilter Owner { get; init; }

    /// <summary>Compare cookies: not where a side has none.</summary>
    public bool CompareCookies { get; init; } = true;

    /// <summary>Compare time-outs: not where a side has none.</summary>
    public bool CompareTimeouts { get; init; } = true;

    /// <summary>A flow that its target says is not, or only partly, in hardware is a difference.</summary>
    public bool ExpectOffload { get; init; }

    /// <summary>Handles of flows whose counters are stuck (<see cref="CounterWatch"/>); null for none.</summary>
    public IReadOnlySet<ulong>? Stuck { get; init; }

    /// <summary>
    /// Why the target refused a flow that is not there; null where it did not. What was refused is "not offloaded", not "missing".
    /// </summary>
    public Func<FlowDefinition, string?>? RefusalOf { get; init; }
}

/// <summary>What came of comparing. Immutable.</summary>
/// <param name="Desired">What should be.</param>
/// <param name="Actual">What is.</param>
/// <param name="Differences">In a stable order: by table, priority from the highest on, match, category.</param>
/// <param name="InStep">Pairs that agree.</param>
public sealed record DiffResult(FlowSet Desired, FlowSet Actual, IReadOnlyList<Difference> Differences, int InStep)
{
    /// <summary>Differences that somebody has to do something about: all but foreign flows.</summary>
    public int Problems => Differences.Count(d => d.Category != DifferenceCategory.Foreign);

    /// <summary>How many of a category.</summary>
    public int CountOf(DifferenceCategory category) => Differences.Count(d => d.Category == category);
}
