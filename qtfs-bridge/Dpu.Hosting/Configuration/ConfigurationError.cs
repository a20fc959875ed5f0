using System.Globalization;

namespace Dpu.Hosting.Configuration;

/// <summary>One thing wrong (or, as a warning, doubtful) in a configuration, with its place.</summary>
/// <param name="File">The file, or where else the value came from: <c>environment NAME</c>, <c>--set KEY=VALUE</c>.</param>
/// <param name="Line">The line in the file from 1; 0 where the source has no lines.</param>
/// <param name="Key">The key's path, such as <c>exports[0].path</c>; empty for the file as a whole.</param>
/// <param name="Message">What is wrong.</param>
/// <param name="Allowed">What is allowed there; null where the message says it.</param>
public sealed record ConfigurationError(string File, int Line, string Key, string Message, string? Allowed)
{
    /// <summary><c>FILE:LINE: KEY: MESSAGE; allowed: …</c>.</summary>
    public override string ToString()
    {
        string place = Line > 0 ? string.Create(CultureInfo.InvariantCulture, $"{File}:{Line}") : File;
        string key = Key.Length > 0 ? $"{Key}: " : string.Empty;
        string allowed = Allowed is null ? string.Empty : $"; allowed: {Allowed}";
        return $"{place}: {key}{Message}{allowed}";
    }
}
