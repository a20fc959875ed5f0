using System.Text.RegularExpressions;
using Dpu.Link;

namespace Dpu.Hosting.Configuration;

/// <summary>What names, paths and endpoints must look like. Each returns what is wrong, or null.</summary>
internal static partial class Checks
{
    public const string NameAllowed =
        "lower-case letters, digits, '-' and '.', up to 63, beginning and ending with a letter or digit";

    public const string ExportNameAllowed = "letters, digits, '-', '_' and '.', up to 63, beginning with a letter or digit";

    public const string AbsolutePathAllowed = "an absolute path without \".\", \"..\" and \"//\"";

    public const string EndpointAllowed = "tcp://HOST:PORT, vsock://CID:PORT or unix:///PATH";

    public const string TcpEndpointAllowed = "tcp://HOST:PORT";

    /// <summary>The highest id that means a user: the next, 2^32-1, means "none" to the kernel.</summary>
    public const long MaxId = uint.MaxValue - 1L;

    public static string? Name(string text) => NamePattern().IsMatch(text) ? null : $"\"{text}\" is no name";

    public static string? ExportName(string text) => ExportNamePattern().IsMatch(text) ? null : $"\"{text}\" is no name";

    public static (string? Value, string? Problem) ToName(string text) =>
        Name(text) is { } problem ? (null, problem) : (text, null);

    public static string? AbsolutePath(string text)
    {
        if (!text.StartsWith('/'))
        {
            return $"\"{text}\" is not absolute";
        }

        if (text.Contains('\0', StringComparison.Ordinal))
        {
            return "contains a NUL character";
        }

        if (text.Length == 1)
        {
            return null;
        }

        foreach (Range range in text.AsSpan(1).Split('/'))
        {
            if (text.AsSpan(1)[range] is "" or "." or "..")
            {
                return $"\"{text}\" is not a plain path";
            }
        }

        return null;
    }

    public static (LinkEndpoint? Value, string? Problem) Endpoint(string text) =>
        LinkEndpoint.TryParse(text, out LinkEndpoint? endpoint) ? (endpoint, null) : (null, $"\"{text}\" is no endpoint");

    public static (LinkEndpoint? Value, string? Problem) TcpEndpoint(string text)
    {
        (LinkEndpoint? endpoint, string? problem) = Endpoint(text);
        return endpoint is not null && endpoint.Transport != LinkTransport.Tcp
            ? (null, $"\"{text}\" is no TCP endpoint")
            : (endpoint, problem);
    }

    [GeneratedRegex("^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?\\z")]
    private static partial Regex NamePattern();

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\\z")]
    private static partial Regex ExportNamePattern();
}
