using System.Globalization;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>The programs of <c>Stress/</c>: random operations with seeds that play them again.</summary>
internal static class StressPrograms
{
    private static readonly Lazy<string> s_folder = new(MakeFolder);
    private static readonly Lazy<string> s_file = new(() => Compile("file-stress", "file-stress.c"));
    private static readonly Lazy<string> s_tree = new(() => Compile("tree-stress", "tree-stress.c", "describe.c"));

    private static readonly Lazy<string> s_prober = new(() => Compile("prober", "prober.c"));

    /// <summary>Small operations, and how long each took.</summary>
    public static string Prober => s_prober.Value;

    /// <summary>One file against a model.</summary>
    public static string File => s_file.Value;

    /// <summary>Processes in a tree, and the tree's description.</summary>
    public static string Tree => s_tree.Value;

    /// <summary>How long a program runs: short, or in soak as long as <c>DPU_SOAK_SECONDS</c> says (120).</summary>
    public static int SoakSeconds =>
        int.TryParse(Environment.GetEnvironmentVariable("DPU_SOAK_SECONDS"), CultureInfo.InvariantCulture, out int seconds) ? seconds : 120;

    /// <summary>Runs one of them to its end; its output, which has the seed.</summary>
    public static string Run(string program, int seconds, params string[] arguments)
    {
        string output = ExternalProgram.Check(program, arguments, TimeSpan.FromSeconds(seconds) + TimeSpan.FromMinutes(2));
        Console.WriteLine($"{Path.GetFileName(program)} {string.Join(' ', arguments)}: {output.TrimEnd('\n').Replace("\n", ", ", StringComparison.Ordinal)}");
        return output;
    }

    private static string Compile(string name, params string[] sources)
    {
        string program = Path.Combine(s_folder.Value, name);
        ExternalProgram.Check(
            "gcc",
            ["-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, .. sources.Select(source => Repository.PathOf($"tests/Dpu.EndToEnd.Tests/Stress/{source}"))],
            Pair.Limit);
        return program;
    }

    // For all classes that use them: removed at the end of the test program.
    private static string MakeFolder()
    {
        string folder = Directory.CreateTempSubdirectory("dpu-stress").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        return folder;
    }
}
