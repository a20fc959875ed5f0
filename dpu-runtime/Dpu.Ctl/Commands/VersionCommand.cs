using System.CommandLine;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;
using Grpc.Core;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl version</c>: our version, and the runtime's where it answers.</summary>
internal static class VersionCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var command = new Command("version", "Show the versions of dpuctl and of the runtime, if it runs");
        runner.Set(command, RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, CancellationToken cancellation)
    {
        DaemonStatus? runtime = null;
        try
        {
            RuntimeStatus status = await context.Connection.Runtime.GetRuntimeStatusAsync(
                new GetRuntimeStatusRequest(), context.Connection.Options(cancellation));
            runtime = status.Daemon;
        }
        catch (RpcException)
        {
            // Expected: dpuctl's own version can be told without a runtime.
        }

        if (context.Json)
        {
            context.WriteJson(json =>
            {
                json.WriteString("dpuctl", ProgramVersion.Current);
                json.WriteString("runtime", runtime?.Version);
            });
            return ExitCodes.Success;
        }

        context.Output.WriteLine($"dpuctl {ProgramVersion.Current}");
        context.Output.WriteLine(runtime is null ? "dpu-runtime not reachable" : Human.Clean($"{runtime.Program} {runtime.Version}"));
        return ExitCodes.Success;
    }
}
