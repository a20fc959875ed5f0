namespace Dpu.Hosting.Lifetime;

/// <summary>Time limits of a daemon's life, and how it ends the process when one is passed. Immutable.</summary>
/// <param name="Stop">How long services may take to stop.</param>
/// <param name="Exit">Ends the process.</param>
public sealed record DaemonLimits(TimeSpan Stop, Action<int> Exit)
{
    /// <summary>10 s: below the 90 s after which systemd kills, and enough to unmount with a link that is down.</summary>
    public static DaemonLimits Default { get; } = new(TimeSpan.FromSeconds(10), Environment.Exit);
}
