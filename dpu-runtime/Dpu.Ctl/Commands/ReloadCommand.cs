using System.CommandLine;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl reload</c>: what SIGHUP does, with an answer.</summary>
internal static class ReloadCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var command = new Command("reload", "Let the runtime read its configuration again");
        runner.Set(command, RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, CancellationToken cancellation)
    {
        ReloadRuntimeResponse response = await context.Connection.Runtime.ReloadRuntimeAsync(
            new ReloadRuntimeRequest(), context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json =>
            {
                JsonOutput.Strings(json, "applied", response.Applied);
                JsonOutput.Strings(json, "needsRestart", response.NeedsRestart);
            });
            return ExitCodes.Success;
        }

        foreach (string text in response.Applied)
        {
            context.Say($"applied: {Human.Clean(text)}");
        }

        foreach (string text in response.NeedsRestart)
        {
            context.Output.WriteLine($"needs a restart: {Human.Clean(text)}");
        }

        if (response.Applied.Count + response.NeedsRestart.Count == 0)
        {
            context.Say("Nothing changed.");
        }

        return ExitCodes.Success;
    }
}
