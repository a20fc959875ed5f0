namespace Dpu.Benchmarks.Harness;

/// <summary>What a run measured, and what could not run. Not thread-safe.</summary>
/// <param name="best">The best round of each is its value, not the median.</param>
internal sealed class Results(bool best = false)
{
    private readonly Dictionary<(string Work, string Contender), List<double>> values = [];
    private readonly Dictionary<(string Work, string Contender), string> errors = [];

    /// <summary>The contenders that cannot be here, and why.</summary>
    public Dictionary<string, string> Unavailable { get; } = [];

    /// <summary>Every failure: which work on which contender, and why.</summary>
    public IEnumerable<(string Work, string Contender, string Message)> Errors =>
        errors.Select(e => (e.Key.Work, e.Key.Contender, e.Value));

    public void Add(string work, string contender, double value)
    {
        if (!values.TryGetValue((work, contender), out List<double>? list))
        {
            values[(work, contender)] = list = [];
        }

        list.Add(value);
    }

    public void Fail(string work, string contender, string message) => errors.TryAdd((work, contender), message);

    public bool HasFailed(string work, string contender) => errors.ContainsKey((work, contender));

    /// <summary>The median of the rounds, or the best of them where that was asked for; null where any round failed.</summary>
    public double? Value<T>(Work<T> work, string contender) =>
        !best || HasFailed(work.Name, contender) || !values.TryGetValue((work.Name, contender), out List<double>? list) ? Median(work.Name, contender)
        : work.Better == Better.Lower ? list.Min()
        : list.Max();

    /// <summary>The median of the rounds; null where any round failed.</summary>
    public double? Median(string work, string contender)
    {
        if (HasFailed(work, contender) || !values.TryGetValue((work, contender), out List<double>? list))
        {
            return null;
        }

        double[] sorted = [.. list.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
