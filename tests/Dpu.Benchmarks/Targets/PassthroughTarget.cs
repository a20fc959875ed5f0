using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>Our dispatcher and passthrough on /dev/fuse or on io_uring, in a process of its own; no caching.</summary>
internal class PassthroughTarget(string store, string name = "local", bool ring = false) : ProgramTarget(name, store)
{
    private protected override RunningProgram StartServer() =>
        RunningProgram.Start(Environment.ProcessPath!, [PassthroughServer.Verb, Backing, Seen, ring ? "ring" : "device"]);
}
