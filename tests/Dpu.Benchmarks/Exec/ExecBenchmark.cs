using System.Globalization;
using Dpu.Benchmarks.Files;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;

namespace Dpu.Benchmarks.Exec;

/// <summary><c>bench exec</c>: programs of the host that a DPU has run, beside local ones and ssh, against their bars.</summary>
internal sealed class ExecBenchmark : IBenchmark
{
    private const string Local = "local";
    private const string Ssh = "ssh";
    private const string Unix = "rexec";
    private const string Tls = "rexec, tls";
    private const string OnUnix = "processes, link on a unix socket";
    private const string Encrypted = "processes, link over TLS";

    private static readonly Bar[] Bars =
    [
        new(OnUnix, ExecWorks.Start, Unix, Ssh, 0.25),
        new(OnUnix, ExecWorks.Above, Unix, null, 5, 2),
        new(OnUnix, ExecWorks.Lone, Unix, null, 5, 2),
        new(OnUnix, ExecWorks.Output, Unix, Ssh, 3),
        new(OnUnix, ExecWorks.NearMemory, Unix, null, 2048),
        new(Encrypted, ExecWorks.Start, Tls, Ssh, 0.25),
        new(Encrypted, ExecWorks.Above, Tls, null, 5, 2),
        new(Encrypted, ExecWorks.Lone, Tls, null, 5, 2),
        new(Encrypted, ExecWorks.Output, Tls, Ssh, 1),
    ];

    public string Name => "exec";

    public string Question => "what does a program of the host cost that the DPU has run, beside a local one and ssh?";

    public int Run(BenchmarkOptions options)
    {
        using Workspace workspace = new(options.Store);
        string store = workspace.Folder;
        ExecTarget[] all = [new LocalTarget(Local, store), new SshExecTarget(Ssh, store), new StubTarget(Unix, store), new StubTarget(Tls, store, tls: true)];
        ExecTarget[] chosen = [.. all.Where(target => options.Targets.Count == 0 || options.Targets.Contains(target.Name))];
        string[] remote = [.. chosen.Select(target => target.Name).Where(name => name != Local)];
        Work<ExecTarget>[] works = [.. ExecWorks.All.Where(work => options.Works.Count == 0 || options.Works.Contains(work.Name))
            .Select(work => work.Name is ExecWorks.Above or ExecWorks.Lone or ExecWorks.NearMemory or ExecWorks.FarMemory ? work with { Only = remote }
                : work.Name is ExecWorks.Parallel or ExecWorks.OnOther or ExecWorks.Passing ? work with { Only = [Local, Unix, Tls] }
                : work.Name == ExecWorks.OnStandIn ? work with { Only = [Unix, Tls] } : work)];
        if (chosen.Length == 0 || works.Length == 0)
        {
            Console.Error.WriteLine($"dpu-bench: targets are {string.Join(", ", all.Select(t => $"'{t.Name}'"))}, works {string.Join(", ", ExecWorks.All.Select(w => $"'{w.Name}'"))}.");
            return 2;
        }

        string conditions = FuseBenchmark.Describe(options);
        Console.Error.WriteLine($"{Name}: {conditions}");
        Results results = new Runner<ExecTarget>(chosen, works, options.Rounds, Console.Error.WriteLine, options.Best).Run();
        string[] names = [.. chosen.Select(target => target.Name)];
        IReadOnlyList<(Bar Bar, ComparisonResult? Result)> measured = BarReport.Measure(
            results, works, [.. Bars.Where(bar => names.Contains(bar.Ours) && (bar.Peer is null || names.Contains(bar.Peer)) && works.Any(work => work.Name == bar.Work))]);
        BarReport.Print(results, works, names, measured, options.Json, Console.Out);
        if (options.Markdown is { } file)
        {
            string caption = string.Create(CultureInfo.InvariantCulture, $"`./dev bench exec` of {TimeProvider.System.GetUtcNow():yyyy-MM-dd}: {conditions}.");
            BarReport.WriteInto(file, BarReport.ToMarkdown(caption, results, works, names, measured));
        }

        return Report.PrintFailures(results, measured.Select(m => m.Result).OfType<ComparisonResult>(), Console.Error);
    }
}
