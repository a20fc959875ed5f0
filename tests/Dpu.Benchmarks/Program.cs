using Dpu.Benchmarks;
using Dpu.Benchmarks.Exec;
using Dpu.Benchmarks.Files;
using Dpu.Benchmarks.Flows;
using Dpu.Benchmarks.Reconcile;
using Dpu.Benchmarks.Sockets;
using Dpu.Benchmarks.Targets;

// The children of targets: each serves in a process of its own, as every peer does.
if (args is [PassthroughServer.Verb, var root, var target, var transport])
{
    return PassthroughServer.Run(root, target, transport == "ring");
}

if (args is [PingPong.Verb, var socket])
{
    return PingPong.Serve(socket);
}

if (args is [SocketPeer.Verb, var path])
{
    return SocketPeer.Serve(path);
}

if (!BenchmarkOptions.TryParse(args, out BenchmarkOptions? options, out string? message))
{
    Console.Error.WriteLine(message);
    return 2;
}

IBenchmark[] benchmarks = [new QtfsBenchmark(), new FuseBenchmark(), new CoherenceBenchmark(), new FlowsBenchmark(), new ReconcileBenchmark(), new SocketsBenchmark(), new ExecBenchmark()];
IBenchmark? benchmark = Array.Find(benchmarks, b => b.Name == options.Name);
if (benchmark is null)
{
    Console.Error.WriteLine(options.Name is null ? BenchmarkOptions.Usage : $"dpu-bench: there is no benchmark '{options.Name}'.");
    foreach (IBenchmark known in benchmarks)
    {
        Console.Error.WriteLine($"  {known.Name,-10} {known.Question}");
    }

    return 2;
}

return benchmark.Run(options);
