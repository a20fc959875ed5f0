using System.Globalization;
using System.Text;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Ctl.Output;

/// <summary>Values as people read them. Pure.</summary>
internal static class Human
{
    private static readonly string[] _byteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>A duration in its two largest units: <c>3d 4h</c>, <c>12s</c>, <c>1.5ms</c>.</summary>
    public static string Duration(TimeSpan span)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        if (span < TimeSpan.Zero)
        {
            return "-" + Duration(span == TimeSpan.MinValue ? TimeSpan.MaxValue : span.Negate());
        }

        return span switch
        {
            { TotalDays: >= 1 } => string.Create(culture, $"{(long)span.TotalDays}d {span.Hours}h"),
            { TotalHours: >= 1 } => string.Create(culture, $"{span.Hours}h {span.Minutes}m"),
            { TotalMinutes: >= 1 } => string.Create(culture, $"{span.Minutes}m {span.Seconds}s"),
            { TotalSeconds: >= 1 } => string.Create(culture, $"{span.TotalSeconds:0.#}s"),
            { Ticks: 0 } => "0s",
            { TotalMilliseconds: >= 1 } => string.Create(culture, $"{span.TotalMilliseconds:0.#}ms"),
            _ => string.Create(culture, $"{span.TotalMicroseconds:0}us"),
        };
    }

    /// <summary>A duration of a message; a dash where it is absent.</summary>
    public static string Duration(Duration? duration) => duration is null ? "-" : Duration(Span(duration));

    /// <summary>A duration of a message as a span; out of a span's range, the nearest.</summary>
    public static TimeSpan Span(Duration duration)
    {
        const long Most = 10_000_000_000L;
        return duration.Seconds is > Most or < -Most
            ? TimeSpan.FromSeconds(Math.Sign(duration.Seconds) * (double)Most)
            : TimeSpan.FromTicks((duration.Seconds * TimeSpan.TicksPerSecond) + (duration.Nanos / 100));
    }

    /// <summary>How long ago; a dash where the time is absent.</summary>
    public static string Age(Timestamp? time, DateTimeOffset now) =>
        time is null ? "-" : Duration(TimeSpan.FromSeconds(Math.Max(0, now.ToUnixTimeSeconds() - time.Seconds)));

    /// <summary>A latency; a dash where there is none.</summary>
    public static string Latency(TimeSpan? latency) => latency is { } known ? Duration(known) : "-";

    /// <summary>Events a second: <c>0.25/s</c>, <c>12.3/s</c>, <c>45.6k/s</c>; a dash where it is not known.</summary>
    public static string Rate(double? perSecond)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        return perSecond switch
        {
            null => "-",
            >= 1e6 and { } value => string.Create(culture, $"{value / 1e6:0.#}M/s"),
            >= 1e4 and { } value => string.Create(culture, $"{value / 1e3:0.#}k/s"),
            >= 10 and { } value => string.Create(culture, $"{value:0.#}/s"),
            { } value => string.Create(culture, $"{value:0.##}/s"),
        };
    }

    /// <summary>Bytes a second; a dash where it is not known.</summary>
    public static string ByteRate(double? perSecond) =>
        perSecond is { } value ? Bytes((ulong)Math.Clamp(value, 0, 1e19)) + "/s" : "-";

    /// <summary>Bytes: <c>1.5 GiB</c>.</summary>
    public static string Bytes(ulong bytes)
    {
        double value = bytes;
        int unit = 0;
        while (value >= 1024 && unit < _byteUnits.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{value:0.#} {_byteUnits[unit]}");
    }

    /// <summary>A time of a message; null where it is absent or out of range.</summary>
    public static DateTimeOffset? Instant(Timestamp? time) => time is null || Time(time) == "-"
        ? null
        : DateTimeOffset.FromUnixTimeSeconds(time.Seconds).AddTicks(Math.Clamp(time.Nanos, 0, 999_999_999) / 100);

    /// <summary>A time in UTC to the second; a dash where it is absent or out of range.</summary>
    public static string Time(Timestamp? time)
    {
        // The years 1 to 9999, as timestamp.proto allows; a peer may send others.
        const long Least = -62_135_596_800, Most = 253_402_300_799;
        return time is null || time.Seconds is < Least or > Most
            ? "-"
            : DateTimeOffset.FromUnixTimeSeconds(time.Seconds).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
    }

    /// <summary>
    /// Text of the other end on one line, with control characters shown as <c>\xNN</c>: what a host says must not
    /// steer the operator's terminal.
    /// </summary>
    public static string Clean(string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            return string.Empty;
        }

        var clean = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            _ = c is '\n' or '\r' or '\t' ? clean.Append(' ')
                : char.IsControl(c) || IsDirectional(c) ? clean.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}")
                : clean.Append(c);
        }

        return clean.ToString();
    }

    // Marks that turn the direction of text can make a name look like another.
    private static bool IsDirectional(char c) =>
        c is '\u200e' or '\u200f' or (>= '\u202a' and <= '\u202e') or (>= '\u2066' and <= '\u2069');
}
