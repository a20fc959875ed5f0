using System.Diagnostics;
using System.Globalization;
using Dpu.Benchmarks.Harness;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Reconcile;

/// <summary>A million flows against a million others in another order, of which 1,000 each are missing, stale and divergent.</summary>
internal static class DiffWorks
{
    private const int Flows = 1_000_000;
    private const int Each = 1000;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public static void InMemory(int rounds, Results results)
    {
        FlowSet desired = new(), actual = new();
        foreach (int i in Enumerable.Range(0, Flows))
        {
            _ = desired.Add(Flow(i));
        }

        foreach (int i in Shuffled())
        {
            _ = actual.Add(Actual(i));
        }

        for (int round = -1; round < rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            DiffResult diff = FlowDiff.Compare(desired, actual);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if ((diff.CountOf(DifferenceCategory.Missing), diff.CountOf(DifferenceCategory.Stale), diff.CountOf(DifferenceCategory.Divergent)) != (Each, Each, Each))
            {
                throw new InvalidOperationException($"{diff.Problems} differences were found of {3 * Each}");
            }

            if (round >= 0)
            {
                results.Add(ReconcileBenchmark.Memory, ReconcileBenchmark.Ours, seconds);
            }
        }
    }

    public static void OfText(int rounds, string folder, Results results)
    {
        string desired = Path.Combine(folder, "desired.txt"), actual = Path.Combine(folder, "actual.txt");
        File.WriteAllLines(desired, Enumerable.Range(0, Flows).Select(i => Line(Flow(i))));
        File.WriteAllLines(actual, Shuffled().Select(i => Line(Actual(i))));
        string dpuctl = Requires.Exists(Path.Combine(Repository.Root, "artifacts/bin/Dpu.Ctl/release/dpuctl"), "build it with './dev build'");
        for (int round = 0; round < rounds; round++)
        {
            // Both as programs, so that their start and all their memory count; in turns, so that other load hits both.
            (double Seconds, double MiB) ours = Timed(dpuctl, "reconcile", "--desired", desired, "--actual", actual, "-q");
            (double Seconds, double MiB) theirs = Timed(Requires.Tool("ovs-ofctl"), "diff-flows", desired, actual);
            results.Add(ReconcileBenchmark.Text, ReconcileBenchmark.Ours, ours.Seconds);
            results.Add(ReconcileBenchmark.Text, ReconcileBenchmark.Ovs, theirs.Seconds);
            results.Add(ReconcileBenchmark.TextMemory, ReconcileBenchmark.Ours, ours.MiB);
            results.Add(ReconcileBenchmark.TextMemory, ReconcileBenchmark.Ovs, theirs.MiB);
        }
    }

    internal static FlowDefinition Flow(int number)
    {
        FlowMatch match = FlowMatch.Any;
        (match.Key.EthType, match.Mask.Bits.EthType) = (0x0800, 0xffff);
        (match.Key.IpProto, match.Mask.Bits.IpProto) = (6, 0xff);
        (match.Key.InPort, match.Mask.Bits.InPort) = ((uint)(number % 64) + 1, uint.MaxValue);
        (match.Key.IpDst.Word0, match.Mask.Bits.IpDst.Word0) = (0x0a000000u + (uint)number, uint.MaxValue);
        (match.Key.TpDst, match.Mask.Bits.TpDst) = ((ushort)(number % 1000), 0xffff);
        return new FlowDefinition { Priority = 100, Cookie = (ulong)number + 1, Match = match, Actions = [FlowAction.Output((uint)(number % 48) + 1)] };
    }

    // The first thousand are missing, the second do something else, and there are a thousand beyond the last.
    private static FlowDefinition Actual(int number) => number is >= Each and < 2 * Each ? Flow(number) with { Actions = [FlowAction.Output(99)] } : Flow(number);

    private static int[] Shuffled()
    {
        int[] numbers = [.. Enumerable.Range(Each, Flows)];
        new Random(1).Shuffle(numbers);
        return numbers;
    }

    private static string Line(FlowDefinition flow)
    {
        string text = OpenFlowText.Format(flow);
        int at = text.IndexOf("table=0, ", StringComparison.Ordinal);
        return $" {text[..at]}duration=12.5s, table=0, n_packets=7, n_bytes=448, idle_age=3, {text[(at + "table=0, ".Length)..]}";
    }

    // wait4(2) tells the most memory that was resident.
    private static (double Seconds, double MiB) Timed(string program, params string[] arguments)
    {
        ProgramResult result = ExternalProgram.Run(Requires.Tool("python3"), ["-c", Measuring, program, .. arguments], Limit);
        string[] last = result.Error.TrimEnd().Split('\n')[^1].Split(' ');
        if (last.Length != 3 || last[0] != "2")
        {
            throw new InvalidOperationException($"{program} ended with {last[0]} instead of 2: {result.Error}");
        }

        // Lines of both begin with the sign; the summary does not, nor what a divergent flow is.
        int lines = result.Output.Split('\n').Count(line => line.Length > 0 && line[0] is '+' or '-' or '~');
        return lines is 3 * Each or 4 * Each
            ? (double.Parse(last[1], CultureInfo.InvariantCulture), double.Parse(last[2], CultureInfo.InvariantCulture) / 1024)
            : throw new InvalidOperationException($"{program} wrote {lines} differences");
    }

    private const string Measuring =
        """
        import os, resource, sys, time
        start = time.monotonic()
        pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
        _, status, usage = os.wait4(pid, 0)
        print(os.waitstatus_to_exitcode(status), time.monotonic() - start, usage.ru_maxrss, file=sys.stderr)
        """;
}
