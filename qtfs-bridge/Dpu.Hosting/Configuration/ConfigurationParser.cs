using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Dpu.Hosting.Configuration;

/// <summary>
/// Reads JSON (RFC 8259, with comments) into nodes that know their lines. Pure; never throws, whatever the bytes.
/// </summary>
internal static class ConfigurationParser
{
    /// <summary>Bytes a file may have. A configuration of 10,000 exports has about 1.5 MB; more is a wrong file.</summary>
    public const int MaxLength = 16 * 1024 * 1024;

    /// <summary>Levels a configuration may nest; ours has five.</summary>
    private const int MaxDepth = 32;

    public static ConfigurationNode? Parse(
        ReadOnlySpan<byte> json, string source, bool hasLines, List<ConfigurationError> errors)
    {
        ReadOnlySpan<byte> text = json.StartsWith(Encoding.UTF8.Preamble) ? json[3..] : json;
        if (text.Length > MaxLength)
        {
            errors.Add(new(source, 0, string.Empty, $"is longer than {MaxLength} bytes; is this the right file?", null));
            return null;
        }

        if (!Utf8.IsValid(text))
        {
            errors.Add(new(source, 0, string.Empty, "is not UTF-8 text", "JSON in UTF-8"));
            return null;
        }

        var run = new Run(text, source, hasLines, errors);
        return run.Document();
    }

    private ref struct Run
    {
        private readonly ReadOnlySpan<byte> _text;
        private readonly string _source;
        private readonly bool _hasLines;
        private readonly List<ConfigurationError> _errors;
        private Utf8JsonReader _reader;
        private int _countedTo;
        private int _line;

        public Run(ReadOnlySpan<byte> text, string source, bool hasLines, List<ConfigurationError> errors)
        {
            _text = text;
            _source = source;
            _hasLines = hasLines;
            _errors = errors;
            _line = 1;
            _reader = new Utf8JsonReader(
                text, new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, MaxDepth = MaxDepth });
        }

        public ConfigurationNode? Document()
        {
            try
            {
                if (!_reader.Read())
                {
                    return null;
                }

                ConfigurationNode node = Value(string.Empty);
                // Anything but comments after the value makes this throw.
                _ = _reader.Read();
                return node;
            }
            catch (JsonException e)
            {
                // Expected: the text is not JSON. The exception's own text repeats the place in its own words.
                int cut = e.Message.IndexOf(" LineNumber:", StringComparison.Ordinal);
                string reason = cut < 0 ? e.Message : e.Message[..cut];
                int line = _hasLines ? (int)Math.Min(int.MaxValue, (e.LineNumber ?? 0) + 1) : 0;
                _errors.Add(new(_source, line, string.Empty, $"is not JSON: {reason}", "JSON with // comments"));
                return null;
            }
            catch (InvalidOperationException)
            {
                // Expected: an escape such as "\ud800" is JSON but no Unicode text.
                _errors.Add(new(_source, Line(), string.Empty, "has an escape that is no Unicode character", null));
                return null;
            }
        }

        private ConfigurationNode Value(string path)
        {
            int line = Line();
            switch (_reader.TokenType)
            {
                case JsonTokenType.StartObject:
                    return Object(path, line);
                case JsonTokenType.StartArray:
                    return Array(path, line);
                case JsonTokenType.String:
                    return new(ConfigurationNodeKind.String, _source, line) { Text = _reader.GetString() ?? string.Empty };
                case JsonTokenType.Number:
                    return new(ConfigurationNodeKind.Number, _source, line)
                    {
                        Text = Encoding.UTF8.GetString(_reader.ValueSpan),
                    };
                case JsonTokenType.True or JsonTokenType.False:
                    return new(ConfigurationNodeKind.Boolean, _source, line)
                    {
                        Text = _reader.TokenType == JsonTokenType.True ? "true" : "false",
                    };
                default:
                    return new(ConfigurationNodeKind.Null, _source, line);
            }
        }

        private ConfigurationNode Object(string path, int line)
        {
            var node = new ConfigurationNode(ConfigurationNodeKind.Object, _source, line);
            while (_reader.Read() && _reader.TokenType != JsonTokenType.EndObject)
            {
                string name = _reader.GetString() ?? string.Empty;
                string key = path.Length == 0 ? name : $"{path}.{name}";
                int at = Line();
                _ = _reader.Read();
                if (!node.TryAdd(name, Value(key)))
                {
                    _errors.Add(new(_source, at, key, "is given twice", "each key once"));
                }
            }

            return node;
        }

        private ConfigurationNode Array(string path, int line)
        {
            var node = new ConfigurationNode(ConfigurationNodeKind.Array, _source, line);
            while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
            {
                node.Items.Add(Value($"{path}[{node.Items.Count}]"));
            }

            return node;
        }

        // Tokens come in order, so the newlines are counted once over the whole text.
        private int Line()
        {
            if (!_hasLines)
            {
                return 0;
            }

            int to = (int)Math.Min(_reader.TokenStartIndex, _text.Length);
            if (to > _countedTo)
            {
                _line += _text[_countedTo..to].Count((byte)'\n');
                _countedTo = to;
            }

            return _line;
        }
    }
}
