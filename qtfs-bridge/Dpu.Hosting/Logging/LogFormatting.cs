using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Logging;

/// <summary>Turns entries into lines. Pure.</summary>
public static class LogFormatting
{
    /// <summary>
    /// The journal's format (sd-daemon(3)): <c>&lt;N&gt;</c>, N being syslog's severity, before every line; no time, as
    /// the journal has its own.
    /// </summary>
    public static string Journal(LogEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        char digit = entry.Level switch
        {
            LogLevel.Critical => '2',
            LogLevel.Error => '3',
            LogLevel.Warning => '4',
            LogLevel.Information => '6',
            _ => '7',
        };
        var text = new StringBuilder();
        foreach (string line in Body(entry).Split('\n'))
        {
            _ = text.Append('<').Append(digit).Append('>').Append(line).Append('\n');
        }

        return text.ToString();
    }

    /// <summary>A line for people: time, level, body. Further lines are indented.</summary>
    public static string Text(LogEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        string body = Body(entry).Replace("\n", "\n    ", StringComparison.Ordinal);
        string time = entry.Time.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        return $"{time} {Word(entry.Level),-5} {body}\n";
    }

    /// <summary>One JSON object: time, level, category, eventId, event, message, exception, properties.</summary>
    public static string Json(LogEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("time", entry.Time.ToString("O", CultureInfo.InvariantCulture));
            writer.WriteString("level", Word(entry.Level));
            writer.WriteString("category", entry.Category);
            writer.WriteNumber("eventId", entry.EventId.Id);
            if (entry.EventId.Name is { } name)
            {
                writer.WriteString("event", name);
            }

            writer.WriteString("message", entry.Message);
            if (entry.Exception is { } exception)
            {
                writer.WriteString("exception", exception.ToString());
            }

            if (entry.Properties is { Count: > 0 } properties)
            {
                WriteProperties(writer, properties);
            }

            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length) + "\n";
    }

    private static void WriteProperties(Utf8JsonWriter writer, IReadOnlyList<KeyValuePair<string, object?>> properties)
    {
        writer.WriteStartObject("properties");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach ((string key, object? value) in properties)
        {
            if (key == "{OriginalFormat}" || !seen.Add(key))
            {
                continue;
            }

            switch (value)
            {
                case null:
                    writer.WriteNull(key);
                    break;
                case bool flag:
                    writer.WriteBoolean(key, flag);
                    break;
                case int or long or uint or short or ushort or byte or sbyte:
                    writer.WriteNumber(key, Convert.ToInt64(value, CultureInfo.InvariantCulture));
                    break;
                case ulong number:
                    writer.WriteNumber(key, number);
                    break;
                default:
                    writer.WriteString(key, Convert.ToString(value, CultureInfo.InvariantCulture));
                    break;
            }
        }

        writer.WriteEndObject();
    }

    // The component's last name suffices: event ids are unique across components.
    private static string Body(LogEntry entry)
    {
        string component = entry.Category[(entry.Category.LastIndexOf('.') + 1)..];
        string id = entry.EventId.Id == 0
            ? string.Empty
            : string.Create(CultureInfo.InvariantCulture, $"[{entry.EventId.Id} {entry.EventId.Name}]");
        string exception = entry.Exception is null ? string.Empty : $"\n{entry.Exception}";
        return Printable($"{component}{id}: {entry.Message}{exception}");
    }

    // A peer's name or a file's may hold escape sequences, or line breaks that forge an entry's beginning. Line breaks
    // are kept (an exception has them) and every further line is marked by the caller.
    private static string Printable(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\0', '\x1f') && !text.AsSpan().ContainsAnyInRange('\x7f', '\x9f'))
        {
            return text;
        }

        var clean = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            if (c is '\n' or '\t' || !char.IsControl(c))
            {
                _ = clean.Append(c);
            }
            else if (c != '\r')
            {
                _ = clean.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
            }
        }

        return clean.ToString();
    }

    private static string Word(LogLevel level) => level switch
    {
        LogLevel.Trace => "trace",
        LogLevel.Debug => "debug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "error",
        _ => "crit",
    };
}
