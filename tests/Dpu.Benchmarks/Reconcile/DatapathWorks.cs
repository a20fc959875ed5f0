using System.Diagnostics;
using Dpu.Benchmarks.Harness;
using Dpu.Reconciler.Targets;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Reconcile;

/// <summary>
/// 100,000 flows of a real ovs-vswitchd, on a data path without revalidators: asked for and made into records, beside the time
/// that ovs-appctl takes to ask for them and to write them to nowhere.
/// </summary>
internal static class DatapathWorks
{
    private const int Flows = 100_000;
    private const string Place = "dummy@dp0";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    public static void Run(int rounds, string folder, Results results)
    {
        using VirtualSwitch ovs = new();
        _ = ovs.Control("dpctl/add-dp", Place);
        _ = ovs.Control("dpctl/add-if", Place, "q1,type=dummy,port_no=1");
        string file = Path.Combine(folder, "megaflows");
        File.WriteAllLines(file, Enumerable.Range(0, Flows).Select(i =>
            $"in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.{i >> 16}.{(i >> 8) & 255}.{i & 255},dst=10.0.0.1,proto=6,tos=0,ttl=64,frag=no),tcp(src={i % 60000},dst=80) {(i % 3 == 0 ? "drop" : "1")}"));
        _ = ovs.Control("dpctl/add-flows", Place, file);
        for (int round = -1; round < rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            int read = new DataPathTarget(ovs.ControlSocket, Place).Read().Flows.Count;
            double ours = Stopwatch.GetElapsedTime(start).TotalSeconds;
            start = Stopwatch.GetTimestamp();
            ExternalProgram.Run("sh", ["-c", "exec ovs-appctl -t \"$0\" dpctl/dump-flows -m \"$1\" >/dev/null", ovs.ControlSocket, Place], Limit).EnsureSuccess();
            double theirs = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (read != Flows)
            {
                throw new InvalidOperationException($"{read} flows were read of {Flows}");
            }

            // The first reading compiles; a command of the operator's pays that.
            results.Add(ReconcileBenchmark.Datapath, round < 0 ? ReconcileBenchmark.First : ReconcileBenchmark.Ours, ours);
            if (round >= 0)
            {
                results.Add(ReconcileBenchmark.Datapath, ReconcileBenchmark.Appctl, theirs);
            }
        }
    }
}
