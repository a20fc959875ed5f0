using System.Text.RegularExpressions;

namespace Dpu.Architecture.Tests;

/// <summary>
/// Rules on documents that promise something and name the tests that hold it. Each returns one sentence a violation.
/// </summary>
internal static partial class PromiseRules
{
    /// <summary>The documents; each has tables whose last column is "held by".</summary>
    public static readonly string[] Documents = ["docs/security.md", "docs/semantics.md", "SPECIFICATION.md"];

    /// <summary>What stands in that column where nothing holds a promise.</summary>
    public const string Untested = "untested";

    /// <summary>The names of all tests in source files, as <c>Class</c> and <c>Class.Method</c>.</summary>
    public static IReadOnlySet<string> TestsOf(IEnumerable<SourceFile> files)
    {
        HashSet<string> found = new(StringComparer.Ordinal);
        foreach (SourceFile file in files.Where(f => f.Path.StartsWith("tests/", StringComparison.Ordinal) && f.Path.EndsWith(".cs", StringComparison.Ordinal)))
        {
            string type = "";
            bool isTest = false;
            foreach (string line in file.Lines)
            {
                if (TopLevelType().Match(line) is { Success: true } declared)
                {
                    type = declared.Groups["name"].Value;
                }

                isTest |= TestAttribute().IsMatch(line);
                if (isTest && Method().Match(line) is { Success: true } method)
                {
                    found.Add(type);
                    found.Add($"{type}.{method.Groups["name"].Value}");
                    isTest = false;
                }
            }
        }

        return found;
    }

    /// <summary>Every test that a document names must exist: a renamed test takes its promise with it.</summary>
    public static IEnumerable<string> UnknownTests(SourceFile document, IReadOnlySet<string> tests) =>
        from line in document.Lines.Index()
        from Match name in TestName().Matches(line.Item)
        where !tests.Contains(name.Value)
        select $"{document.Path}:{line.Index + 1} names the test {name.Value}, which does not exist.";

    /// <summary>Every row of a table of promises says what holds it: a test, a program of this repository, or nothing.</summary>
    /// <param name="document">The document.</param>
    /// <param name="isFile">Whether a path of the repository exists.</param>
    public static IEnumerable<string> RowsWithoutHolder(SourceFile document, Func<string, bool> isFile)
    {
        bool inTable = false;
        foreach ((int index, string line) in document.Lines.Index())
        {
            if (!line.StartsWith('|'))
            {
                inTable = false;
                continue;
            }

            string holder = line.Trim().Trim('|').Split('|')[^1].Trim();
            if (holder == "held by")
            {
                inTable = true;
            }
            else if (inTable && !IsRuler(holder) && !IsHolder(holder, isFile))
            {
                yield return $"{document.Path}:{index + 1} promises something and does not say which test holds it, nor \"{Untested}\".";
            }
        }
    }

    private static bool IsRuler(string cell) => cell.Length > 0 && cell.All(c => c is '-' or ':');

    private static bool IsHolder(string cell, Func<string, bool> isFile) =>
        cell.StartsWith(Untested, StringComparison.Ordinal)
        || TestName().IsMatch(cell)
        || Code().Matches(cell).Any(m => isFile(m.Groups["text"].Value));

    // In a file of one namespace a type that stands at the margin is the one that the file is about; nested ones are helpers.
    [GeneratedRegex(@"^(?:\w+ )*class (?<name>\w+)")]
    private static partial Regex TopLevelType();

    [GeneratedRegex(@"^\s*\[(?:.*[\[,]\s*)?TestMethod\b")]
    private static partial Regex TestAttribute();

    [GeneratedRegex(@"^\s+public (?:static |async )*(?:void|Task|ValueTask) (?<name>\w+)\(")]
    private static partial Regex Method();

    // Class, or Class.Subject_Condition_Outcome; not the folder tests/Dpu.X.Tests.
    [GeneratedRegex(@"(?<![\w./])[A-Z]\w*Tests\b(?!/)(?:\.\w+)?")]
    private static partial Regex TestName();

    [GeneratedRegex("`(?<text>[^`]+)`")]
    private static partial Regex Code();
}
