using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Dpu.Benchmarks;

/// <summary>The command line of <c>dpu-bench</c>. Immutable.</summary>
internal sealed record BenchmarkOptions
{
    public const string Usage =
        """
        usage: dpu-bench NAME [--json] [--rounds N] [--work NAME]… [--only TARGET]… [--store DIR] [--best] [--markdown FILE]
          --json         one object a line: a (work, peer) each
          --rounds N     how often each work runs on each target (1 to 1000; 5); medians are shown
          --work NAME    only this work; again for more
          --only TARGET  only this target; again for more
          --store DIR    where the files lie (default: /dev/shm, so that no disk is measured)
          --best         the best round of each instead of the median: for a machine that others load meanwhile
          --markdown FILE  with 'qtfs': writes the tables into FILE too, in the place of an earlier run's
        benchmarks:
        """;

    public string? Name { get; private init; }

    public bool Json { get; private init; }

    /// <summary>Odd, by default, so that the median was measured.</summary>
    public int Rounds { get; private init; } = 5;

    public IReadOnlyList<string> Works { get; private init; } = [];

    public IReadOnlyList<string> Targets { get; private init; } = [];

    /// <summary>The best round counts instead of the median.</summary>
    public bool Best { get; private init; }

    /// <summary>Where to write the tables as Markdown; null for nowhere.</summary>
    public string? Markdown { get; private init; }

    public string Store { get; private init; } = "/dev/shm";

    public static bool TryParse(string[] args, [NotNullWhen(true)] out BenchmarkOptions? options, [NotNullWhen(false)] out string? message)
    {
        BenchmarkOptions result = new();
        options = null;
        for (int i = 0; i < args.Length; i++)
        {
            string argument = args[i];
            string? value = i + 1 < args.Length ? args[i + 1] : null;
            switch (argument)
            {
                case "--json":
                    result = result with { Json = true };
                    continue;
                case "--best":
                    result = result with { Best = true };
                    continue;
                case "--rounds" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int rounds) && rounds is > 0 and <= 1000:
                    result = result with { Rounds = rounds };
                    break;
                case "--work" when value is not null:
                    result = result with { Works = [.. result.Works, value] };
                    break;
                case "--only" when value is not null:
                    result = result with { Targets = [.. result.Targets, value] };
                    break;
                case "--markdown" when value is not null:
                    result = result with { Markdown = value };
                    break;
                case "--store" when Directory.Exists(value):
                    result = result with { Store = value };
                    break;
                default:
                    if (argument.StartsWith('-') || result.Name is not null)
                    {
                        message = $"dpu-bench: '{argument}' is unknown, or its value is missing or out of range.\n{Usage}";
                        return false;
                    }

                    result = result with { Name = argument };
                    continue;
            }

            i++;
        }

        options = result;
        message = null;
        return true;
    }
}
