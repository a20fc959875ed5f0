namespace Dpu.Hosting.Lifetime;

/// <summary>What a daemon was asked to do.</summary>
public enum DaemonAction
{
    /// <summary>To serve.</summary>
    Run,

    /// <summary>To check its configuration.</summary>
    CheckConfiguration,

    /// <summary>To print its effective configuration.</summary>
    PrintConfiguration,

    /// <summary>To print its version.</summary>
    Version,

    /// <summary>To print its options.</summary>
    Help,
}

/// <summary>A daemon's command line. Immutable.</summary>
/// <param name="Action">What to do.</param>
/// <param name="ConfigurationFile">The file.</param>
/// <param name="Overrides">Values of <c>--set</c>.</param>
/// <param name="Error">What is wrong with it; null for nothing.</param>
public sealed record DaemonCommandLine(
    DaemonAction Action, string ConfigurationFile, IReadOnlyList<string> Overrides, string? Error)
{
    /// <summary>The options, as <c>--help</c> shows them.</summary>
    /// <param name="program">The program.</param>
    /// <param name="defaultFile">Its configuration unless told otherwise.</param>
    /// <param name="environmentPrefix">What its variables begin with.</param>
    public static string Help(string program, string defaultFile, string environmentPrefix) =>
        $"""
        Usage: {program} [OPTIONS]

          --config FILE     read FILE instead of {defaultFile}
          --set KEY=VALUE   override a key of the file, such as --set log.level=Debug; may be repeated
          --check-config    check the configuration and exit: 0 if it is good, 2 if not
          --print-config    print the effective configuration with every key, and exit
          --version         print the version and exit
          --help            print this and exit

        Variables {environmentPrefix}KEY override the file, such as {environmentPrefix}log__level=Debug; flags override both.
        Signals: TERM and INT stop, HUP reloads the configuration. See {program}(8).

        """;

    /// <summary>Reads a command line. Never throws; a mistake is in <see cref="Error"/>.</summary>
    public static DaemonCommandLine Parse(IReadOnlyList<string> arguments, string defaultFile)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        var action = DaemonAction.Run;
        string file = defaultFile;
        var overrides = new List<string>();
        string? error = null;
        for (int i = 0; i < arguments.Count && error is null; i++)
        {
            (string name, string? value) = Split(arguments[i]);
            switch (name)
            {
                case "--config" or "--set":
                    value ??= i + 1 < arguments.Count ? arguments[++i] : null;
                    if (string.IsNullOrEmpty(value))
                    {
                        error = $"{name} needs a value";
                    }
                    else if (name == "--config")
                    {
                        file = Path.GetFullPath(value);
                    }
                    else
                    {
                        overrides.Add(value);
                    }

                    break;
                case "--check-config" or "--print-config" or "--version" or "--help" or "-h" when value is null:
                    action = name switch
                    {
                        "--check-config" => DaemonAction.CheckConfiguration,
                        "--print-config" => DaemonAction.PrintConfiguration,
                        "--version" => DaemonAction.Version,
                        _ => DaemonAction.Help,
                    };
                    break;
                default:
                    string? meant = Configuration.Suggestion.For(
                        name, ["--config", "--set", "--check-config", "--print-config", "--version", "--help"]);
                    error = $"'{arguments[i]}' is not an option{(meant is null ? string.Empty : $"; did you mean {meant}?")}";
                    break;
            }
        }

        return new(action, file, overrides, error);
    }

    private static (string Name, string? Value) Split(string argument)
    {
        int equals = argument.IndexOf('=', StringComparison.Ordinal);
        return argument.StartsWith("--", StringComparison.Ordinal) && equals > 0
            ? (argument[..equals], argument[(equals + 1)..])
            : (argument, null);
    }
}
