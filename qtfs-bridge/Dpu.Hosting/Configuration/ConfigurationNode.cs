namespace Dpu.Hosting.Configuration;

/// <summary>The kinds of JSON value.</summary>
internal enum ConfigurationNodeKind
{
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

/// <summary>
/// A JSON value that knows where it was written. Values of the environment and of flags are laid over those of the
/// file, so a tree may hold nodes of several sources.
/// </summary>
internal sealed class ConfigurationNode(ConfigurationNodeKind kind, string source, int line)
{
    private readonly Dictionary<string, ConfigurationNode> _members = new(StringComparer.Ordinal);

    public ConfigurationNodeKind Kind { get; } = kind;

    /// <summary>File name, <c>environment NAME</c> or <c>--set KEY=VALUE</c>.</summary>
    public string Source { get; } = source;

    /// <summary>Line from 1; 0 where the source has none.</summary>
    public int Line { get; } = line;

    /// <summary>A string's text; a number's digits; <c>true</c> or <c>false</c>.</summary>
    public string Text { get; init; } = string.Empty;

    /// <summary>Set on text of the environment and of flags, which have no types: it may stand for a number too.</summary>
    public bool Untyped { get; init; }

    public List<ConfigurationNode> Items { get; } = [];

    public IReadOnlyDictionary<string, ConfigurationNode> Members => _members;

    public ConfigurationNode? Member(string name) => _members.GetValueOrDefault(name);

    public bool TryAdd(string name, ConfigurationNode value) => _members.TryAdd(name, value);

    public void Set(string name, ConfigurationNode value) => _members[name] = value;

    /// <summary>How an error names the kind.</summary>
    public string KindName => Kind switch
    {
        ConfigurationNodeKind.Object => "an object",
        ConfigurationNodeKind.Array => "a list",
        ConfigurationNodeKind.String => "a string",
        ConfigurationNodeKind.Number => "a number",
        ConfigurationNodeKind.Boolean => "true or false",
        _ => "null",
    };
}
