using System.Text;
using Dpu.Proto.V1;

namespace Dpu.Qtfs.Export.Fifos;

/// <summary>Which FIFOs of an export may be relayed, and which way those go that both sides hold open for both. Immutable; equal where the rules are.</summary>
public sealed class FifoRules : IEquatable<FifoRules>
{
    private readonly (StrictPaths Paths, FifoDirection Direction)[] _rules;

    /// <param name="rules">A pattern each, as of <see cref="StrictPaths"/>, and the direction, if it says one. The first that matches counts.</param>
    public FifoRules(IEnumerable<(string Pattern, FifoDirection Direction)> rules) => _rules = [.. rules.Select(rule => (new StrictPaths([rule.Pattern]), rule.Direction))];

    /// <summary>No FIFO.</summary>
    public static FifoRules None { get; } = new([]);

    /// <summary>Whether there is no rule.</summary>
    public bool IsEmpty => _rules.Length == 0;

    /// <summary>Whether a FIFO may be relayed.</summary>
    /// <param name="path">Its path below the export.</param>
    /// <param name="direction">Which way, where the rule says so.</param>
    public bool Match(string path, out FifoDirection direction)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(path);
        foreach ((StrictPaths paths, FifoDirection way) in _rules)
        {
            if (paths.Match(bytes))
            {
                direction = way;
                return true;
            }
        }

        direction = FifoDirection.Unspecified;
        return false;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join('\n', _rules.Select(rule => $"{rule.Direction} {rule.Paths}"));

    /// <inheritdoc/>
    public bool Equals(FifoRules? other) => other is not null && ToString() == other.ToString();

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as FifoRules);

    /// <inheritdoc/>
    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);
}
