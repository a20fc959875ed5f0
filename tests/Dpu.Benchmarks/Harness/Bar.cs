namespace Dpu.Benchmarks.Harness;

/// <summary>How good one of ours must be at one work.</summary>
/// <param name="Group">What the rows of one table have in common.</param>
/// <param name="Work">The work's name.</param>
/// <param name="Ours">The contender that is ours.</param>
/// <param name="Peer">The one that it is compared with; null where the value itself is bounded.</param>
/// <param name="Must">The ratio ours/peer that must be met, or the value where there is no peer.</param>
/// <param name="Goal">What is hoped for; null where there is nothing beyond the bar.</param>
internal sealed record Bar(string Group, string Work, string Ours, string? Peer, double Must, double? Goal = null);
