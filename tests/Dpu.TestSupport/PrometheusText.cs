using System.Globalization;
using System.Text.RegularExpressions;

namespace Dpu.TestSupport;

/// <summary>
/// Reads Prometheus' text format 0.0.4 and refuses what <c>promtool check metrics</c> refuses: broken syntax anywhere, and
/// in metrics of ours (<c>dpu_</c>) names and shapes against Prometheus' conventions.
/// </summary>
public sealed partial class PrometheusText
{
    private readonly Dictionary<string, MetricText> _families = new(StringComparer.Ordinal);
    private readonly HashSet<string> _series = new(StringComparer.Ordinal);

    private PrometheusText()
    {
    }

    /// <summary>The metrics by name.</summary>
    public IReadOnlyDictionary<string, MetricText> Families => _families;

    /// <summary>Reads a whole answer.</summary>
    /// <exception cref="FormatException">It breaks a rule; the message has the line.</exception>
    public static PrometheusText Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        Require(text.EndsWith('\n'), "the last line has no end", text);
        var parsed = new PrometheusText();
        MetricText? current = null;
        foreach (string line in text[..^1].Split('\n'))
        {
            current = line.StartsWith('#') ? parsed.Comment(line, current) : parsed.Sample(line, current);
        }

        foreach (MetricText family in parsed._families.Values)
        {
            CheckHistogram(family);
            if (family.Name.StartsWith("dpu_", StringComparison.Ordinal))
            {
                Lint(family);
            }
        }

