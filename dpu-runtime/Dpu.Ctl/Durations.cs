using System.CommandLine;
using System.CommandLine.Parsing;
using Dpu.Hosting.Configuration;

namespace Dpu.Ctl;

/// <summary>Options that take a duration such as <c>60s</c>.</summary>
internal static class Durations
{
    public static Option<DurationValue> Option(string name, string description, TimeSpan otherwise, bool recursive = false) => new(name)
    {
        Description = description,
        HelpName = "DURATION",
        DefaultValueFactory = _ => new DurationValue(otherwise),
        CustomParser = Parse,
        Recursive = recursive,
    };

    /// <summary>An option without a default.</summary>
    public static Option<DurationValue?> Optional(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "DURATION",
        CustomParser = result => Parse(result) is { Span: { Ticks: > 0 } } value ? value : Refuse(result),
    };

    private static DurationValue? Refuse(ArgumentResult result)
    {
        if (!result.Errors.Any())
        {
            result.AddError("a time between reports must be longer than 0");
        }

        return null;
    }

    private static DurationValue Parse(ArgumentResult result)
    {
        string text = string.Join(' ', result.Tokens.Select(t => t.Value));
        if (DurationText.TryParse(text, out TimeSpan value))
        {
            return new DurationValue(value);
        }

        result.AddError($"'{text}' is no duration; allowed: {DurationText.Allowed}");
        return default;
    }
}

/// <summary>A duration that the help shows as it is typed.</summary>
internal readonly record struct DurationValue(TimeSpan Span)
{
    public override string ToString() => DurationText.Format(Span);
}
