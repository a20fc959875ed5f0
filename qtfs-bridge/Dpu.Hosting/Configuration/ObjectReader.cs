using System.Globalization;

namespace Dpu.Hosting.Configuration;

/// <summary>
/// Takes the keys of one object, checks each, and collects what is wrong, so that one run shows every error.
/// A key that nobody took is unknown: <see cref="End"/> says so.
/// </summary>
internal sealed class ObjectReader
{
    private readonly ConfigurationNode? _node;
    private readonly List<string> _known = [];
    private readonly List<ConfigurationError> _errors;

    /// <param name="node">The object; null or of another kind reads as empty (the caller has reported it).</param>
    /// <param name="path">Its key's path; empty at the top.</param>
    /// <param name="errors">Gets what is wrong.</param>
    /// <param name="warnings">Gets what is doubtful.</param>
    public ObjectReader(
        ConfigurationNode? node, string path, List<ConfigurationError> errors, List<ConfigurationError> warnings)
    {
        _node = node;
        Path = path;
        _errors = errors;
        Warnings = warnings;
    }

    public string Path { get; }

    public List<ConfigurationError> Warnings { get; }

    public int ErrorCount => _errors.Count;

    /// <summary>The line that the object begins in; 0 where its source has none.</summary>
    public int Line => _node?.Line ?? 0;

    public bool Has(string key) => Take(key) is not null;

    public string Key(string key) => Path.Length == 0 ? key : $"{Path}.{key}";

    /// <summary>Reports what is wrong with a key (or, with an empty one, with this object), at its own line.</summary>
    public void Error(string key, string message, string? allowed) => _errors.Add(Place(key, message, allowed));

    /// <summary>Reports what works but is doubtful.</summary>
    public void Warn(string key, string message) => Warnings.Add(Place(key, message, null));

    public string? OptionalString(string key, Func<string, string?>? problem = null, string? allowed = null)
    {
        if (Take(key) is not { } node)
        {
            return null;
        }

        if (node.Kind != ConfigurationNodeKind.String)
        {
            Error(key, $"is {node.KindName}", allowed ?? "a string");
            return null;
        }

        if (problem?.Invoke(node.Text) is { } wrong)
        {
            Error(key, wrong, allowed);
            return null;
        }

        return node.Text;
    }

    /// <summary>A string that must be there; empty where it is not (the error is reported).</summary>
    public string RequiredString(string key, Func<string, string?>? problem = null, string? allowed = null)
    {
        if (Take(key) is null)
        {
            Error(key, "is missing", allowed ?? "a string");
            return string.Empty;
        }

        return OptionalString(key, problem, allowed) ?? string.Empty;
    }

    public bool Boolean(string key, bool otherwise)
    {
        if (Take(key) is not { } node)
        {
            return otherwise;
        }

        if (node.Kind == ConfigurationNodeKind.Boolean || (node.Untyped && node.Text is "true" or "false"))
        {
            return node.Text == "true";
        }

        Error(key, $"is {Shown(node)}", "true, false");
        return otherwise;
    }

    public long Integer(string key, long otherwise, long least, long most) =>
        OptionalInteger(key, least, most) ?? otherwise;

    public long? OptionalInteger(string key, long least, long most)
    {
        if (Take(key) is not { } node)
        {
            return null;
        }

        string allowed = string.Create(CultureInfo.InvariantCulture, $"a whole number of {least} to {most}");
        bool isNumber = node.Kind == ConfigurationNodeKind.Number || node.Untyped;
        if (!isNumber || !long.TryParse(node.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value))
        {
            Error(key, $"is {Shown(node)}", allowed);
            return null;
        }

        if (value < least || value > most)
        {
            Error(key, $"is {value.ToString(CultureInfo.InvariantCulture)}", allowed);
            return null;
        }

        return value;
    }

    public TimeSpan Duration(string key, TimeSpan otherwise, TimeSpan least, TimeSpan most)
    {
        string allowed = $"{DurationText.Allowed}, of {DurationText.Format(least)} to {DurationText.Format(most)}";
        if (OptionalString(key, null, allowed) is not { } text)
        {
            return otherwise;
        }

        if (!DurationText.TryParse(text, out TimeSpan value) || value < least || value > most)
        {
            Error(key, $"is \"{text}\"", allowed);
            return otherwise;
        }

        return value;
    }

