using Dpu.Benchmarks.Harness;
using Dpu.TestSupport.Traffic;

namespace Dpu.Benchmarks.Flows;

/// <summary>Slow-path packets of each family of traces, by what ages the NIC's table.</summary>
internal static class AgeingWorks
{
    public const string Lru = "LRU";
    public const string Belady = "Belady";
    public const string Median = "ageing, median of families / fixed 10 s";

    // Not the seed by which the policy's constants were chosen.
    private const int Seed = 1;

    private static readonly PacketTrace[] Traces = [.. TraceFamilies.All(Seed)];

    public static IEnumerable<string> Names => Traces.Select(trace => $"ageing {trace.Name}");

    public static void Run(Results results)
    {
        List<double> ratios = [];
        foreach (PacketTrace trace in Traces)
        {
            string work = $"ageing {trace.Name}";
            int ours = AgeingReplay.Run(trace, TraceFamilies.TableSize).Missed, timeout = TableBaselines.FixedTimeout(trace, TraceFamilies.TableSize, TimeSpan.FromSeconds(10));
            results.Add(work, FlowsBenchmark.Ours, ours);
            results.Add(work, FlowsBenchmark.Timeout, timeout);
            results.Add(work, Lru, TableBaselines.LeastRecentlyUsed(trace, TraceFamilies.TableSize));
            results.Add(work, Belady, TableBaselines.Belady(trace, TraceFamilies.TableSize));
            ratios.Add(ours / (double)timeout);
        }

        ratios.Sort();
        results.Add(Median, FlowsBenchmark.Ours, (ratios[(ratios.Count - 1) / 2] + ratios[ratios.Count / 2]) / 2);
    }
}
