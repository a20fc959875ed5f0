using System.Globalization;
using System.Text;

namespace Dpu.Hosting.Configuration;

/// <summary>
/// Lays values of the environment (<c>DPU_AGENT__log__level=Debug</c>) and of flags (<c>--set log.level=Debug</c>) over
/// those of the file. A value that begins with '[' or '{' is JSON and replaces the whole list or object.
/// </summary>
internal static class ConfigurationOverrides
{
    /// <summary>Lays one value over the tree.</summary>
    /// <param name="root">The tree.</param>
    /// <param name="path">The key's steps; a number is a place in a list (its end appends).</param>
    /// <param name="value">The text.</param>
    /// <param name="source">How errors name where it came from.</param>
    /// <param name="errors">Gets what is wrong with the path.</param>
    public static void Apply(
        ConfigurationNode root, string[] path, string value, string source, List<ConfigurationError> errors)
    {
        string key = string.Join('.', path);
        if (path.Length == 0 || Array.Exists(path, string.IsNullOrEmpty))
        {
            errors.Add(new(source, 0, key, "names no key", "KEY or KEY.KEY, such as log.level"));
            return;
        }

        ConfigurationNode? leaf = Leaf(value, source, errors);
        if (leaf is null)
        {
            return;
        }

        ConfigurationNode at = root;
        for (int i = 0; i < path.Length; i++)
        {
            ConfigurationNode? next = i == path.Length - 1 ? leaf : null;
            ConfigurationNodeKind childKind = i + 1 < path.Length && IsIndex(path[i + 1], out _)
                ? ConfigurationNodeKind.Array
                : ConfigurationNodeKind.Object;
            ConfigurationNode? child = at.Kind switch
            {
                ConfigurationNodeKind.Object => Member(at, path[i], next, childKind, source),
                ConfigurationNodeKind.Array => Item(at, path[i], next, childKind, source),
                _ => null,
            };
            if (child is null)
            {
                errors.Add(new(source, 0, string.Join('.', path[..(i + 1)]), Refusal(at, path[i]), null));
                return;
            }

            at = child;
        }
    }

    private static string Refusal(ConfigurationNode at, string step) => at.Kind == ConfigurationNodeKind.Array
        ? $"'{step}' is no place in a list of {at.Items.Count.ToString(CultureInfo.InvariantCulture)}; the next free one is {at.Items.Count.ToString(CultureInfo.InvariantCulture)}"
        : $"the key above it is {at.KindName} and has no '{step}'";

    private static ConfigurationNode? Leaf(string value, string source, List<ConfigurationError> errors) =>
        value.StartsWith('[') || value.StartsWith('{')
            ? ConfigurationParser.Parse(Encoding.UTF8.GetBytes(value), source, hasLines: false, errors)
            : new(ConfigurationNodeKind.String, source, 0) { Text = value, Untyped = true };

    private static ConfigurationNode Member(
        ConfigurationNode at, string name, ConfigurationNode? leaf, ConfigurationNodeKind kind, string source)
    {
        if (leaf is null && at.Member(name) is { } there)
        {
            return there;
        }

        ConfigurationNode made = leaf ?? new(kind, source, 0);
        at.Set(name, made);
        return made;
    }

    private static ConfigurationNode? Item(
        ConfigurationNode at, string step, ConfigurationNode? leaf, ConfigurationNodeKind kind, string source)
    {
        if (!IsIndex(step, out int index) || index > at.Items.Count)
        {
            return null;
        }

        if (leaf is null && index < at.Items.Count)
        {
            return at.Items[index];
        }

        ConfigurationNode made = leaf ?? new(kind, source, 0);
        if (index == at.Items.Count)
        {
            at.Items.Add(made);
        }
        else
        {
            at.Items[index] = made;
        }

        return made;
    }

    private static bool IsIndex(string step, out int index) =>
        int.TryParse(step, NumberStyles.None, CultureInfo.InvariantCulture, out index);
}
