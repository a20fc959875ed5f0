using System.Globalization;
using System.Runtime.InteropServices;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;

namespace Dpu.Benchmarks.Files;

/// <summary><c>bench fuse</c>: what a file operation costs on the host, through our local mount, and through remote mounts.</summary>
internal sealed class FuseBenchmark : IBenchmark
{
    // No bars yet: they come with the remote file system's own speed work.
    private static readonly Comparison[] Comparisons =
    [
        new("local", "host"),
        new("remote unix", "sshfs pipe"),
        new("remote unix ring", "sshfs pipe"),
        new("remote tls", "sshfs ssh"),
    ];

    public string Name => "fuse";

    public string Question => "what does a file operation cost through our mounts, beside sshfs and the host's own file system (no caching)?";

    public int Run(BenchmarkOptions options)
    {
        using Workspace workspace = new(options.Store);
        string store = workspace.Folder;
        FileTarget[] targets =
        [
            new HostTarget(store),
            new PassthroughTarget(store),
            new PassthroughTarget(store, "local ring", ring: true),
            new DaemonsTarget(store, tls: false),
            new DaemonsTarget(store, tls: false, name: "remote unix ring", transport: "io_uring"),
            new SshfsPipeTarget(store),
            new DaemonsTarget(store, tls: true),
            new SshfsTarget(store),
        ];
        return Run(Name, options, targets, FileWorks.All, Comparisons);
    }

    /// <summary>Runs works on targets, as the options choose, and prints.</summary>
    internal static int Run(string name, BenchmarkOptions options, FileTarget[] targets, IReadOnlyList<Work<FileTarget>> all, IReadOnlyList<Comparison> comparisons)
    {
        if (Measure(name, options, targets, all, out FileTarget[] chosen, out Work<FileTarget>[] works) is not { } results)
        {
            return 2;
        }

        return Report.Print(results, works, [.. chosen.Select(t => t.Name)], comparisons, options.Json, Console.Out, Console.Error);
    }

    /// <summary>Runs works on targets, as the options choose; null, with a message, where they name what is not there.</summary>
    internal static Results? Measure(string name, BenchmarkOptions options, FileTarget[] targets, IReadOnlyList<Work<FileTarget>> all, out FileTarget[] chosen, out Work<FileTarget>[] works)
    {
        works = [];
        if (!Select(options.Targets, targets, t => t.Name, "target", out chosen)
            || !Select(options.Works, [.. all], w => w.Name, "work", out works))
        {
            return null;
        }

        Console.Error.WriteLine($"{name}: {Describe(options)}");
        return new Runner<FileTarget>(chosen, works, options.Rounds, Console.Error.WriteLine, options.Best).Run();
    }

    /// <summary>Under which conditions a run is made.</summary>
    internal static string Describe(BenchmarkOptions options) => string.Create(
        CultureInfo.InvariantCulture,
        $"{options.Rounds} rounds, {(options.Best ? "the best" : "medians")}; {Environment.ProcessorCount} processors ({(RuntimeInformation.OSArchitecture == Architecture.X64 ? "x86-64" : "arm64")}), Linux {string.Join('.', File.ReadAllText("/proc/sys/kernel/osrelease").Split('.')[..2])}, files on {options.Store}, load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}");

    private static bool Select<T>(IReadOnlyList<string> wanted, T[] all, Func<T, string> name, string kind, out T[] chosen)
    {
        chosen = wanted.Count == 0 ? all : [.. all.Where(a => wanted.Contains(name(a)))];
        string? unknown = wanted.FirstOrDefault(w => !all.Any(a => name(a) == w));
        if (unknown is not null)
        {
            Console.Error.WriteLine($"dpu-bench: there is no {kind} '{unknown}': {string.Join(", ", all.Select(a => $"'{name(a)}'"))}");
        }

        return unknown is null;
    }
}
