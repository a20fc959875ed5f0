using System.Text;
using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>
/// Loads a configuration: the file, above it the environment, above that flags. Every error is found in one go.
/// Thread-safe; throws nothing for what a file, variable or flag may hold.
/// </summary>
public static class ConfigurationLoader
{
    /// <summary>Loads from a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="environment">Variables; those that begin with the configuration's prefix count.</param>
    /// <param name="overrides">Flags as <c>KEY=VALUE</c>, keys with dots: <c>exports.0.path=/srv</c>.</param>
    public static ConfigurationResult<T> Load<T>(
        string path, IEnumerable<KeyValuePair<string, string>> environment, IEnumerable<string> overrides)
        where T : class, IDaemonConfiguration<T>
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        byte[] json;
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            // One byte more than allowed shows that the file is too long, however long it is (or grows).
            json = new byte[Math.Min(file.Length, ConfigurationParser.MaxLength) + 1];
            json = json[..file.ReadAtLeast(json, json.Length, throwOnEndOfStream: false)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            // Expected: the file is missing or not for us. The runtime's message names the path and the reason.
            return new(null, [new(path, 0, string.Empty, $"cannot be read: {e.Message}", null)], []);
        }

        return Parse<T>(json, path, environment, overrides);
    }

    /// <summary>Loads from the text of a file.</summary>
    /// <param name="json">The text.</param>
    /// <param name="name">How errors name it.</param>
    /// <param name="environment">As in <see cref="Load"/>.</param>
    /// <param name="overrides">As in <see cref="Load"/>.</param>
    public static ConfigurationResult<T> Parse<T>(
        ReadOnlySpan<byte> json,
        string name,
        IEnumerable<KeyValuePair<string, string>> environment,
        IEnumerable<string> overrides)
        where T : class, IDaemonConfiguration<T>
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(overrides);
        var errors = new List<ConfigurationError>();
        var warnings = new List<ConfigurationError>();
        ConfigurationNode? root = ConfigurationParser.Parse(json, name, hasLines: true, errors);
        if (root is null || root.Kind != ConfigurationNodeKind.Object)
        {
            if (errors.Count == 0)
            {
                errors.Add(new(name, root?.Line ?? 1, string.Empty, root is null ? "is empty" : $"is {root.KindName}", "a JSON object"));
            }

            return new(null, errors, []);
        }

        foreach ((string variable, string value) in environment.OrderBy(e => e.Key, StringComparer.Ordinal))
        {
            if (variable.StartsWith(T.EnvironmentPrefix, StringComparison.Ordinal))
            {
                string[] path = variable[T.EnvironmentPrefix.Length..].Split("__");
                ConfigurationOverrides.Apply(root, path, value, $"environment {variable}", errors);
            }
        }

        foreach (string text in overrides)
        {
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            string source = $"--set {text}";
            if (equals <= 0)
            {
                errors.Add(new(source, 0, string.Empty, "has no key and value", "KEY=VALUE, such as log.level=Debug"));
                continue;
            }

            ConfigurationOverrides.Apply(root, text[..equals].Split('.'), text[(equals + 1)..], source, errors);
        }

        T configuration = T.Read(new ObjectReader(root, string.Empty, errors, warnings));
        return new(errors.Count == 0 ? configuration : null, errors, warnings);
    }

    /// <summary>This process's environment.</summary>
    public static IReadOnlyList<KeyValuePair<string, string>> ProcessEnvironment()
    {
        var list = new List<KeyValuePair<string, string>>();
        foreach (System.Collections.DictionaryEntry entry in Environment.GetEnvironmentVariables())
        {
            list.Add(new((string)entry.Key, (string?)entry.Value ?? string.Empty));
        }

        return list;
    }

    /// <summary>The effective configuration with every key, as indented JSON.</summary>
    public static string Print<T>(T configuration)
        where T : class, IDaemonConfiguration<T>
    {
        ArgumentNullException.ThrowIfNull(configuration);
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            configuration.WriteTo(writer);
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }
}
