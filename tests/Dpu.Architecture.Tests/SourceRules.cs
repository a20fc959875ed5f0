using System.Text.RegularExpressions;

namespace Dpu.Architecture.Tests;

/// <summary>Rules on what people write. Each returns one sentence a violation.</summary>
internal static partial class SourceRules
{
    /// <summary>One concept a file: a longer one has several.</summary>
    public const int MaxLines = 499;

    private static readonly string[] Code = [".cs", ".c", ".h", ".sh", ".py", ".js", ".mjs", ".proto"];

    public static IEnumerable<string> TooLong(IEnumerable<SourceFile> files) =>
        from file in files
        where Code.Contains(Path.GetExtension(file.Path)) || file.Text.StartsWith("#!", StringComparison.Ordinal)
        let lines = file.Lines.Length
        where lines > MaxLines
        select $"{file.Path} has {lines} lines; at most {MaxLines}: split it by face.";

    /// <summary>Native calls are declared in Dpu.Linux alone; its own tests may prove things about declarations.</summary>
    public static IEnumerable<string> NativeImports(IEnumerable<SourceFile> files) =>
        from file in files
        where file.Path.EndsWith(".cs", StringComparison.Ordinal) && !file.Path.StartsWith("qtfs-bridge/Dpu.Linux/", StringComparison.Ordinal)
            && !file.Path.StartsWith("tests/Dpu.Linux.Tests/", StringComparison.Ordinal)
        from line in file.Lines.Index()
        where NativeImport().IsMatch(line.Item)
        select $"{file.Path}:{line.Index + 1} declares a native call: move it to Dpu.Linux.";

    /// <summary>Nothing may name the machine it was written on: paths of one checkout or user, hosts of a private network.</summary>
    /// <param name="files">What to look at.</param>
    /// <param name="checkout">Where this checkout lies; empty or "/" to leave that out.</param>
    public static IEnumerable<string> MachineSpecific(IEnumerable<SourceFile> files, string checkout)
    {
        foreach (SourceFile file in files)
        {
            foreach ((int index, string line) in file.Lines.Index())
            {
                if (Path.IsPathRooted(checkout) && checkout.Length > 1 && line.Contains(checkout + "/", StringComparison.Ordinal))
                {
                    yield return $"{file.Path}:{index + 1} names this checkout's path: {checkout}.";
                }

                Match path = PrivatePath().Match(line);
                if (path.Success)
                {
                    yield return $"{file.Path}:{index + 1} names a path of one machine: {path.Value}.";
                }

                foreach (Match url in Url().Matches(line))
                {
                    if (IsPrivateHost(url.Groups["host"].Value))
                    {
                        yield return $"{file.Path}:{index + 1} names a host of a private network: {url.Value}.";
                    }
                }
            }
        }
    }

    // Private top-level domains and address ranges. Names without a dot are URIs of our own (certificates') or samples.
    private static bool IsPrivateHost(string host) =>
        host.EndsWith(".lan", StringComparison.Ordinal)
        || host.EndsWith(".internal", StringComparison.Ordinal)
        || host.EndsWith(".corp", StringComparison.Ordinal)
        || host.StartsWith("10.", StringComparison.Ordinal)
        || host.StartsWith("192.168.", StringComparison.Ordinal);

    [GeneratedRegex(@"\[\s*(?:\w+\s*:\s*)?(?:[\w.]+\.)?(?:LibraryImport|DllImport)(?:Attribute)?\s*\(")]
    private static partial Regex NativeImport();

    // A checkout under a top-level folder for work, a worktree in /tmp, a Mac's home.
    [GeneratedRegex(@"(?<![\w.$}~*\]-])/(?:work(?:space|spaces)?|Users|tmp/wt)/[\w.-]+")]
    private static partial Regex PrivatePath();

    [GeneratedRegex(@"https?://(?<host>[A-Za-z0-9][A-Za-z0-9.-]*)")]
    private static partial Regex Url();
}
