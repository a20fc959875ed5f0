using System.Globalization;
using Dpu.Benchmarks.Files;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;
using Dpu.TestSupport.Traffic;

namespace Dpu.Benchmarks.Flows;

/// <summary><c>bench flows</c>: the classifier and the flow table beside DPDK's rte_acl, and against their bars.</summary>
internal sealed class FlowsBenchmark : IBenchmark
{
    internal const string Ours = "dpu";
    internal const string Scalar = "rte_acl scalar";
    internal const string Fastest = "rte_acl fastest";
    internal const string Uncached = "dpu uncached";
    internal const string Timeout = "fixed 10 s";
    private const string Lookup = "look-up, no caches";
    private const string Table = "flow table of a million";

    private static readonly (string Family, int Rules)[] Sets = [.. from rules in new[] { 1000, 10_000, 50_000 } from family in new[] { "acl", "fw", "ipc" } select (family, rules)];

    public string Name => "flows";

    public string Question => "how fast are look-ups, updates and bulk reads of flows, beside DPDK's rte_acl?";

    internal static string SetName(string family, int rules) => string.Create(CultureInfo.InvariantCulture, $"{family} {rules / 1000}k");

    public int Run(BenchmarkOptions options)
    {
        using Workspace workspace = new(options.Store);
        string conditions = FuseBenchmark.Describe(options);
        Results results = new(options.Best);
        Action<string> progress = text => Console.Error.WriteLine($"  {text}");
        bool Chosen(string work) => options.Works.Count == 0 || options.Works.Any(w => work.StartsWith(w, StringComparison.Ordinal));
        foreach ((string family, int rules) in Sets.Where(set => Chosen(SetName(set.Family, set.Rules))))
        {
            progress(SetName(family, rules));
            LookupWorks.Run(family, rules, options.Rounds, workspace.Folder, results);
        }

        if (Chosen("zipf"))
        {
            progress("zipf");
            LookupWorks.RunCached(options.Rounds, results);
        }

        if (Chosen("million"))
        {
            progress("million");
            TableWorks.Run(options.Rounds, results);
        }

        if (Chosen("ageing"))
        {
            progress("ageing");
            AgeingWorks.Run(results);
        }

        Console.Error.WriteLine("  not measured: the classifier of Open vSwitch. Debian 12 packages neither libopenvswitch-dev nor ovstest (openvswitch-test has other tests); it takes a build of openvswitch-source, and a driver linked against its lib/libopenvswitch.a");
        string[] contenders = [Ours, Scalar, Fastest, Uncached, TableWorks.PerFlow, Timeout, AgeingWorks.Lru, AgeingWorks.Belady];
        Work<object>[] works = [.. Works().Where(work => results.Median(work.Name, Ours) is not null)
            .Select(work => work with { Only = [.. contenders.Where(name => results.Median(work.Name, name) is not null)] })];
        IReadOnlyList<(Bar Bar, ComparisonResult? Result)> measured = BarReport.Measure(results, works, [.. Bars().Where(bar => works.Any(work => work.Name == bar.Work))]);
        BarReport.Print(results, works, contenders, measured, options.Json, Console.Out);
        if (options.Markdown is { } file)
        {
            string caption = string.Create(CultureInfo.InvariantCulture, $"`./dev bench flows` of {TimeProvider.System.GetUtcNow():yyyy-MM-dd}: {conditions}.");
            BarReport.WriteInto(file, BarReport.ToMarkdown(caption, results, works, contenders, measured));
        }

        return Report.PrintFailures(results, measured.Select(m => m.Result).OfType<ComparisonResult>(), Console.Error);
    }

    private static IEnumerable<Work<object>> Works()
    {
        Work<object> Of(string name, string unit, Better better) => new(name, unit, better, _ => 0);
        foreach ((string family, int rules) in Sets)
        {
            string set = SetName(family, rules);
            yield return Of(set, "M/s", Better.Higher);
            yield return Of($"{set} compile", "s", Better.Lower);
            yield return Of($"{set} memory", "B/rule", Better.Lower);
            if (rules == 50_000)
            {
                yield return Of($"{set} +10k updates/s", "M/s", Better.Higher);
                yield return Of($"{set} updates done", "1000/s", Better.Higher);
            }
        }

        yield return Of("zipf 100k headers", "M/s", Better.Higher);
        foreach ((string name, string unit, Better better) in TableWorks.All)
        {
            yield return Of(name, unit, better);
        }

        foreach (string family in AgeingWorks.Names)
        {
            yield return Of(family, "slow packets", Better.Lower);
        }

        yield return Of(AgeingWorks.Median, "ratio", Better.Lower);
    }

    private static IEnumerable<Bar> Bars()
    {
        foreach ((string family, int rules) in Sets)
        {
            string set = SetName(family, rules);
            yield return new Bar(Lookup, set, Ours, Scalar, rules == 50_000 ? 0.7 : 1.0);
            yield return new Bar(Lookup, set, Ours, Fastest, 0, 1.0);
            if (rules == 50_000)
            {
                yield return new Bar(Lookup, $"{set} +10k updates/s", Ours, Scalar, 0.7, 1.0);
            }
        }

        yield return new Bar("look-up with caches, key extraction included", "zipf 100k headers", Ours, Uncached, 2);
        yield return new Bar("look-up with caches, key extraction included", "zipf 100k headers", Ours, null, 0, 20);
        yield return new Bar(Table, TableWorks.Updates, Ours, null, 100, 1000);
        yield return new Bar(Table, TableWorks.Memory, Ours, null, 512, 256);
        yield return new Bar(Table, TableWorks.Bulk, Ours, TableWorks.PerFlow, 1000);
        yield return new Bar(Table, TableWorks.BulkActive, Ours, TableWorks.PerFlow, 1000);
        foreach (string family in AgeingWorks.Names)
        {
            yield return new Bar("ageing", family, Ours, Timeout, 1.05, 0.7);
        }

        yield return new Bar("ageing", AgeingWorks.Median, Ours, null, 0.7);
    }
}
