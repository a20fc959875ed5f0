using System.CommandLine;
using Dpu.Hosting;
using Grpc.Health.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl health</c>: for scripts and probes; exit code 0 while the runtime serves.</summary>
internal static class HealthCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var command = new Command("health", "Say whether the runtime serves: exit code 0 if so");
        runner.Set(command, RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, CancellationToken cancellation)
    {
        HealthCheckResponse response = await context.Connection.Health.CheckAsync(
            new HealthCheckRequest(), context.Connection.Options(cancellation));
        bool isServing = response.Status == HealthCheckResponse.Types.ServingStatus.Serving;
        if (context.Json)
        {
            context.WriteJson(json => json.WriteBoolean("serving", isServing));
        }

        context.Say(isServing ? "serving" : "not serving");
        return isServing ? ExitCodes.Success : ExitCodes.Failure;
    }
}
