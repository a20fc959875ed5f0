using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>A mount that one program serves in the foreground until it is told to end.</summary>
internal abstract class ProgramTarget(string name, string store) : FileTarget(name, store)
{
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(10);

    private RunningProgram? program;

    public override void Abort() => program?.Kill();

    public override void Dispose()
    {
        Unmount();
        if (program is not null)
        {
            // A server ends when its mount does.
            program.WaitForExit(StopLimit);
            program.Dispose();
        }

        Unmount();
    }

    /// <summary>Starts the server.</summary>
    private protected abstract RunningProgram StartServer();

    private protected override void StartCore()
    {
        program = StartServer();
        AwaitMount(program);
    }
}
