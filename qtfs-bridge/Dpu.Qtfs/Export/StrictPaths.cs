using System.Text;
using System.Text.RegularExpressions;

namespace Dpu.Qtfs.Export;

/// <summary>
/// Patterns of the files of an export that no DPU may cache, because they are changed in ways that nobody is told of.
/// Immutable; equal where the patterns are.
/// </summary>
/// <remarks>
/// A pattern without <c>/</c> means a name, anywhere (<c>*.qcow2</c>); one with it a path from the export's directory
/// (<c>images/**</c>). <c>*</c> and <c>?</c> stand for anything but <c>/</c>, <c>**</c> also for that. What lies below a directory
/// that is meant is meant too. Names are bytes: a pattern's are its UTF-8.
/// </remarks>
public sealed class StrictPaths : IEquatable<StrictPaths>
{
    private readonly string[] _patterns;
    private readonly Regex? _any;

    /// <param name="patterns">The patterns; any text is one.</param>
    public StrictPaths(IEnumerable<string> patterns)
    {
        _patterns = [.. patterns];
        if (_patterns.Length > 0)
        {
            // Not backtracking: names are the peer's choice, and must not make a look-up slow.
            _any = new Regex(string.Join('|', _patterns.Select(Translate)), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.Singleline | RegexOptions.ExplicitCapture);
        }
    }

    /// <summary>No file is meant.</summary>
    public static StrictPaths None { get; } = new([]);

    /// <summary>The patterns.</summary>
    public override string ToString() => string.Join('\n', _patterns);

    /// <summary>Whether there is no pattern.</summary>
    public bool IsEmpty => _any is null;

    /// <summary>Whether a file is meant.</summary>
    /// <param name="path">Its path from the export's directory, without a slash before and behind; empty for that directory.</param>
    public bool Match(ReadOnlySpan<byte> path)
    {
        if (_any is null || path.IsEmpty)
        {
            return false;
        }

        Span<char> text = path.Length <= 1024 ? stackalloc char[path.Length] : new char[path.Length];
        Encoding.Latin1.GetChars(path, text);
        return _any.IsMatch(text);
    }

    /// <inheritdoc/>
    public bool Equals(StrictPaths? other) => other is not null && _patterns.AsSpan().SequenceEqual(other._patterns);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as StrictPaths);

    /// <inheritdoc/>
    public override int GetHashCode() => _patterns.Aggregate(0, (hash, pattern) => HashCode.Combine(hash, StringComparer.Ordinal.GetHashCode(pattern)));

    // Each char is a byte from here on, as in Match.
    private static string Translate(string pattern)
    {
        string bytes = Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(pattern.Trim('/')));
        var regex = new StringBuilder(pattern.TrimEnd('/').Contains('/', StringComparison.Ordinal) ? "^" : "(^|/)");
        for (int i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] == '?')
            {
                regex.Append("[^/]");
            }
            else if (bytes[i] != '*')
            {
                regex.Append(Regex.Escape(bytes[i].ToString()));
            }
            else if (i + 1 == bytes.Length || bytes[i + 1] != '*')
            {
                regex.Append("[^/]*");
            }
            else
            {
                // "**/" is any number of directories, none among them.
                i++;
                bool whole = i + 1 < bytes.Length && bytes[i + 1] == '/';
                regex.Append(whole ? "(.*/)?" : ".*");
                i += whole ? 1 : 0;
            }
        }

        return regex.Append("(/|$)").ToString();
    }
}
