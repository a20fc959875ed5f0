using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>Our dispatcher and passthrough on /dev/fuse, in a process of its own; no caching.</summary>
internal sealed class PassthroughTarget(string store) : ProgramTarget("local", store)
{
    private protected override RunningProgram StartServer() =>
        RunningProgram.Start(Environment.ProcessPath!, [PassthroughServer.Verb, Backing, Seen]);
}
