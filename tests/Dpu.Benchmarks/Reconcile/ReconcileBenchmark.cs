using System.Globalization;
using Dpu.Benchmarks.Files;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;

namespace Dpu.Benchmarks.Reconcile;

/// <summary><c>bench reconcile</c>: comparing a million flows with a million, beside <c>ovs-ofctl diff-flows</c>, and whole passes.</summary>
internal sealed class ReconcileBenchmark : IBenchmark
{
    internal const string Ours = "dpu";
    internal const string Ovs = "ovs-ofctl diff-flows";
    internal const string Tenth = "dpu, a tenth of the flows";
    internal const string Fivefold = "dpu, five times the flows";
    internal const string Memory = "diff 1M x 1M in memory";
    internal const string Text = "diff 1M x 1M, two dumps";
    internal const string TextMemory = "the same, memory";
    internal const string Pass = "pass over 1M flows of the NIC";
    internal const string Datapath = "dump and parse 100k flows of ovs-vswitchd";
    internal const string Appctl = "ovs-appctl dpctl/dump-flows -m";
    internal const string First = "dpu, the first time";
    private const string Group = "3,000 differences";

    private static readonly Bar[] _bars =
    [
        new(Group, Memory, Ours, null, 1, 0.3),
        new(Group, Text, Ours, Ovs, 0.2, 0.1),
        new(Group, TextMemory, Ours, Ovs, 1),
        new("megaflows", Datapath, Ours, Appctl, 1.2),
        new("plan, repair of 1 %, verify", Pass, Ours, null, 15, 5),
        new("plan, repair of 1 %, verify", Pass, Ours, Tenth, 12),
        new("plan, repair of 1 %, verify", Pass, Fivefold, Ours, 6),
    ];

    public string Name => "reconcile";

    public string Question => "how fast are two million flows compared, beside ovs-ofctl, and a NIC's table brought in step?";

    public int Run(BenchmarkOptions options)
    {
        using Workspace workspace = new(options.Store);
        Results results = new(options.Best);
        Action<string> progress = text => Console.Error.WriteLine($"  {text}");
        bool Chosen(string work) => options.Works.Count == 0 || options.Works.Any(w => work.StartsWith(w, StringComparison.Ordinal));
        if (Chosen("memory"))
        {
            progress("memory");
            DiffWorks.InMemory(options.Rounds, results);
        }

        if (Chosen("text"))
        {
            progress("text");
            DiffWorks.OfText(options.Rounds, workspace.Folder, results);
        }

        if (Chosen("datapath"))
        {
            progress("datapath");
            DatapathWorks.Run(options.Rounds, workspace.Folder, results);
        }

        // Five million flows take 5 GB: only where they are asked for.
        if (Chosen("pass") || options.Works.Contains("pass5m"))
        {
            progress("pass");
            PassWorks.Run(options.Rounds, options.Works.Contains("pass5m"), results);
        }

        Work<object> Of(string name, string unit) => new(name, unit, Better.Lower, _ => 0);
        string[] contenders = [Ours, Ovs, Tenth, Fivefold, Appctl, First];
        Work<object>[] works = [.. new[] { Of(Memory, "s"), Of(Text, "s"), Of(TextMemory, "MiB"), Of(Datapath, "s"), Of(Pass, "s") }
            .Where(work => results.Median(work.Name, Ours) is not null)
            .Select(work => work with { Only = [.. contenders.Where(name => results.Median(work.Name, name) is not null)] })];
        IReadOnlyList<(Bar Bar, ComparisonResult? Result)> measured = BarReport.Measure(results, works, [.. _bars.Where(bar => works.Any(work => work.Name == bar.Work) && (bar.Ours != Fivefold || results.Median(bar.Work, Fivefold) is not null))]);
        BarReport.Print(results, works, contenders, measured, options.Json, Console.Out);
        if (options.Markdown is { } file)
        {
            string caption = string.Create(CultureInfo.InvariantCulture, $"`./dev bench reconcile` of {TimeProvider.System.GetUtcNow():yyyy-MM-dd}: {FuseBenchmark.Describe(options)}.");
            BarReport.WriteInto(file, BarReport.ToMarkdown(caption, results, works, contenders, measured));
        }

        return Report.PrintFailures(results, measured.Select(m => m.Result).OfType<ComparisonResult>(), Console.Error);
    }
}
