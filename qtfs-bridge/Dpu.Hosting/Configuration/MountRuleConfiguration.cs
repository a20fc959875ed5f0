using System.Text;
using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>What programs of DPUs may mount in some places of an export. Immutable; equal where the rules are.</summary>
/// <param name="Match">Where: a pattern of names, or of paths below the export.</param>
/// <param name="Types">Types of file systems, and "bind".</param>
/// <param name="Options">Patterns of their options; null for those that do no harm.</param>
/// <param name="Sources">Absolute paths, or patterns of them, that may be mounted besides what is in the export.</param>
/// <param name="AllowSuid">Whether setuid bits count there.</param>
/// <param name="AllowDev">Whether device nodes work there.</param>
public sealed record MountRuleConfiguration(string Match, IReadOnlyList<string> Types, IReadOnlyList<string>? Options, IReadOnlyList<string> Sources, bool AllowSuid, bool AllowDev)
{
    private const int Most = 64;
    private const int MostWords = 64;
    private const int LongestWord = 256;

    // Their options are descriptors of the process that mounts, which here is the agent.
    private static readonly string[] s_never = ["fuse", "fuseblk", "autofs", "9p", "none"];

    internal static IReadOnlyList<MountRuleConfiguration> ReadList(ObjectReader reader, string key)
    {
        List<MountRuleConfiguration> list = reader.Objects(key, Read);
        if (list.Count > Most)
        {
            reader.Error(key, $"has {list.Count} rules", $"at most {Most}");
        }

        return list;
    }

    internal static void WriteList(Utf8JsonWriter writer, string name, IReadOnlyList<MountRuleConfiguration> list)
    {
        writer.WriteStartArray(name);
        foreach (MountRuleConfiguration rule in list)
        {
            writer.WriteStartObject();
            writer.WriteString("match", rule.Match);
            writer.WriteStrings("types", rule.Types);
            if (rule.Options is not null)
            {
                writer.WriteStrings("options", rule.Options);
            }

            writer.WriteStrings("sources", rule.Sources);
            writer.WriteBoolean("allowSuid", rule.AllowSuid);
            writer.WriteBoolean("allowDev", rule.AllowDev);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    /// <inheritdoc/>
    public bool Equals(MountRuleConfiguration? other) => other is not null && Match == other.Match && Types.SequenceEqual(other.Types) && Sources.SequenceEqual(other.Sources)
        && (Options is null) == (other.Options is null) && (Options ?? []).SequenceEqual(other.Options ?? []) && (AllowSuid, AllowDev) == (other.AllowSuid, other.AllowDev);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Match, Types.Count, Sources.Count, AllowSuid, AllowDev);

    private static MountRuleConfiguration Read(ObjectReader reader)
    {
        var rule = new MountRuleConfiguration(
            reader.RequiredString("match", text => ExportConfiguration.Pattern(text).Problem, "a pattern of names (rootfs) or of paths below the export (containerd/**)"),
            reader.Strings<string>("types", Type, "a type of a file system as mount(2) has it (overlay, tmpfs), or \"bind\""),
            reader.Has("options") ? reader.Strings<string>("options", Word, "a pattern of an option (size=*, ro)") : null,
            reader.Strings<string>("sources", Source, "an absolute path of this host, or a pattern of such (/dev/vd*)"),
            reader.Boolean("allowSuid", false),
            reader.Boolean("allowDev", false));
        if (rule.Types.Count is 0 or > MostWords)
        {
            reader.Error("types", $"has {rule.Types.Count} types", $"1 to {MostWords}: a rule without a type permits nothing");
        }

        if ((rule.Options?.Count ?? 0) > MostWords || rule.Sources.Count > MostWords)
        {
            reader.Error(rule.Sources.Count > MostWords ? "sources" : "options", $"has more than {MostWords} patterns", $"at most {MostWords}");
        }

        reader.End();
        return rule;
    }

    private static (string? Value, string? Problem) Type(string text) =>
        s_never.Contains(text, StringComparer.Ordinal) ? (null, $"\"{text}\" cannot be mounted for a DPU: its options name descriptors of the process that mounts")
        : text.Length is 0 or > 64 || text.Any(letter => !char.IsAsciiLetterOrDigit(letter) && letter is not ('_' or '-' or '.')) ? (null, $"\"{text}\" is no type of a file system")
        : (text, null);

    private static (string? Value, string? Problem) Word(string text) =>
        text.Length == 0 || Encoding.UTF8.GetByteCount(text) > LongestWord || text.Contains('\0', StringComparison.Ordinal) ? (null, $"\"{text}\" is empty, longer than {LongestWord} bytes, or has a NUL") : (text, null);

    private static (string? Value, string? Problem) Source(string text) =>
        !text.StartsWith('/') ? (null, $"\"{text}\" does not begin with a slash") : ExportConfiguration.Pattern(text);
}
