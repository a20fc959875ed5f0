using System.Globalization;

namespace Dpu.Hosting.Configuration;

/// <summary>Durations as people write them: <c>500ms</c>, <c>60s</c>, <c>5m</c>, <c>2h</c>, <c>1d</c>, also <c>1.5s</c>.</summary>
public static class DurationText
{
    private static readonly (string Unit, double Seconds)[] _units =
        [("us", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];

    /// <summary>What is allowed, for messages.</summary>
    public const string Allowed = "a number and a unit of ms, s, m, h or d, such as \"500ms\", \"60s\", \"5m\", \"2h\"";

    /// <summary>Reads one; false where the text is none, is negative or is longer than 10,000 days.</summary>
    public static bool TryParse(string? text, out TimeSpan duration)
    {
        duration = default;
        if (string.IsNullOrEmpty(text))
        {
            return false;
        }

        int digits = 0;
        while (digits < text.Length && (char.IsAsciiDigit(text[digits]) || text[digits] == '.'))
        {
            digits++;
        }

        string unit = text[digits..];
        foreach ((string name, double seconds) in _units)
        {
            if (unit == name
                && double.TryParse(
                    text.AsSpan(0, digits), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
                && value * seconds <= 86400.0 * 10_000)
            {
                duration = TimeSpan.FromTicks((long)Math.Round(value * seconds * TimeSpan.TicksPerSecond));
                return true;
            }
        }

        return false;
    }

    /// <summary>Writes one in the largest unit that needs no fraction; <see cref="TryParse"/> reads it back.</summary>
    public static string Format(TimeSpan duration)
    {
        long ticks = duration.Ticks;
        for (int i = _units.Length - 1; i > 0; i--)
        {
            long unit = (long)(_units[i].Seconds * TimeSpan.TicksPerSecond);
            if (ticks % unit == 0 && (ticks != 0 || _units[i].Unit == "s"))
            {
                return (ticks / unit).ToString(CultureInfo.InvariantCulture) + _units[i].Unit;
            }
        }

        return (ticks / 10.0).ToString("0.#", CultureInfo.InvariantCulture) + "us";
    }
}
