namespace Dpu.Ctl;

/// <summary>What the terminal and environment ask of output. Immutable.</summary>
/// <param name="AllowsColor">Whether colours may be used: standard output is a terminal and NO_COLOR is not set.</param>
public sealed record ConsoleTraits(bool AllowsColor)
{
    /// <summary>Whether standard output is a terminal that can be drawn on.</summary>
    public bool IsScreen { get; init; }

    /// <summary>Those of this process (no-color.org: NO_COLOR counts when present and not empty).</summary>
    public static ConsoleTraits OfThisProcess() => new(
        !Console.IsOutputRedirected
        && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb"))
    {
        IsScreen = !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb"),
    };
}
