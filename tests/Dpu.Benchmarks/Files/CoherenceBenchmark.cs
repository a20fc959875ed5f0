using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;

namespace Dpu.Benchmarks.Files;

/// <summary><c>bench coherence</c>: what a coherent cache brings, how late a host's change is seen, and what its writers pay.</summary>
internal sealed class CoherenceBenchmark : IBenchmark
{
    private static readonly Comparison[] Comparisons =
    [
        new(
            "remote unix cached",
            "host",
            Bar: new Dictionary<string, double> { ["host write 4K unknown"] = 1.05 }),
        new("remote unix cached", "remote unix"),
        new("remote unix cached", "sshfs pipe cached"),
    ];

    public string Name => "coherence";

    public string Question => "what does a coherent cache bring, how late is a host's change seen, and what do the host's writers pay?";

    public int Run(BenchmarkOptions options)
    {
        using Workspace workspace = new(options.Store);
        string store = workspace.Folder;
        return FuseBenchmark.Run(
            Name,
            options,
            [
                new HostTarget(store),
                new DaemonsTarget(store, tls: false, cached: true),
                new DaemonsTarget(store, tls: false),
                new SshfsPipeTarget(store, cached: true),
            ],
            CoherenceWorks.All,
            Comparisons);
    }
}
