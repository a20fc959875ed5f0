using System.Diagnostics;
using Dpu.Benchmarks.Harness;
using Dpu.Flows.Nic;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Targets;

namespace Dpu.Benchmarks.Reconcile;

/// <summary>A whole pass over the emulated NIC, of which one entry in a hundred does something else: dumps, diff, plan, repair, verify.</summary>
internal static class PassWorks
{
    private const int Million = 1_000_000;

    public static void Run(int rounds, bool large, Results results)
    {
        foreach ((string contender, int flows) in ((string, int)[])[(ReconcileBenchmark.Tenth, Million / 10), (ReconcileBenchmark.Ours, Million), .. large ? [(ReconcileBenchmark.Fivefold, 5 * Million)] : Array.Empty<(string, int)>()])
        {
            // Room for more, so that entries are added before others go.
            EmulatedNic nic = new(Math.Max(2 * Million, flows + (flows / 10)));
            NicTarget target = new(nic, "nic");
            FlowSet desired = new();
            for (int first = 0; first < flows; first += 10_000)
            {
                _ = target.Apply([.. Enumerable.Range(first, 10_000).Select(i => new TargetChange(DiffWorks.Flow(i)))]);
                foreach (int i in Enumerable.Range(first, 10_000))
                {
                    _ = desired.Add(DiffWorks.Flow(i));
                }
            }

            for (int round = 0; round < Math.Min(rounds, 3); round++)
            {
                Corrupt(nic, target, flows);
                FlowReconciler reconciler = new(new MemoryTarget(desired, "desired", timeouts: false), target, new ReconcilerOptions { Confirmations = 1, MaxDifferenceShare = 1 });
                long start = Stopwatch.GetTimestamp();
                PassReport pass = reconciler.RunAsync(apply: true).GetAwaiter().GetResult();
                double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
                if (pass.Found.Problems != flows / 100 || pass.Remaining.Problems != 0)
                {
                    throw new InvalidOperationException($"{pass.Found.Problems} differences were found of {flows / 100}, and {pass.Remaining.Problems} left");
                }

                results.Add(ReconcileBenchmark.Pass, contender, seconds);
            }
        }
    }

    // Every hundredth flow is taken out and put in again with another action.
    private static void Corrupt(EmulatedNic nic, NicTarget target, int flows)
    {
        NicHandle[] chosen = new NicHandle[flows / 100];
        int count = 0;
        for (long position = 0; position >= 0;)
        {
            NicDumpStep step = nic.Dump(position);
            foreach (NicEntry entry in step.Entries.Where(e => (e.Flow.Cookie - 1) % 100 == 0))
            {
                chosen[count++] = entry.Handle;
            }

            position = step.Next;
        }

        nic.Delete(chosen, new NicStatus[count]);
        nic.Faults = new NicFaults { CorruptAction = 1 };
        _ = target.Apply([.. Enumerable.Range(0, count).Select(i => new TargetChange(DiffWorks.Flow(i * 100)))]);
        nic.Faults = NicFaults.None;
    }
}