        return parsed;
    }

    /// <summary>The value of a sample; fails where there is none or more than one.</summary>
    /// <param name="name">The sample's name, with <c>_bucket</c> and the like.</param>
    /// <param name="labels">Labels that it must have, with others or without.</param>
    public double Value(string name, params (string Name, string Value)[] labels) => Samples(name, labels).Single().Value;

    /// <summary>The samples of that name that have those labels.</summary>
    public IEnumerable<SampleText> Samples(string name, params (string Name, string Value)[] labels) => _families.Values
        .SelectMany(family => family.Samples)
        .Where(sample => sample.Name == name && labels.All(l => sample.Labels.GetValueOrDefault(l.Name) == l.Value));

    private static void Require(bool holds, string what, string line)
    {
        if (!holds)
        {
            throw new FormatException($"{what}: {line}");
        }
    }

    private MetricText Comment(string line, MetricText? current)
    {
        Match match = CommentLine().Match(line);
        Require(match.Success, "neither HELP nor TYPE", line);
        string name = match.Groups["name"].Value, rest = match.Groups["rest"].Value;
        if (current?.Name != name)
        {
            current = new MetricText(name);
            Require(_families.TryAdd(name, current), "the metric comes twice", line);
        }

        Require(current.Samples.Count == 0, "it comes after samples", line);
        if (match.Groups["what"].Value == "HELP")
        {
            Require(current.Help is null, "a second HELP", line);
            current.Help = rest;
        }
        else
        {
            Require(current.Type is null && rest is "counter" or "gauge" or "histogram" or "summary" or "untyped", "a second TYPE, or none that is known", line);
            current.Type = rest;
        }

        return current;
    }

    private MetricText Sample(string line, MetricText? current)
    {
        Match match = SampleLine().Match(line);
        Require(match.Success, "no sample", line);
        string name = match.Groups["name"].Value;
        string family = current?.Type == "histogram" ? HistogramSuffix().Replace(name, string.Empty) : name;
        Require(current is not null && family == current.Name, "not under the TYPE of its metric", line);
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (Match label in Label().Matches(match.Groups["labels"].Value))
        {
            Require(labels.TryAdd(label.Groups["name"].Value, label.Groups["value"].Value), "a label comes twice", line);
        }

        string value = match.Groups["value"].Value;
        double number = value switch
        {
            "+Inf" => double.PositiveInfinity,
            "-Inf" => double.NegativeInfinity,
            "NaN" => double.NaN,
            _ when double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out double parsed) => parsed,
            _ => throw new FormatException($"no number: {line}"),
        };
        Require(_series.Add(name + string.Join(',', labels.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"))), "the series comes twice", line);
        current!.Samples.Add(new SampleText(name, labels, number));
        return current;
    }

    private static void CheckHistogram(MetricText family)
    {
        if (family.Type != "histogram")
        {
            return;
        }

        foreach (IGrouping<string, SampleText> series in family.Samples.GroupBy(s => string.Join(',', s.Labels.Where(l => l.Key != "le").OrderBy(l => l.Key, StringComparer.Ordinal))))
        {
            string where = $"{family.Name}{{{series.Key}}}";
            SampleText[] buckets = [.. series.Where(s => s.Name == family.Name + "_bucket")];
            double[] bounds = [.. buckets.Select(b => b.Labels["le"] == "+Inf" ? double.PositiveInfinity : double.Parse(b.Labels["le"], CultureInfo.InvariantCulture))];
            Require(bounds.Length > 0 && double.IsPositiveInfinity(bounds[^1]), "no bucket for +Inf", where);
            Require(bounds.Zip(bounds.Skip(1)).All(pair => pair.First < pair.Second), "bounds do not ascend", where);
            Require(buckets.Zip(buckets.Skip(1)).All(pair => pair.First.Value <= pair.Second.Value), "buckets are not cumulative", where);
            Require(series.Single(s => s.Name == family.Name + "_count").Value == buckets[^1].Value, "_count is not the last bucket", where);
            Require(!(series.Single(s => s.Name == family.Name + "_sum").Value < 0), "_sum is negative", where);
        }
    }

    // The linter's rules, client_golang/prometheus/testutil/promlint.
    private static void Lint(MetricText family)
    {
        Require(family.Help is { Length: > 0 }, "no help", family.Name);
        Require(family.Type is not null, "no type", family.Name);
        Require(family.Type == "counter" == family.Name.EndsWith("_total", StringComparison.Ordinal), "counters, and only they, end with _total", family.Name);
        Require(family.Type == "histogram" || !HistogramSuffix().IsMatch(family.Name), "the suffix is a histogram's", family.Name);
        Require(family.Type == "histogram" || family.Samples.All(s => !s.Labels.ContainsKey("le")), "the label 'le' is a histogram's", family.Name);
        Require(!OtherUnit().IsMatch(family.Name), "not in base units", family.Name);
        Require(!family.Name.Any(char.IsAsciiLetterUpper) && family.Samples.All(s => s.Labels.Keys.All(l => !l.Any(char.IsAsciiLetterUpper))), "upper case", family.Name);
    }

    [GeneratedRegex("^# (?<what>HELP|TYPE) (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) (?<rest>.*)$")]
    private static partial Regex CommentLine();

    [GeneratedRegex("""^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?<labels>[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*")*)\})? (?<value>\S+)$""")]
    private static partial Regex SampleLine();

    [GeneratedRegex("""(?<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?<value>(?:[^"\\]|\\["\\n])*)"(?:,|$)""")]
    private static partial Regex Label();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex HistogramSuffix();

    [GeneratedRegex("_(milliseconds|microseconds|nanoseconds|minutes|hours|days|kilobytes|megabytes|bits|ms|us|ns|kb|mb|percent)(_|$)")]
    private static partial Regex OtherUnit();
}

/// <summary>One metric of the text.</summary>
/// <param name="name">Its name.</param>
public sealed class MetricText(string name)
{
    /// <summary>Its name.</summary>
    public string Name { get; } = name;

    /// <summary>What it says of itself, escaped.</summary>
    public string? Help { get; internal set; }

    /// <summary>counter, gauge, histogram, summary or untyped.</summary>
    public string? Type { get; internal set; }

    /// <summary>Its samples.</summary>
    public IList<SampleText> Samples { get; } = [];
}

/// <summary>One sample of the text.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Labels">Names and values, escaped.</param>
/// <param name="Value">Its value.</param>
public sealed record SampleText(string Name, IReadOnlyDictionary<string, string> Labels, double Value);
