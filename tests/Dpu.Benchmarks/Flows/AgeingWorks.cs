using Dpu.Benchmarks.Harness;
using Dpu.Flows.Ageing;
using Dpu.Flows.Classifier;
using Dpu.Flows.Nic;
using Dpu.Flows.Table;
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
            int ours = Replay(trace), timeout = TableBaselines.FixedTimeout(trace, TraceFamilies.TableSize, TimeSpan.FromSeconds(10));
            results.Add(work, FlowsBenchmark.Ours, ours);
            results.Add(work, FlowsBenchmark.Timeout, timeout);
            results.Add(work, Lru, TableBaselines.LeastRecentlyUsed(trace, TraceFamilies.TableSize));
            results.Add(work, Belady, TableBaselines.Belady(trace, TraceFamilies.TableSize));
            ratios.Add(ours / (double)timeout);
        }

        ratios.Sort();
        results.Add(Median, FlowsBenchmark.Ours, (ratios[(ratios.Count - 1) / 2] + ratios[ratios.Count / 2]) / 2);
    }

    private static int Replay(PacketTrace trace)
    {
        EmulatedNic nic = new(TraceFamilies.TableSize);
        OffloadAgeing ageing = new(nic);
        TimeSpan poll = OffloadAgeing.PollInterval;
        int missed = 0;
        foreach (TracePacket packet in trace.Packets)
        {
            for (; packet.Time >= poll; poll += OffloadAgeing.PollInterval)
            {
                ageing.Poll();
            }

            if (ageing.TryGetHandle((ulong)packet.Flow, out NicHandle handle))
            {
                nic.Touch(handle, 1, 64);
                continue;
            }

            missed++;
            FlowMatch match = FlowMatch.Any;
            (match.Key.InPort, match.Mask.Bits.InPort) = ((uint)packet.Flow, uint.MaxValue);
            ageing.Offer([new NicFlow((ulong)packet.Flow, 1, match, [FlowAction.Output(1)])]);
        }

        return missed;
    }
}
