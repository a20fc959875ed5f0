namespace Dpu.TestSupport;

/// <summary>Where the repository that these tests were built from lies. Thread-safe.</summary>
public static class Repository
{
    private static readonly Lazy<string> LazyRoot = new(() => FindRoot(AppContext.BaseDirectory));

    /// <summary>The absolute path of the folder that holds <c>Dpu.sln</c>.</summary>
    /// <exception cref="DirectoryNotFoundException">The program does not run from a build inside the repository.</exception>
    public static string Root => LazyRoot.Value;

    /// <summary>The absolute path of a file or folder of the repository.</summary>
    /// <param name="relative">The path below <see cref="Root"/>, with '/'.</param>
    public static string PathOf(string relative) => Path.Combine(Root, relative);

    /// <summary>The configuration that this program was built in, as the build's folders spell it: <c>debug</c> or <c>release</c>.</summary>
    public static string Configuration { get; } = new DirectoryInfo(AppContext.BaseDirectory).Name;

    /// <summary>The path of a program of the same build, e.g. <c>("Dpu.Ctl", "dpuctl")</c>.</summary>
    /// <param name="project">Where it is built.</param>
    /// <param name="program">Its name.</param>
    /// <param name="root">The repository that it is built in; null for this one.</param>
    /// <exception cref="RequirementException">It has not been built.</exception>
    public static string Program(string project, string program, string? root = null)
    {
        string path = Path.Combine(root ?? Root, $"artifacts/bin/{project}/{Configuration}/{program}");
        if (!File.Exists(path))
        {
            throw new RequirementException($"The program '{program}' is not at '{path}': build {project} first ('./dev build').");
        }

        return path;
    }

    /// <summary>Walks up from <paramref name="start"/> to the folder that holds <c>Dpu.sln</c>.</summary>
    /// <exception cref="DirectoryNotFoundException">No folder above has it.</exception>
    public static string FindRoot(string start)
    {
        for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Dpu.sln")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException(
            $"No folder above '{start}' has a Dpu.sln: run the tests from a build inside the repository.");
    }
}
