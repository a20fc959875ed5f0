using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Configuration;

/// <summary>How log lines are written.</summary>
public enum LogFormat
{
    /// <summary>One readable line an entry; with the journal's priority prefix under systemd.</summary>
    Text,

    /// <summary>One JSON object a line.</summary>
    Json,
}

/// <summary>The log. Immutable.</summary>
/// <param name="Level">Entries below it are not written.</param>
/// <param name="Format">How they are written.</param>
public sealed record LogConfiguration(LogLevel Level, LogFormat Format)
{
    internal static LogConfiguration Read(ObjectReader? reader)
    {
        if (reader is null)
        {
            return new(LogLevel.Information, LogFormat.Text);
        }

        LogLevel level = reader.Choice(
            "level",
            LogLevel.Information,
            (nameof(LogLevel.Trace), LogLevel.Trace),
            (nameof(LogLevel.Debug), LogLevel.Debug),
            (nameof(LogLevel.Information), LogLevel.Information),
            (nameof(LogLevel.Warning), LogLevel.Warning),
            (nameof(LogLevel.Error), LogLevel.Error),
            (nameof(LogLevel.Critical), LogLevel.Critical));
        LogFormat format = reader.Choice("format", LogFormat.Text, ("text", LogFormat.Text), ("json", LogFormat.Json));
        reader.End();
        return new(level, format);
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("log");
        writer.WriteString("level", Level.ToString());
        writer.WriteString("format", Format == LogFormat.Json ? "json" : "text");
        writer.WriteEndObject();
    }
}
