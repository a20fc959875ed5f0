using System.Diagnostics;
using Dpu.Benchmarks.Harness;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Nic;
using Dpu.Flows.Table;
using Dpu.Linux;

namespace Dpu.Benchmarks.Flows;

/// <summary>A million flows: memory, updates beside a reader, and reading their state.</summary>
internal static class TableWorks
{
    public const string Updates = "updates at 1M flows";
    public const string Memory = "memory of 1M flows";
    public const string Bulk = "bulk state, a tenth active";
    public const string BulkActive = "bulk state, all active";
    public const string PerFlow = "per-flow queries";
    private const int Million = 1 << 20;
    private const int BatchSize = 1000;

    public static IReadOnlyList<(string Name, string Unit, Better Better)> All { get; } =
    [
        (Updates, "1000/s", Better.Higher), (Memory, "MiB", Better.Lower), ("reader beside updates, p50", "us", Better.Lower),
        ("reader beside updates, p99", "us", Better.Lower), ("reader alone, p99", "us", Better.Lower), (Bulk, "M flows/s", Better.Higher), (BulkActive, "M flows/s", Better.Higher),
    ];

    public static void Run(int rounds, Results results)
    {
        FlowTable table = new(new FlowTableOptions { MaxFlows = Million });
        Queue<FlowId> ids = new(Million);
        uint next = 0;
        for (; next < 1_000_000; next++)
        {
            _ = table.Add(Flow(next), out FlowId id);
            ids.Enqueue(id);
        }

        table.Commit();
        results.Add(Memory, FlowsBenchmark.Ours, table.Statistics.Bytes / 1048576.0);
        using FlowPipeline pipeline = new(table);
        for (int round = 0; round < rounds; round++)
        {
            LookupWorks.OnPinnedThread(() => results.Add("reader alone, p99", FlowsBenchmark.Ours, Latencies(pipeline, next, () => false)[1]));
            UpdateBesideReader(table, pipeline, ids, ref next, results);
        }

        BulkReads(rounds, results);
    }

    // A third each is added, modified and deleted; the table keeps its size. The reader's batch of 32 packets is what is timed.
    private static void UpdateBesideReader(FlowTable table, FlowPipeline pipeline, Queue<FlowId> ids, ref uint next, Results results)
    {
        bool ended = false;
        uint known = next;
        double[] latencies = [];
        Thread reader = new(() =>
        {
            Measure.Pin(LookupWorks.WriterProcessor);
            latencies = Latencies(pipeline, known, () => Volatile.Read(ref ended));
        });
        reader.Start();
        uint number = next;
        LookupWorks.OnPinnedThread(() =>
        {
            FlowAction[] other = [FlowAction.Output(99)];
            long start = Stopwatch.GetTimestamp();
            long changes = 0;
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < 1)
            {
                for (int i = 0; i < BatchSize / 3; i++)
                {
                    table.Delete(ids.Dequeue());
                    _ = table.Add(Flow(number++), out FlowId id);
                    table.Modify(ids.Peek(), other);
                    ids.Enqueue(id);
                    changes += 3;
                }

                table.Commit();
            }

            results.Add(Updates, FlowsBenchmark.Ours, changes / Stopwatch.GetElapsedTime(start).TotalSeconds / 1000);
        });
        next = number;
        Volatile.Write(ref ended, true);
        reader.Join();
        results.Add("reader beside updates, p50", FlowsBenchmark.Ours, latencies[0]);
        results.Add("reader beside updates, p99", FlowsBenchmark.Ours, latencies[1]);
    }

    // p50 and p99 in microseconds of 32 packets.
    private static double[] Latencies(FlowPipeline pipeline, uint flows, Func<bool> ended)
    {
        Random random = new(5);
        List<double> times = [];
        uint[] ports = new uint[4];
        long begin = Stopwatch.GetTimestamp();
        while (!ended() && (times.Count < 1000 || Stopwatch.GetElapsedTime(begin).TotalSeconds < 0.5) && times.Count < 400_000)
        {
            uint first = (uint)random.NextInt64(flows);
            long start = Stopwatch.GetTimestamp();
            for (uint i = 0; i < 32; i++)
            {
                FlowKey key = Key((first + (i * 7919)) % flows);
                _ = pipeline.Process(ref key, 64, ports);
            }

            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }

        times.Sort();
        return [times[times.Count / 2], times[times.Count * 99 / 100]];
    }

    // The emulated NIC without delays: one command a flow, against one for 65,536 bits; both in the processor's time.
    private static void BulkReads(int rounds, Results results)
    {
        EmulatedNic nic = new(Million);
        NicHandle[] handles = new NicHandle[Million];
        NicStatus[] status = new NicStatus[Million];
        for (int first = 0; first < Million; first += 65536)
        {
            NicFlow[] flows = [.. Enumerable.Range(first, 65536).Select(i => new NicFlow((ulong)i, 1, Flow((uint)i).Match, Flow((uint)i).Actions))];
            nic.Insert(flows, handles.AsSpan(first, flows.Length), status.AsSpan(first, flows.Length));
        }

        LookupWorks.OnPinnedThread(() =>
        {
            const int Step = 16 * FlowTable.BulkStep;
            ulong[] bits = new ulong[Million / 64];
            for (int round = -1; round < rounds; round++)
            {
                TimeSpan start = LibC.ThreadTime();
                ulong sum = 0;
                foreach (NicHandle handle in handles)
                {
                    _ = nic.Query(handle, out NicCounters counters);
                    sum += counters.Packets;
                }

                double perFlow = Million / (LibC.ThreadTime() - start).TotalMicroseconds;
                foreach ((string work, int step) in ((string, int)[])[(Bulk, 10), (BulkActive, 1)])
                {
                    for (int i = 0; i < Million; i += step)
                    {
                        nic.Touch(handles[i], 1, 64);
                    }

                    start = LibC.ThreadTime();
                    for (int first = 0; first < Million; first += Step)
                    {
                        _ = nic.ReadActivity(first, bits.AsSpan(first / 64, Step / 64), clear: true);
                    }

                    double bulk = Million / (LibC.ThreadTime() - start).TotalMicroseconds;
                    long active = bits.Sum(word => (long)System.Numerics.BitOperations.PopCount(word));
                    if (active != (Million + step - 1) / step)
                    {
                        throw new InvalidOperationException($"{active} flows were active of {(Million + step - 1) / step}");
                    }

                    if (round >= 0)
                    {
                        results.Add(work, FlowsBenchmark.Ours, bulk);
                        results.Add(work, PerFlow, perFlow);
                    }
                }
            }
        });
    }

    private static FlowKey Key(uint number) => new() { EthType = 0x0800, IpProto = 6, IpSrc = new Address128(number * 2654435761), IpDst = new Address128(number), TpSrc = (ushort)number, TpDst = 443 };

    private static FlowDefinition Flow(uint number)
    {
        FlowMatch match = FlowMatch.Any;
        match.Key = Key(number);
        (match.Mask.Bits.EthType, match.Mask.Bits.IpProto, match.Mask.Bits.TpSrc, match.Mask.Bits.TpDst) = (0xffff, 0xff, 0xffff, 0xffff);
        match.Mask.Bits.IpSrc.Word0 = match.Mask.Bits.IpDst.Word0 = uint.MaxValue;
        return new FlowDefinition { Match = match, Actions = [FlowAction.Output(number & 15)] };
    }
}
