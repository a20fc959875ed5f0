using System.Globalization;
using Dpu.Benchmarks.Files;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;

namespace Dpu.Benchmarks.Sockets;

/// <summary><c>bench sockets</c>: unix sockets through the link, beside none, socat and ssh, against their bars.</summary>
internal sealed class SocketsBenchmark : IBenchmark
{
    private const string Direct = "direct";
    private const string Socat = "socat";
    private const string Ssh = "ssh -L";
    private const string Ours = "connect";
    private const string Bound = "bind";
    private const string Tls = "connect, tls";
    private const string Unix = "unix sockets, link on a unix socket";

    private const string Encrypted = "unix sockets, link over TLS";

    private static readonly Bar[] Bars =
    [
        new(Encrypted, SocketWorks.RoundTrip, Tls, Ssh, 0.7),
        new(Unix, SocketWorks.RoundTrip, Ours, Socat, 1.0, 0.6),
        new(Unix, SocketWorks.RoundTrip, Bound, Socat, 1.0, 0.6),
        new(Unix, SocketWorks.Throughput, Ours, Socat, 1.0, 2),
        new(Unix, SocketWorks.Throughput, Bound, Socat, 1.0, 2),
        new(Unix, SocketWorks.Memory, Ours, null, 16),
        new(Unix, SocketWorks.Memory, Bound, null, 16),
        new(Unix, SocketWorks.Connects, Ours, null, 10_000),
    ];

    public string Name => "sockets";

    public string Question => "what does a unix socket through the link cost, beside a direct one, socat and ssh?";

    public int Run(BenchmarkOptions options)
    {
        using Workspace workspace = new(options.Store);
        string store = workspace.Folder;
        SocketTarget[] all =
        [
            new DirectTarget(Direct, store), new SocatTarget(Socat, store), new SshTarget(Ssh, store), new RelayTarget(Ours, store), new RelayTarget(Bound, store, bound: true),
            new RelayTarget(Tls, store, tls: true),
        ];
        SocketTarget[] chosen = [.. all.Where(target => options.Targets.Count == 0 || options.Targets.Contains(target.Name))];
        Work<SocketTarget>[] works = [.. SocketWorks.All.Where(work => options.Works.Count == 0 || options.Works.Contains(work.Name))
            .Select(work => work.Name == SocketWorks.Memory ? work with { Only = [.. chosen.Select(target => target.Name).Where(name => name != Direct)] } : work)];
        if (chosen.Length == 0 || works.Length == 0)
        {
            Console.Error.WriteLine($"dpu-bench: targets are {string.Join(", ", all.Select(t => $"'{t.Name}'"))}, works {string.Join(", ", SocketWorks.All.Select(w => $"'{w.Name}'"))}.");
            return 2;
        }

        string conditions = FuseBenchmark.Describe(options);
        Console.Error.WriteLine($"{Name}: {conditions}");
        Results results = new Runner<SocketTarget>(chosen, works, options.Rounds, Console.Error.WriteLine, options.Best).Run();
        string[] names = [.. chosen.Select(target => target.Name)];
        IReadOnlyList<(Bar Bar, ComparisonResult? Result)> measured =
            BarReport.Measure(results, works, [.. Bars.Where(bar => names.Contains(bar.Ours) && (bar.Peer is null || names.Contains(bar.Peer)))]);
        BarReport.Print(results, works, names, measured, options.Json, Console.Out);
        if (options.Markdown is { } file)
        {
            string caption = string.Create(CultureInfo.InvariantCulture, $"`./dev bench sockets` of {TimeProvider.System.GetUtcNow():yyyy-MM-dd}: {conditions}.");
            BarReport.WriteInto(file, BarReport.ToMarkdown(caption, results, works, names, measured));
        }

        return Report.PrintFailures(results, measured.Select(m => m.Result).OfType<ComparisonResult>(), Console.Error);
    }
}
