using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>
/// libfuse's own passthrough in C, its low-level one, built here from Debian's examples: no caching, a descriptor a
/// thread (<c>clone_fd</c>). The C++ <c>passthrough_hp</c> is not among those examples.
/// </summary>
internal sealed class LibfuseTarget(string store) : ProgramTarget("libfuse", store)
{
    private const string Source = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c";
    private static readonly TimeSpan CompileLimit = TimeSpan.FromMinutes(1);

    private protected override RunningProgram StartServer()
    {
        Requires.Exists(Source, "apt-get install libfuse3-dev, on a system that keeps what packages have in /usr/share/doc");
        string program = Path.Combine(Folder, "passthrough_ll");
        ExternalProgram.Check(
            Requires.Tool("gcc"),
            ["-O2", "-D_FILE_OFFSET_BITS=64", "-I/usr/include/fuse3", "-o", program, Source, "-lfuse3", "-lpthread"],
            CompileLimit);
        return RunningProgram.Start(program, ["-f", "-o", $"source={Backing},cache=never,timeout=0,clone_fd,allow_other,default_permissions", Seen]);
    }
}