    public T Choice<T>(string key, T otherwise, params (string Word, T Value)[] choices)
    {
        string allowed = string.Join(", ", choices.Select(c => $"\"{c.Word}\""));
        if (OptionalString(key, null, allowed) is not { } text)
        {
            return otherwise;
        }

        foreach ((string word, T value) in choices)
        {
            if (word == text)
            {
                return value;
            }
        }

        string? meant = Suggestion.For(text, choices.Select(c => c.Word));
        Error(key, $"is \"{text}\"{(meant is null ? string.Empty : $"; did you mean \"{meant}\"?")}", allowed);
        return otherwise;
    }

    /// <summary>An object; null where the key is not there.</summary>
    public ObjectReader? Object(string key)
    {
        if (Take(key) is not { } node)
        {
            return null;
        }

        if (node.Kind != ConfigurationNodeKind.Object)
        {
            Error(key, $"is {node.KindName}", "an object");
            return null;
        }

        return new ObjectReader(node, Key(key), _errors, Warnings);
    }

    /// <summary>A list of objects; empty where the key is not there.</summary>
    public List<T> Objects<T>(string key, Func<ObjectReader, T> read)
    {
        var list = new List<T>();
        foreach ((ConfigurationNode item, string path) in Items(key, "a list of objects"))
        {
            if (item.Kind == ConfigurationNodeKind.Object)
            {
                list.Add(read(new ObjectReader(item, path, _errors, Warnings)));
            }
            else
            {
                _errors.Add(new(item.Source, item.Line, path, $"is {item.KindName}", "an object"));
            }
        }

        return list;
    }

    /// <summary>A list of strings, each converted; one that does not convert is reported and left out.</summary>
    public List<T> Strings<T>(string key, Func<string, (T? Value, string? Problem)> convert, string allowed)
        where T : class
    {
        var list = new List<T>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach ((ConfigurationNode item, string path) in Items(key, $"a list of: {allowed}"))
        {
            (T? value, string? problem) = item.Kind == ConfigurationNodeKind.String
                ? convert(item.Text)
                : (null, $"is {item.KindName}");
            if (problem is null && !seen.Add(item.Text))
            {
                problem = $"\"{item.Text}\" is given twice";
            }

            if (problem is not null)
            {
                _errors.Add(new(item.Source, item.Line, path, problem, allowed));
            }
            else if (value is not null)
            {
                list.Add(value);
            }
        }

        return list;
    }

    /// <summary>Reports every key that nobody took.</summary>
    public void End()
    {
        if (_node?.Kind != ConfigurationNodeKind.Object)
        {
            return;
        }

        foreach ((string name, ConfigurationNode value) in _node.Members)
        {
            if (!_known.Contains(name))
            {
                string? meant = Suggestion.For(name, _known);
                _errors.Add(new(
                    value.Source,
                    value.Line,
                    Key(name),
                    meant is null ? "is not a key" : $"is not a key; did you mean \"{meant}\"?",
                    string.Join(", ", _known)));
            }
        }
    }

    private IEnumerable<(ConfigurationNode Item, string Path)> Items(string key, string allowed)
    {
        if (Take(key) is not { } node)
        {
            yield break;
        }

        if (node.Kind != ConfigurationNodeKind.Array)
        {
            Error(key, $"is {node.KindName}", allowed);
            yield break;
        }

        for (int i = 0; i < node.Items.Count; i++)
        {
            yield return (node.Items[i], string.Create(CultureInfo.InvariantCulture, $"{Key(key)}[{i}]"));
        }
    }

    private ConfigurationNode? Take(string key)
    {
        if (!_known.Contains(key))
        {
            _known.Add(key);
        }

        return _node?.Member(key);
    }

    private ConfigurationError Place(string key, string message, string? allowed)
    {
        ConfigurationNode? at = key.Length == 0 ? _node : _node?.Member(key) ?? _node;
        string path = key.Length == 0 ? Path : Key(key);
        return new(at?.Source ?? "configuration", at?.Line ?? 0, path, message, allowed);
    }

    private static string Shown(ConfigurationNode node) =>
        node.Kind is ConfigurationNodeKind.String ? $"\"{node.Text}\"" : node.Kind is ConfigurationNodeKind.Number
            ? node.Text
            : node.KindName;
}
