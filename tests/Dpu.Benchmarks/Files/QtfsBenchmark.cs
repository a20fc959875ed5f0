using System.Globalization;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;
using Names = Dpu.Benchmarks.Files.QtfsWorks.Names;

namespace Dpu.Benchmarks.Files;

/// <summary><c>bench qtfs</c>: the remote file system beside its peers, against the bars that it is held to.</summary>
internal sealed class QtfsBenchmark : IBenchmark
{
    private const string Local = "local, no caches";
    private const string Remote = "remote, unix socket, no caches";
    private const string Cached = "remote, unix socket, coherent caches";
    private const string Tls = "remote, TCP with TLS 1.3, no caches";
    private const string Memory = "managed memory";
    private const string Sessions = "what is kept for another daemon, unix socket, no caches";

    private static readonly Bar[] Bars =
    [
        new(Local, QtfsWorks.GetAttr, Names.Local, Names.Libfuse, 1.0, 0.9),
        new(Local, QtfsWorks.Read4K, Names.Local, Names.Libfuse, 1.0, 0.9),
        new(Local, QtfsWorks.Write4K, Names.Local, Names.Libfuse, 1.0, 0.9),
        new(Remote, QtfsWorks.GetAttr, Names.Remote, Names.Floor, 1.45, 1.2),
        new(Remote, QtfsWorks.GetAttr, Names.Remote, Names.Sshfs, 0.75, 0.65),
        new(Remote, QtfsWorks.Read4K, Names.Remote, Names.Sshfs, 0.5, 0.35),

        // As times: 2.5 times as many a second are 0.4 times as long, five times 0.2, seven times 0.14.
        new(Remote, QtfsWorks.Read4K8, Names.Remote, Names.Sshfs, 0.4),
        new(Remote, QtfsWorks.Read4K8, Names.Uring, Names.Sshfs, 0.2, 0.14),
        new(Remote, QtfsWorks.SequentialRead, Names.Remote, Names.Sshfs, 2, 4),
        new(Remote, QtfsWorks.SequentialRead, Names.Uring, Names.Sshfs, 3, 4),
        new(Remote, QtfsWorks.SequentialWrite, Names.Remote, Names.Sshfs, 2, 3),
        new(Cached, QtfsWorks.OpenFirst, Names.Cached, Names.SshfsDefault, 0.8, 0.5),
        new(Cached, QtfsWorks.OpenAgain, Names.LocalLocks, Names.Native, 2, 1.5),
        new(Cached, QtfsWorks.OpenAgain, Names.Cached, Names.SshfsDefault, 0.6, 0.4),
        new(Cached, QtfsWorks.Create, Names.Cached, Names.SshfsDefault, 0.8, 0.5),
        new(Cached, QtfsWorks.List, Names.Cached, Names.SshfsDefault, 0.8, 0.5),
        new(Cached, QtfsWorks.Unlink, Names.Cached, Names.SshfsDefault, 1.2, 1.0),
        new(Cached, QtfsWorks.StatCold, Names.Cached, Names.SshfsDefault, 1.2, 1.0),
        new(Cached, QtfsWorks.StatListed, Names.Cached, Names.SshfsDefault, 1.0),
        new(Tls, QtfsWorks.GetAttr, Names.Tls, Names.SshfsSsh, 0.75, 0.5),
        new(Tls, QtfsWorks.Read4K, Names.Tls, Names.SshfsSsh, 0.5, 0.35),
        new(Tls, QtfsWorks.SequentialRead, Names.Tls, Names.SshfsSsh, 1.5, 3),
        new(Sessions, QtfsWorks.GetAttr, Names.Kept, Names.Remote, 1.05),
        new(Sessions, QtfsWorks.Read4K, Names.Kept, Names.Remote, 1.05),
        new(Memory, QtfsWorks.Allocation, Names.Kept, null, 0),
        new(Memory, QtfsWorks.Allocation, Names.Remote, null, 0),
        new(Memory, QtfsWorks.Allocation, Names.Tls, null, 0),
    ];

    public string Name => "qtfs";

    public string Question => "is the remote file system as fast as it must be, beside sshfs, libfuse and the physical floor?";

    public int Run(BenchmarkOptions options)
    {
        using Workspace workspace = new(options.Store);
        string store = workspace.Folder;
        FileTarget[] targets =
        [
            new HostTarget(store, Names.Native),
            new PassthroughTarget(store),
            new LibfuseTarget(store),
            new FloorTarget(store),
            new DaemonsTarget(store, tls: false, name: Names.Remote),
            new DaemonsTarget(store, tls: false, name: Names.Kept, keeper: true),
            new DaemonsTarget(store, tls: false, name: Names.Uring, transport: "io_uring"),
            new SshfsPipeTarget(store, name: Names.Sshfs),
            new DaemonsTarget(store, tls: false, cached: true, name: Names.Cached),
            new DaemonsTarget(store, tls: false, cached: true, name: Names.LocalLocks, locks: "local"),
            new SshfsPipeTarget(store, cached: true, name: Names.SshfsDefault),
            new DaemonsTarget(store, tls: true, name: Names.Tls),
            new SshfsTarget(store),
        ];
        string conditions = FuseBenchmark.Describe(options);
        if (FuseBenchmark.Measure(Name, options, targets, QtfsWorks.All, out FileTarget[] chosen, out Work<FileTarget>[] works) is not { } results)
        {
            return 2;
        }

        string[] names = [.. chosen.Select(t => t.Name)];
        IReadOnlyList<(Bar Bar, ComparisonResult? Result)> measured =
            BarReport.Measure(results, works, [.. Bars.Where(b => names.Contains(b.Ours) && (b.Peer is null || names.Contains(b.Peer)))]);
        BarReport.Print(results, works, names, measured, options.Json, Console.Out);
        if (options.Markdown is { } file)
        {
            string caption = string.Create(CultureInfo.InvariantCulture, $"`./dev bench qtfs` of {TimeProvider.System.GetUtcNow():yyyy-MM-dd}: {conditions}.");
            BarReport.WriteInto(file, BarReport.ToMarkdown(caption, results, works, names, measured));
        }

        return Report.PrintFailures(results, measured.Select(m => m.Result).OfType<ComparisonResult>(), Console.Error);
    }
}
