using System.Text;

namespace Dpu.Hosting.Metrics;

/// <summary>
/// Names of OpenTelemetry as Prometheus writes them: dots become underscores, the unit is spelled out at the end,
/// counters end with <c>_total</c> (OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility"). Pure.
/// </summary>
public static class PrometheusName
{
    /// <summary>The name of an instrument.</summary>
    /// <param name="name">The instrument's name, such as <c>dpu.link.handshake.duration</c>.</param>
    /// <param name="unit">Its unit (UCUM), such as <c>s</c>, <c>By</c>, <c>1</c> or <c>{request}</c>; null for none.</param>
    /// <param name="isCounter">Whether it only grows.</param>
    public static string Of(string name, string? unit, bool isCounter)
    {
        ArgumentNullException.ThrowIfNull(name);
        string text = Sanitise(name);
        string suffix = unit switch
        {
            "s" => "_seconds",
            "ms" => "_milliseconds",
            "By" => "_bytes",
            "By/s" => "_bytes_per_second",
            // A ratio is a gauge; a dimensionless counter just counts.
            "1" => isCounter ? string.Empty : "_ratio",
            _ => string.Empty,
        };
        if (!text.EndsWith(suffix, StringComparison.Ordinal))
        {
            text += suffix;
        }

        return isCounter && !text.EndsWith("_total", StringComparison.Ordinal) ? text + "_total" : text;
    }

    /// <summary>A name of letters, digits and underscores that does not begin with a digit.</summary>
    public static string Sanitise(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var clean = new StringBuilder(name.Length + 1);
        if (name.Length == 0 || char.IsAsciiDigit(name[0]))
        {
            _ = clean.Append('_');
        }

        foreach (char c in name)
        {
            _ = clean.Append(char.IsAsciiLetterOrDigit(c) ? c : '_');
        }

        return clean.ToString();
    }

    /// <summary>A label's value with backslash, quote and line feed escaped.</summary>
    public static string EscapeLabel(string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        return value.Replace("\\", "\\\\", StringComparison.Ordinal)
            .Replace("\"", "\\\"", StringComparison.Ordinal)
            .Replace("\n", "\\n", StringComparison.Ordinal);
    }

    /// <summary>A help text with backslash and line feed escaped.</summary>
    public static string EscapeHelp(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
    }
}
