namespace Dpu.Benchmarks.Harness;

/// <summary>Which of ours stands beside which peer, and how good it must be.</summary>
/// <param name="Ours">The contender that is ours.</param>
/// <param name="Peer">The one that it is compared with.</param>
/// <param name="Bar">By work: the ratio ours/peer that must be met; a work that is absent has none.</param>
/// <param name="Goal">By work: the ratio that is hoped for.</param>
internal sealed record Comparison(
    string Ours,
    string Peer,
    IReadOnlyDictionary<string, double>? Bar = null,
    IReadOnlyDictionary<string, double>? Goal = null);

/// <summary>A comparison on one work, measured.</summary>
internal sealed record ComparisonResult(string Work, string OursName, double Ours, string Unit, double? Peer, string? PeerName, Better Better, double? Bar, double? Goal)
{
    /// <summary>ours/peer; null without a peer.</summary>
    public double? Ratio => Ours / Peer;

    /// <summary>Whether the bar is met, by the ratio or, without a peer, by the value; null where there is none.</summary>
    public bool? Met => Reaches(Bar);

    /// <summary>Whether the goal is; null where there is none.</summary>
    public bool? GoalMet => Reaches(Goal);

    private bool? Reaches(double? bar) => bar is not { } wanted ? null : Better == Better.Lower ? (Ratio ?? Ours) <= wanted : (Ratio ?? Ours) >= wanted;
}
