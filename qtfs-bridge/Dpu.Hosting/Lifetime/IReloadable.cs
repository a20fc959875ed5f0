namespace Dpu.Hosting.Lifetime;

/// <summary>A part of a daemon that can take a new configuration while it runs.</summary>
public interface IReloadable<in T>
{
    /// <summary>Takes what it can of a configuration. One call at a time.</summary>
    /// <param name="previous">The configuration in force.</param>
    /// <param name="next">The new one; it has been checked.</param>
    /// <returns>What changed now, and what needs a restart.</returns>
    ReloadOutcome Reload(T previous, T next);
}

/// <summary>What a reload did. Immutable.</summary>
/// <param name="Applied">What changed, for people.</param>
/// <param name="NeedsRestart">What changed in the file but not in the daemon, for people.</param>
public sealed record ReloadOutcome(IReadOnlyList<string> Applied, IReadOnlyList<string> NeedsRestart)
{
    /// <summary>Nothing changed.</summary>
    public static ReloadOutcome Nothing { get; } = new([], []);
}
