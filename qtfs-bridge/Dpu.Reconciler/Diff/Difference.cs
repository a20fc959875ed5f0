namespace Dpu.Reconciler.Diff;

/// <summary>What is wrong with a flow. The order is that of reports.</summary>
public enum DifferenceCategory
{
    /// <summary>It should be there and is not.</summary>
    Missing,

    /// <summary>It is there and should not be.</summary>
    Stale,

    /// <summary>It is there, but not as it should be (<see cref="Divergence"/>).</summary>
    Divergent,

    /// <summary>It is there more often than it should be.</summary>
    Duplicate,

    /// <summary>Packets pass it and its counter does not move.</summary>
    StuckCounter,

    /// <summary>Hardware does not execute it, or not all of it; the difference's reason says why, where that is known.</summary>
    NotOffloaded,

    /// <summary>Another owner's. It is told and never touched.</summary>
    Foreign,
}

/// <summary>In what a divergent flow is not as it should be.</summary>
[Flags]
public enum Divergence
{
    /// <summary>In nothing.</summary>
    None = 0,

    /// <summary>It does something else with packets.</summary>
    Action = 1,

    /// <summary>It matches other packets.</summary>
    Match = 2,

    /// <summary>It has another priority.</summary>
    Priority = 4,

    /// <summary>Its cookie or its time-outs are others: packets fare the same.</summary>
    Attribute = 8,
}

/// <summary>One difference. Numbers are those of the two <see cref="Records.FlowSet"/>s that were compared.</summary>
/// <param name="Category">What is wrong.</param>
/// <param name="Divergence">In what, where it is divergent.</param>
/// <param name="Desired">The flow that should be; negative where none belongs to it.</param>
/// <param name="Actual">The flow that is; negative where there is none. Of a missing flow the foreign one that has its place.</param>
/// <param name="Reason">More, for people; empty where the category says it all.</param>
public sealed record Difference(DifferenceCategory Category, Divergence Divergence, int Desired, int Actual, string Reason = "")
{
    /// <summary>The category as reports write it: "missing", "divergent-action", "divergent-match+priority", "not-offloaded".</summary>
    public string Word => Category switch
    {
        DifferenceCategory.Divergent => "divergent-" + string.Join('+', Enum.GetValues<Divergence>().Where(d => d != Divergence.None && Divergence.HasFlag(d)).Select(d => d.ToString().ToLowerInvariant())),
        _ => WordOf(Category),
    };

    /// <summary>A category as reports write it.</summary>
    public static string WordOf(DifferenceCategory category) => category switch
    {
        DifferenceCategory.StuckCounter => "stuck-counter",
        DifferenceCategory.NotOffloaded => "not-offloaded",
        _ => category.ToString().ToLowerInvariant(),
    };
}
