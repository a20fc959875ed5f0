using System.CommandLine;
using Dpu.Ctl.Connection;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;
using Grpc.Core;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl version</c>: our version, and the daemon's where it answers.</summary>
internal static class VersionCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var command = new Command("version", "Show the versions of dpuctl and of the daemon, if it runs");
        runner.Set(command, RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, CancellationToken cancellation)
    {
        ControlConnection connection = context.Connection;
        DaemonStatus? daemon = null;
        try
        {
            daemon = await ControlConnection.AskEitherAsync(
                async () => (await connection.Runtime.GetRuntimeStatusAsync(new GetRuntimeStatusRequest(), connection.Options(cancellation))).Daemon,
                async () => (await connection.Agent.GetAgentStatusAsync(new GetAgentStatusRequest(), connection.Options(cancellation))).Daemon).ConfigureAwait(false);
        }
        catch (RpcException)
        {
            // Expected: dpuctl's own version can be told without a daemon.
        }

        if (context.Json)
        {
            context.WriteJson(json =>
            {
                json.WriteString("dpuctl", ProgramVersion.Current);
                json.WriteString(daemon?.Program == "dpu-host-agent" ? "agent" : "runtime", daemon?.Version);
            });
            return ExitCodes.Success;
        }

        context.Output.WriteLine($"dpuctl {ProgramVersion.Current}");
        context.Output.WriteLine(daemon is null ? "no daemon reachable" : Human.Clean($"{daemon.Program} {daemon.Version}"));
        return ExitCodes.Success;
    }
}
