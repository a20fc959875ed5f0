using System.Xml.Linq;

namespace Dpu.Architecture.Tests;

/// <summary>What the rules need of a csproj file.</summary>
internal sealed class ProjectFile
{
    private ProjectFile(string path, string text)
    {
        Path = path;
        Name = System.IO.Path.GetFileNameWithoutExtension(path);
        XDocument document = XDocument.Parse(text);
        AssemblyName = document.Descendants("AssemblyName").FirstOrDefault()?.Value ?? Name;
        References =
        [
            .. document.Descendants("ProjectReference")
                .Select(r => (string)r.Attribute("Include")!)
                .Select(include => new Reference(Name, System.IO.Path.GetFileNameWithoutExtension(include.Replace('\\', '/')), path)),
        ];
    }

    public string Path { get; }

    public string Name { get; }

    public string AssemblyName { get; }

    public IReadOnlyList<Reference> References { get; }

    public bool IsTest => Path.StartsWith("tests/", StringComparison.Ordinal);

    public static ProjectFile Parse(string path, string text) => new(path, text);

    public static IReadOnlyList<ProjectFile> All(SourceTree tree) =>
        [.. tree.Files.Where(f => f.Path.EndsWith(".csproj", StringComparison.Ordinal)).Select(f => Parse(f.Path, f.Text))];
}
