using Dpu.TestSupport;

namespace Dpu.Architecture.Tests;

/// <summary>A text file of the repository; <paramref name="Path"/> is relative to its root, with '/'.</summary>
internal sealed record SourceFile(string Path, string Text)
{
    public string[] Lines => Text.TrimEnd('\n').Split('\n');
}

/// <summary>The files that people write: no build output, no packages, no history.</summary>
internal sealed class SourceTree(IReadOnlyList<SourceFile> files)
{
    private static readonly string[] LeftOut = ["artifacts", ".git", "node_modules", "TestResults", ".vs", "__pycache__", "bin", "obj"];

    public static SourceTree OfRepository { get; } = Read(Repository.Root);

    public IReadOnlyList<SourceFile> Files { get; } = files;

    public IEnumerable<SourceFile> WithExtension(params string[] extensions) =>
        Files.Where(f => extensions.Contains(Path.GetExtension(f.Path)));

    public static SourceTree Read(string root)
    {
        List<SourceFile> found = [];
        Collect(new DirectoryInfo(root), "", found);
        return new SourceTree(found);
    }

    private static void Collect(DirectoryInfo folder, string prefix, List<SourceFile> found)
    {
        foreach (FileSystemInfo entry in folder.EnumerateFileSystemInfos().OrderBy(e => e.Name, StringComparer.Ordinal))
        {
            if (LeftOut.Contains(entry.Name) || entry.LinkTarget is not null)
            {
                continue;
            }

            if (entry is DirectoryInfo directory)
            {
                Collect(directory, $"{prefix}{entry.Name}/", found);
            }
            else if (File.ReadAllText(entry.FullName) is var text && !text.Contains('\0', StringComparison.Ordinal))
            {
                found.Add(new SourceFile(prefix + entry.Name, text));
            }
        }
    }
}
