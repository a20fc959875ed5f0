using System.CommandLine;
using Dpu.Ctl.Connection;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl reload</c>: what SIGHUP does, with an answer.</summary>
internal static class ReloadCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var command = new Command("reload", "Let the daemon read its configuration again");
        runner.Set(command, RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, CancellationToken cancellation)
    {
        ControlConnection connection = context.Connection;
        (IReadOnlyList<string> applied, IReadOnlyList<string> needsRestart) = await ControlConnection.AskEitherAsync<(IReadOnlyList<string>, IReadOnlyList<string>)>(
            async () =>
            {
                ReloadRuntimeResponse response = await connection.Runtime.ReloadRuntimeAsync(new ReloadRuntimeRequest(), connection.Options(cancellation));
                return (response.Applied, response.NeedsRestart);
            },
            async () =>
            {
                ReloadAgentResponse response = await connection.Agent.ReloadAgentAsync(new ReloadAgentRequest(), connection.Options(cancellation));
                return (response.Applied, response.NeedsRestart);
            }).ConfigureAwait(false);
        if (context.Json)
        {
            context.WriteJson(json =>
            {
                JsonOutput.Strings(json, "applied", applied);
                JsonOutput.Strings(json, "needsRestart", needsRestart);
            });
            return ExitCodes.Success;
        }

        foreach (string text in applied)
        {
            context.Say($"applied: {Human.Clean(text)}");
        }

        foreach (string text in needsRestart)
        {
            context.Output.WriteLine($"needs a restart: {Human.Clean(text)}");
        }

        if (applied.Count + needsRestart.Count == 0)
        {
            context.Say("Nothing changed.");
        }

        return ExitCodes.Success;
    }
}
