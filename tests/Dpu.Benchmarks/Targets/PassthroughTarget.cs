using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>Our dispatcher and passthrough on /dev/fuse, in a process of its own; no caching.</summary>
internal class PassthroughTarget(string store, string name = "local") : ProgramTarget(name, store)
{
    private protected override RunningProgram StartServer() =>
        RunningProgram.Start(Environment.ProcessPath!, [PassthroughServer.Verb, Backing, Seen]);
}
