using System.IO.Enumeration;
using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>A rule on tap and tun interfaces. Immutable.</summary>
/// <param name="Match">A pattern of names, with <c>*</c> and <c>?</c>.</param>
/// <param name="Create">Whether one that is not there is made.</param>
public sealed record InterfaceRule(string Match, bool Create);

/// <summary>Which tap and tun interfaces of this machine the other end's programs may have that pass one of the same name. Immutable; equal where the rules are.</summary>
/// <param name="rules">The rules; without any nothing may be had.</param>
public sealed class InterfaceRules(IReadOnlyList<InterfaceRule> rules) : IEquatable<InterfaceRules>
{
    private const int Most = 64;

    // IFNAMSIZ of the kernel, without the end.
    private const int MaxSize = 15;

    /// <summary>Nothing.</summary>
    public static InterfaceRules None { get; } = new([]);

    /// <summary>The rules.</summary>
    public IReadOnlyList<InterfaceRule> Rules => rules;

    /// <summary>Whether an interface may be made; null where not even one may be had that there is.</summary>
    public bool? Find(string name)
    {
        bool? found = null;
        foreach (InterfaceRule rule in rules)
        {
            if (FileSystemName.MatchesSimpleExpression(rule.Match, name, ignoreCase: false))
            {
                found = rule.Create || found == true;
            }
        }

        return found;
    }

    internal static InterfaceRules Read(ObjectReader reader, string key)
    {
        List<InterfaceRule> list = reader.Objects(key, Read);
        if (list.Count > Most)
        {
            reader.Error(key, $"has {list.Count} rules", $"at most {Most}");
        }

        return new InterfaceRules(list);
    }

    internal void WriteTo(Utf8JsonWriter writer, string name)
    {
        writer.WriteStartArray(name);
        foreach (InterfaceRule rule in rules)
        {
            writer.WriteStartObject();
            writer.WriteString("match", rule.Match);
            writer.WriteBoolean("create", rule.Create);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    /// <inheritdoc/>
    public bool Equals(InterfaceRules? other) => other is not null && rules.SequenceEqual(other.Rules);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as InterfaceRules);

    /// <inheritdoc/>
    public override int GetHashCode() => rules.Count;

    private static InterfaceRule Read(ObjectReader reader)
    {
        var rule = new InterfaceRule(reader.RequiredString("match", Problem, "a pattern of interfaces' names (vnet*)"), reader.Boolean("create", false));
        reader.End();
        return rule;
    }

    private static string? Problem(string text) =>
        text.Length is 0 or > MaxSize ? $"has no or more than {MaxSize} characters"
        : text.Any(one => one is <= ' ' or > '~' or '/' or ':' or '%' or '\\') ? "has a character that no interface's name has"
        : null;
}
