namespace Dpu.TestSupport;

/// <summary>A line of <c>cross-build/debian-packages.txt</c>.</summary>
/// <param name="Name">The package.</param>
/// <param name="Groups">What needs it: <c>run</c>, <c>test</c>, <c>bench</c>.</param>
/// <param name="Commands">Programs of it that we call by name; empty where none.</param>
public sealed record DebianPackage(string Name, IReadOnlyList<string> Groups, IReadOnlyList<string> Commands);

/// <summary>The repository's one list of Debian packages. Immutable.</summary>
/// <remarks>Format: <c>package  group,group  command,command|-  # comment</c>, a package a line.</remarks>
public sealed class DebianPackages
{
    private DebianPackages(IReadOnlyList<DebianPackage> packages) => Packages = packages;

    /// <summary>All packages in the file's order.</summary>
    public IReadOnlyList<DebianPackage> Packages { get; }

    /// <summary>Reads the repository's list.</summary>
    /// <exception cref="FormatException">A line is malformed.</exception>
    public static DebianPackages Load() => Parse(File.ReadAllText(Repository.PathOf("cross-build/debian-packages.txt")));

    /// <summary>Reads a list.</summary>
    /// <exception cref="FormatException">A line has not three columns; the message names the line.</exception>
    public static DebianPackages Parse(string text)
    {
        List<DebianPackage> packages = [];
        int number = 0;
        foreach (string line in text.Split('\n'))
        {
            number++;
            string content = line.Split('#')[0].Trim();
            if (content.Length == 0)
            {
                continue;
            }

            string[] columns = content.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (columns.Length != 3)
            {
                throw new FormatException($"Line {number} of the package list has {columns.Length} columns; wanted: package, groups, commands or '-'.");
            }

            packages.Add(new DebianPackage(columns[0], columns[1].Split(','), columns[2] == "-" ? [] : columns[2].Split(',')));
        }

        return new DebianPackages(packages);
    }

    /// <summary>The package that has a program, or null where the list names none.</summary>
    public string? PackageOf(string command) => Packages.FirstOrDefault(p => p.Commands.Contains(command))?.Name;
}
