using System.IO.Enumeration;

namespace Dpu.Qtfs.Export.Mounting;

/// <summary>What a DPU may mount in some places of an export. Immutable.</summary>
/// <param name="Match">Where: patterns as of <see cref="StrictPaths"/>.</param>
/// <param name="Types">Types of file systems, as mount(2) has them, and <c>bind</c>.</param>
/// <param name="Options">Patterns of their options; null for those that do no harm (<see cref="MountTypes.Harmless"/>).</param>
/// <param name="Sources">Absolute paths of this host that may be mounted besides what is in the same export.</param>
/// <param name="AllowSuid">Whether setuid bits count there.</param>
/// <param name="AllowDev">Whether device nodes work there.</param>
public sealed record MountRule(string Match, IReadOnlyList<string> Types, IReadOnlyList<string>? Options, IReadOnlyList<string> Sources, bool AllowSuid, bool AllowDev)
{
    private readonly StrictPaths _places = new([Match]);
    private readonly StrictPaths _sources = new(Sources);

    /// <summary>Whether it is about a place.</summary>
    /// <param name="path">Below the export, without a slash before it.</param>
    public bool IsAbout(ReadOnlySpan<byte> path) => _places.Match(path);

    /// <summary>Whether it permits a type.</summary>
    public bool HasType(string type) => Types.Contains(type, StringComparer.Ordinal);

    /// <summary>Whether it permits an option, as mount(2) has it: one, which a comma would make several of, and not the source, which has rules of its own.</summary>
    public bool HasOption(string type, string option) => !option.AsSpan().ContainsAny(',', '\0') && option.Split('=', 2)[0] != "source" && (Options is null
        ? MountTypes.Harmless(type, option)
        : Options.Any(pattern => FileSystemName.MatchesSimpleExpression(pattern, option, ignoreCase: false)));

    /// <summary>Whether it names a source outside of the export.</summary>
    /// <param name="path">An absolute path of this host.</param>
    public bool HasSource(ReadOnlySpan<byte> path) => path.StartsWith("/"u8) && _sources.Match(path.TrimStart((byte)'/'));

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Match}\n{string.Join(',', Types)}\n{(Options is null ? "harmless" : "own\n" + string.Join('\n', Options))}\nsources\n{string.Join('\n', Sources)}\n{AllowSuid} {AllowDev}";
}

/// <summary>The rules of an export. Immutable; equal where the rules are.</summary>
/// <param name="rules">Them; one that permits all of a call is enough.</param>
public sealed class MountRules(IEnumerable<MountRule> rules) : IEquatable<MountRules>
{
    private readonly MountRule[] _rules = [.. rules];

    /// <summary>Nothing may be mounted.</summary>
    public static MountRules None { get; } = new([]);

    /// <summary>Whether there is no rule.</summary>
    public bool IsEmpty => _rules.Length == 0;

    /// <summary>The rule that permits a mount; null for none.</summary>
    /// <param name="path">The place below the export.</param>
    /// <param name="type">The type, or <c>bind</c>.</param>
    /// <param name="options">Options of the file system, <c>key</c> or <c>key=value</c>, without those that name files.</param>
    /// <param name="sources">Absolute paths of what is mounted and does not lie in the export.</param>
    /// <param name="missing">What to add to the configuration, where none permits it.</param>
    public MountRule? Find(byte[] path, string type, IReadOnlyList<string> options, IReadOnlyList<byte[]> sources, out string missing)
    {
        missing = "no rule of the export's \"mounts\" has a \"match\" for that place";
        foreach (MountRule rule in _rules)
        {
            if (!rule.IsAbout(path))
            {
                continue;
            }

            if (!rule.HasType(type))
            {
                missing = $"\"types\" of the rule of \"mounts\" for \"{rule.Match}\" does not have \"{type}\"";
            }
            else if (options.FirstOrDefault(option => !rule.HasOption(type, option)) is { } option)
            {
                missing = $"\"options\" of the rule of \"mounts\" for \"{rule.Match}\" does not have \"{option}\"";
            }
            else if (sources.FirstOrDefault(source => !rule.HasSource(source)) is { } source)
            {
                missing = $"\"sources\" of the rule of \"mounts\" for \"{rule.Match}\" does not have \"{System.Text.Encoding.UTF8.GetString(source)}\", which is not in the export";
            }
            else
            {
                missing = "";
                return rule;
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join("\n\n", _rules.Select(rule => rule.ToString()));

    /// <inheritdoc/>
    public bool Equals(MountRules? other) => other is not null && ToString() == other.ToString();

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as MountRules);

    /// <inheritdoc/>
    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);
}
