using Dpu.Hosting.Configuration;
using Dpu.Systemd;

namespace Dpu.Hosting.Lifetime;

/// <summary>What a daemon needs of its process; tests bring their own. Immutable.</summary>
public sealed record DaemonSurroundings
{
    /// <summary>Standard output.</summary>
    public required TextWriter Output { get; init; }

    /// <summary>Standard error, for what is said before the log begins.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>Standard error, for the log.</summary>
    public required Stream LogOutput { get; init; }

    /// <summary>Whether the log's reader is the journal, which takes priorities.</summary>
    public required bool IsJournal { get; init; }

    /// <summary>The environment.</summary>
    public required IReadOnlyList<KeyValuePair<string, string>> Environment { get; init; }

    /// <summary>The service manager.</summary>
    public required ISystemdNotifier Notifier { get; init; }

    /// <summary>The clock.</summary>
    public required TimeProvider Clock { get; init; }

    /// <summary>Time limits.</summary>
    public DaemonLimits Limits { get; init; } = DaemonLimits.Default;

    /// <summary>Those of this process.</summary>
    public static DaemonSurroundings OfThisProcess() => new()
    {
        Output = Console.Out,
        Error = Console.Error,
        LogOutput = Console.OpenStandardError(),
        // systemd.exec(5): set where standard output or error is connected to the journal.
        IsJournal = !string.IsNullOrEmpty(System.Environment.GetEnvironmentVariable("JOURNAL_STREAM")),
        Environment = ConfigurationLoader.ProcessEnvironment(),
        Notifier = SystemdNotifier.FromEnvironment(TimeProvider.System),
        Clock = TimeProvider.System,
    };
}
